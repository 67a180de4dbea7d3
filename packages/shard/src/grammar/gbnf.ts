import { codePoints, exceptRanges, normalRanges } from './code-points.ts'
import { choice, literal, repeat, rule, sequence, type Expression, type Grammar } from './expression.ts'

/** A text that is no grammar; the message says where and why. */
export class GbnfProblem extends Error {
  override readonly name: string = 'GbnfProblem'
}

const maxDepth = 50
const letters: Record<string, string> = { n: '\n', r: '\r', t: '\t' }

/**
 * Reads a grammar in GBNF, llama.cpp's notation: `root ::= "yes" | "no" [a-z]{1,3}`. Rules may go on in the next line
 * with `|`. The names of its rules get a prefix.
 *
 * @throws a GbnfProblem.
 */
export function parseGbnf(
  source: string,
  limits: { repetitions: number; rules: number },
  prefix: string
): Grammar {
  const text = [...source]
  const rules = new Map<string, Expression>()
  const used = new Set<string>()
  let at = 0

  const problem = (why: string): GbnfProblem => {
    const before = text.slice(0, at).join('').split('\n')
    return new GbnfProblem(`line ${before.length}, column ${[...(before.at(-1) ?? '')].length + 1}: ${why}`)
  }
  const skip = (lines: boolean): void => {
    for (; at < text.length; at++) {
      const character = text[at] as string
      if (character === '#') while (at + 1 < text.length && text[at + 1] !== '\n') at++
      else if (character === '\n' ? !lines : !/[ \t\r]/.test(character)) return
    }
  }
  const take = (expected: string): boolean => {
    if (
      !text
        .slice(at, at + expected.length)
        .join('')
        .startsWith(expected)
    )
      return false
    at += expected.length
    return true
  }
  const name = (): string => {
    const from = at
    while (at < text.length && /[\w-]/.test(text[at] as string)) at++
    if (at === from) throw problem('a name is expected')
    return text.slice(from, at).join('')
  }
  const hex = (length: number): string => {
    const digits = text.slice(at, at + length).join('')
    const point = Number.parseInt(digits, 16)
    if (!/^[\da-f]+$/i.test(digits) || digits.length < length || point > 0x10ffff) {
      throw problem(`${length} hexadecimal digits of a character are expected`)
    }
    if (point >= 0xd800 && point <= 0xdfff) throw problem('half of a surrogate pair is no character')
    at += length
    return String.fromCodePoint(point)
  }
  const character = (closing: string): string => {
    const read = text[at++]
    if (read === undefined || read === '\n') {
      at--
      throw problem(`${closing} is missing`)
    }
    if (read !== '\\') return read
    const escaped = text[at++] ?? ''
    if (escaped === 'x') return hex(2)
    if (escaped === 'u') return hex(4)
    if (escaped === 'U') return hex(8)
    const known = letters[escaped]
    if (known !== undefined) return known
    if (/["'\\[\]^/-]/.test(escaped)) return escaped
    at--
    throw problem(`\\${escaped} means nothing`)
  }
  const quoted = (): Expression => {
    let out = ''
    while (!take('"')) out += character('the closing quotation mark')
    return literal(out)
  }
  const bracket = (): Expression => {
    const negative = take('^')
    const ranges: [number, number][] = []
    while (!take(']')) {
      const from = character('the closing bracket').codePointAt(0) ?? 0
      let to = from
      if (text[at] === '-' && text[at + 1] !== ']') {
        at++
        to = character('the closing bracket').codePointAt(0) ?? 0
        if (to < from) throw problem('the range ends before it begins')
      }
      ranges.push([from, to])
    }
    const normal = normalRanges(ranges)
    return codePoints(negative ? exceptRanges(normal) : normal)
  }
  const count = (): number => {
    const [digits = ''] = /^\d*/.exec(text.slice(at, at + 12).join('')) ?? []
    if (digits === '') throw problem('a number is expected')
    at += digits.length
    const value = Number(digits)
    if (value > limits.repetitions) throw problem(`at most ${limits.repetitions} repetitions are followed`)
    return value
  }
  const item = (depth: number): Expression | undefined => {
    if (take('"')) return quoted()
    if (take('[')) return bracket()
    if (take('.')) return codePoints(exceptRanges([]))
    if (take('(')) {
      if (depth >= maxDepth) throw problem(`groups nest deeper than ${maxDepth}`)
      skip(true)
      const inner = choices(depth + 1)
      skip(true)
      if (!take(')')) throw problem('the closing parenthesis is missing')
      return inner
    }
    if (!/[\w-]/.test(text[at] ?? '')) return undefined
    const before = at
    const found = name()
    skip(false)
    if (text.slice(at, at + 3).join('') === '::=') {
      // The next rule begins.
      at = before
      return undefined
    }
    used.add(found)
    return rule(prefix + found)
  }
  const repeated = (inner: Expression): Expression => {
    if (take('*')) return repeat(inner, 0)
    if (take('+')) return repeat(inner, 1)
    if (take('?')) return repeat(inner, 0, 1)
    if (!take('{')) return inner
    skip(false)
    const min = text[at] === ',' ? 0 : count()
    skip(false)
    let max = min
    if (take(',')) {
      skip(false)
      max = text[at] === '}' ? Infinity : count()
    }
    skip(false)
    if (!take('}')) throw problem('the closing brace is missing')
    if (max < min) throw problem('the upper number of repetitions is below the lower one')
    return repeat(inner, min, max)
  }
  const items = (depth: number): Expression => {
    const out: Expression[] = []
    for (;;) {
      skip(depth > 0)
      const next = item(depth)
      if (next === undefined) return sequence(...out)
      skip(false)
      out.push(repeated(next))
    }
  }
  const choices = (depth: number): Expression => {
    const out = [items(depth)]
    for (;;) {
      const before = at
      skip(true)
      if (!take('|')) {
        at = before
        return choice(...out)
      }
      skip(true)
      out.push(items(depth))
    }
  }

  for (skip(true); at < text.length; skip(true)) {
    const defined = name()
    skip(false)
    if (!take('::=')) throw problem('::= is expected')
    skip(true)
    if (rules.has(prefix + defined)) throw problem(`the rule ${defined} is there twice`)
    rules.set(prefix + defined, choices(0))
    if (rules.size > limits.rules) throw problem(`there are more than ${limits.rules} rules`)
    skip(false)
    if (at < text.length && text[at] !== '\n') throw problem(`${text[at]} is not expected here`)
  }
  for (const target of used) {
    if (!rules.has(prefix + target)) throw new GbnfProblem(`the rule ${target} is used and not there`)
  }
  if (!rules.has(`${prefix}root`)) throw new GbnfProblem('the rule root is missing')
  return { root: `${prefix}root`, rules }
}
