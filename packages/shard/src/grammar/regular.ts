import { exceptRanges, normalRanges } from './code-points.ts'
import type { CodePointRanges } from './expression.ts'

/** A regular expression, read. */
export type Regular =
  | { readonly kind: 'character'; readonly ranges: CodePointRanges }
  | { readonly kind: 'sequence' | 'choice'; readonly items: readonly Regular[] }
  | { readonly kind: 'repeat'; readonly item: Regular; readonly min: number; readonly max: number }
  | { readonly kind: 'begin' | 'end' }

/** What a pattern has that this package does not follow. */
export class PatternProblem extends Error {
  override readonly name: string = 'PatternProblem'
}

const point = (value: number): [number, number] => [value, value]
const digits: CodePointRanges = [[0x30, 0x39]]
const words: CodePointRanges = [[0x30, 0x39], [0x41, 0x5a], point(0x5f), [0x61, 0x7a]]
// WhiteSpace and LineTerminator of ECMA-262, which \s stands for.
const blanks: CodePointRanges = [
  [9, 13],
  point(0x20),
  point(0xa0),
  point(0x1680),
  [0x2000, 0x200a],
  [0x2028, 0x2029],
  point(0x202f),
  point(0x205f),
  point(0x3000),
  point(0xfeff)
]
const lineEnds: CodePointRanges = [point(10), point(13), [0x2028, 0x2029]]
const classes: Record<string, CodePointRanges> = {
  d: digits,
  D: exceptRanges(digits),
  w: words,
  W: exceptRanges(words),
  s: blanks,
  S: exceptRanges(blanks)
}
const controls: Record<string, number> = { t: 9, n: 10, v: 11, f: 12, r: 13, '0': 0 }

const maxDepth = 50

/**
 * Reads a pattern of ECMA-262 with its `u` flag, which has been found to be one.
 *
 * @throws a PatternProblem for what is not regular or not known: assertions, back references, properties.
 */
export function parseRegular(pattern: string): Regular {
  const text = [...pattern]
  let at = 0
  const take = (expected: string): boolean => {
    if (text.slice(at, at + expected.length).join('') !== expected) return false
    at += expected.length
    return true
  }
  const hex = (length: number): number => {
    const value = Number.parseInt(text.slice(at, at + length).join(''), 16)
    at += length
    return value
  }

  const choices = (depth: number): Regular => {
    if (depth > maxDepth) throw new PatternProblem(`groups nest deeper than ${maxDepth}`)
    const items = [terms(depth)]
    while (take('|')) items.push(terms(depth))
    return items.length === 1 ? (items[0] as Regular) : { kind: 'choice', items }
  }
  const terms = (depth: number): Regular => {
    const items: Regular[] = []
    while (at < text.length && text[at] !== '|' && text[at] !== ')') items.push(quantified(atom(depth)))
    return { kind: 'sequence', items }
  }
  const quantified = (item: Regular): Regular => {
    const [, least, comma, most] = /^\{(\d+)(,?)(\d*)\}/.exec(text.slice(at, at + 40).join('')) ?? []
    let min: number
    let max: number
    if (take('*')) [min, max] = [0, Infinity]
    else if (take('+')) [min, max] = [1, Infinity]
    else if (take('?')) [min, max] = [0, 1]
    else if (least !== undefined) {
      min = Number(least)
      max = comma === '' ? min : most === '' ? Infinity : Number(most)
      while (text[at++] !== '}');
    } else return item
    // A lazy quantifier allows the same texts.
    take('?')
    return { kind: 'repeat', item, min, max }
  }
  const atom = (depth: number): Regular => {
    if (take('^')) return { kind: 'begin' }
    if (take('$')) return { kind: 'end' }
    if (take('.')) return { kind: 'character', ranges: exceptRanges(lineEnds) }
    if (take('[')) return { kind: 'character', ranges: bracket() }
    if (take('(')) {
      if (text[at] === '?' && !take('?:')) {
        if (!/^\?<[^=!]/.test(text.slice(at, at + 3).join(''))) {
          throw new PatternProblem('it looks ahead or behind')
        }
        while (text[at++] !== '>');
      }
      const inner = choices(depth + 1)
      at++
      return inner
    }
    if (take('\\')) return { kind: 'character', ranges: escape(false) }
    return { kind: 'character', ranges: normalRanges([point(text[at++]?.codePointAt(0) ?? 0)]) }
  }
  const escape = (inClass: boolean): CodePointRanges => {
    const letter = text[at++] ?? ''
    const known = classes[letter]
    if (known !== undefined) return known
    if (letter === 'b' && inClass) return [point(8)]
    if (letter === 'b' || letter === 'B') throw new PatternProblem('it asks for a word boundary')
    if (letter === 'p' || letter === 'P') throw new PatternProblem('it asks for a property of characters')
    if (letter === 'k' || /[1-9]/.test(letter)) throw new PatternProblem('it refers back to a group')
    if (letter === 'c') return [point((text[at++]?.codePointAt(0) ?? 0) % 32)]
    if (letter === 'x') return [point(hex(2))]
    if (letter === 'u') return [point(unicode())]
    return [point(controls[letter] ?? letter.codePointAt(0) ?? 0)]
  }
  const unicode = (): number => {
    if (take('{')) {
      const end = text.indexOf('}', at)
      const value = Number.parseInt(text.slice(at, end).join(''), 16)
      at = end + 1
      return value
    }
    const high = hex(4)
    const low = /^\\u(d[c-f][\da-f]{2})$/i.exec(text.slice(at, at + 6).join(''))
    if (high < 0xd800 || high > 0xdbff || low === null) return high
    at += 6
    return (high - 0xd800) * 0x400 + (Number.parseInt(low[1] as string, 16) - 0xdc00) + 0x10000
  }
  const bracket = (): CodePointRanges => {
    const negative = take('^')
    const ranges: (readonly [number, number])[] = []
    const member = (): CodePointRanges =>
      take('\\') ? escape(true) : [point(text[at++]?.codePointAt(0) ?? 0)]
    while (!take(']')) {
      const from = member()
      if (text[at] === '-' && text[at + 1] !== ']') {
        at++
        ranges.push([from[0]?.[0] ?? 0, member()[0]?.[1] ?? 0])
      } else ranges.push(...from)
    }
    const normal = normalRanges(ranges)
    return negative ? exceptRanges(normal) : normal
  }
  return choices(0)
}
