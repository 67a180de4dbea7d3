import { holdsPoint } from './code-points.ts'
import type { CodePointRanges } from './expression.ts'
import { parseRegular, PatternProblem, type Regular } from './regular.ts'

/** The texts a pattern is found in, as a machine of states; state 0 is the beginning. */
export interface Language {
  readonly moves: readonly (readonly { ranges: CodePointRanges; to: number }[])[]
  /** Moves that read nothing; `begin` and `end` only there. */
  readonly jumps: readonly (readonly { to: number; only?: 'begin' | 'end' }[])[]
  readonly final: number
}

const maxStates = 2000
const every: CodePointRanges = [[0, 0x10ffff]]

/**
 * The texts in which a pattern is found somewhere, as JSON Schema has it.
 *
 * @throws a PatternProblem for one that is not regular, or too large.
 */
export function patternLanguage(pattern: string): Language {
  const moves: { ranges: CodePointRanges; to: number }[][] = []
  const jumps: { to: number; only?: 'begin' | 'end' }[][] = []
  const state = (): number => {
    if (moves.length >= maxStates) throw new PatternProblem(`it has more than ${maxStates} states`)
    jumps.push([])
    return moves.push([]) - 1
  }
  const jump = (from: number, to: number, only?: 'begin' | 'end'): void => {
    jumps[from]?.push(only === undefined ? { to } : { to, only })
  }
  const build = (regular: Regular, from: number): number => {
    switch (regular.kind) {
      case 'character': {
        const to = state()
        moves[from]?.push({ ranges: regular.ranges, to })
        return to
      }
      case 'begin':
      case 'end': {
        const to = state()
        jump(from, to, regular.kind)
        return to
      }
      case 'sequence': {
        let at = from
        for (const item of regular.items) at = build(item, at)
        return at
      }
      case 'choice': {
        const to = state()
        for (const item of regular.items) jump(build(item, from), to)
        return to
      }
      case 'repeat': {
        let at = from
        for (let turn = 0; turn < regular.min; turn++) {
          const after = build(regular.item, at)
          // Nothing, however often: a group may be empty, and its count as high as one writes it.
          if (after === at) break
          at = after
        }
        const to = state()
        jump(at, to)
        if (regular.max === Infinity) {
          const head = state()
          jump(at, head)
          const tail = build(regular.item, head)
          jump(tail, head)
          jump(tail, to)
        } else {
          for (let turn = regular.min; turn < regular.max; turn++) {
            const head = state()
            jump(at, head)
            at = build(regular.item, head)
            jump(at, to)
          }
        }
        return to
      }
    }
  }
  const start = state()
  moves[start]?.push({ ranges: every, to: start })
  const first = state()
  jump(start, first)
  const final = build(parseRegular(pattern), first)
  moves[final]?.push({ ranges: every, to: final })
  return { moves, jumps, final }
}

/** Whether a text is one of a language; takes time in proportion to its length. */
export function isOf(language: Language, text: string): boolean {
  let at = close(language, [0], true, text === '')
  const points = [...text]
  for (const [index, character] of points.entries()) {
    const point = character.codePointAt(0) ?? 0
    const next = at.flatMap((state) =>
      (language.moves[state] ?? []).filter(({ ranges }) => holdsPoint(ranges, point)).map(({ to }) => to)
    )
    at = close(language, next, false, index === points.length - 1)
  }
  return at.includes(language.final)
}

/** The states one is in without reading anything, in rising order. */
export function close(language: Language, states: readonly number[], begin: boolean, end: boolean): number[] {
  const seen = new Set(states)
  const queue = [...seen]
  for (const state of queue) {
    for (const { to, only } of language.jumps[state] ?? []) {
      if ((only === 'begin' && !begin) || (only === 'end' && !end) || seen.has(to)) continue
      seen.add(to)
      queue.push(to)
    }
  }
  return queue.toSorted((a, b) => a - b)
}
