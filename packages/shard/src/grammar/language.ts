import { normalRanges } from './code-points.ts'
import { choice, literal, rule, sequence, type CodePointRanges, type Expression } from './expression.ts'
import { spelled } from './json-text.ts'
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
        for (let turn = 0; turn < regular.min; turn++) at = build(regular.item, at)
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
      (language.moves[state] ?? [])
        .filter(({ ranges }) => ranges.some(([from, to]) => point >= from && point <= to))
        .map(({ to }) => to)
    )
    at = close(language, next, false, index === points.length - 1)
  }
  return at.includes(language.final)
}

/** The states one is in without reading anything, in rising order. */
function close(language: Language, states: readonly number[], begin: boolean, end: boolean): number[] {
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

/** Where rules go. */
export interface RuleSink {
  reserve(): string
  define(name: string, expression: Expression): void
}

interface Place {
  /** The states in each of the languages. */
  readonly states: readonly (readonly number[])[]
  readonly count: number
}

/**
 * JSON strings of all of these languages at once, of so many characters.
 *
 * @throws a PatternProblem where that takes more than `maxRules` rules.
 */
export function languageText(
  languages: readonly Language[],
  length: { min: number; max: number },
  maxRules: number,
  sink: RuleSink,
  spend: (work: number) => void
): Expression {
  // How many characters there were matters up to the longest bound alone.
  const counted = length.max === Infinity ? length.min : length.max + 1
  const places: Place[] = []
  const names = new Map<string, string>()
  const nameOf = (place: Place): string => {
    const key = `${place.count}:${place.states.join(';')}`
    const known = names.get(key)
    if (known !== undefined) return known
    if (places.length >= maxRules) throw new PatternProblem('with the length of the text it is too large')
    const name = sink.reserve()
    places.push(place)
    names.set(key, name)
    return name
  }
  const root = nameOf({ states: languages.map((language) => close(language, [0], true, false)), count: 0 })
  for (let index = 0; index < places.length; index++) {
    const place = places[index] as Place
    const { states, count } = place
    spend(20 + states.reduce((sum, set) => sum + set.length, 0))
    const ways: Expression[] = []
    const ends = languages.every((language, k) =>
      close(language, states[k] ?? [], index === 0, true).includes(language.final)
    )
    if (ends && count >= length.min) ways.push(literal('"'))
    if (count < length.max) {
      for (const [ranges, next] of outgoing(languages, states, spend)) {
        const to = nameOf({ states: next, count: Math.min(count + 1, counted) })
        ways.push(sequence(spelled(ranges), rule(to)))
      }
    }
    sink.define(nameOf(place), choice(...ways))
  }
  return sequence(literal('"'), rule(root))
}

/** Where each character leads, characters that lead to the same place together. */
function outgoing(
  languages: readonly Language[],
  states: readonly (readonly number[])[],
  spend: (work: number) => void
): [CodePointRanges, number[][]][] {
  const edges = languages.map((language, k) =>
    (states[k] ?? []).flatMap((state) => language.moves[state] ?? [])
  )
  const cuts = new Set([0])
  for (const { ranges } of edges.flat()) {
    for (const [from, to] of ranges) {
      cuts.add(from)
      cuts.add(to + 1)
    }
  }
  const sorted = [...cuts].filter((cut) => cut <= 0x10ffff).toSorted((a, b) => a - b)
  spend(sorted.length * edges.reduce((sum, list) => sum + list.length, 0))
  const groups = new Map<string, { ranges: [number, number][]; next: number[][] }>()
  for (const [index, from] of sorted.entries()) {
    const to = (sorted[index + 1] ?? 0x110000) - 1
    const next = languages.map((language, k) =>
      close(
        language,
        (edges[k] ?? [])
          .filter(({ ranges }) => ranges.some(([low, high]) => from >= low && from <= high))
          .map((edge) => edge.to),
        false,
        false
      )
    )
    if (next.some((set) => set.length === 0)) continue
    const key = next.join(';')
    const group = groups.get(key)
    if (group === undefined) groups.set(key, { ranges: [[from, to]], next })
    else group.ranges.push([from, to])
  }
  return [...groups.values()].map(({ ranges, next }) => [normalRanges(ranges), next])
}
