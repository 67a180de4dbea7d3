import { holdsPoint, normalRanges } from './code-points.ts'
import { choice, literal, rule, sequence, type CodePointRanges, type Expression } from './expression.ts'
import { spelled } from './json-text.ts'
import { close, type Language } from './language.ts'
import { PatternProblem } from './regular.ts'

/** Where rules go, and what they cost. */
export interface RuleSink {
  add(expression: Expression): string
  reserve(): string
  define(name: string, expression: Expression): void
  spend(work: number): void
}

/** Where one may be in several languages at once after the same characters. */
interface Place {
  readonly states: readonly (readonly number[])[]
  /** True where the text may end. */
  readonly ends: boolean
  /** Where characters lead, all that lead to the same place together; made when it is asked for. */
  moves?: readonly { character: Expression; to: Place }[]
}

const maxPlaces = 2000
const tooLarge = 'with the length of the text it takes more rules than there may be'

/**
 * JSON strings of all of these languages at once, of so many characters.
 *
 * @throws a PatternProblem where that takes more than `maxRules` rules.
 */
export function languageText(
  languages: readonly Language[],
  length: { min: number; max: number },
  maxRules: number,
  sink: RuleSink
): Expression {
  const moves = placeMoves(languages, sink)
  // How many characters there were matters up to the longest bound alone.
  const counted = length.max === Infinity ? length.min : length.max
  const names = new Map<Place, string[]>()
  const queue: { name: string; place: Place; count: number }[] = []
  const nameOf = (place: Place, count: number): string => {
    const own = names.get(place) ?? []
    names.set(place, own)
    const known = own[count]
    if (known !== undefined) return known
    if (queue.length >= maxRules) throw new PatternProblem(tooLarge)
    const name = sink.reserve()
    own[count] = name
    queue.push({ name, place, count })
    return name
  }
  const root = nameOf(moves.start, 0)
  for (const { name, place, count } of queue) {
    sink.spend(5)
    const ways = place.ends && count >= length.min ? [literal('"')] : []
    if (count < length.max) {
      for (const { character, to } of moves.of(place)) {
        ways.push(sequence(character, rule(nameOf(to, Math.min(count + 1, counted)))))
      }
    }
    sink.define(name, choice(...ways))
  }
  return sequence(literal('"'), rule(root))
}

/** The places of several languages: a subset of the states of each. */
function placeMoves(
  languages: readonly Language[],
  sink: RuleSink
): { start: Place; of(place: Place): readonly { character: Expression; to: Place }[] } {
  const places = new Map<string, Place>()
  const characters = new Map<string, Expression>()
  const placeOf = (states: readonly (readonly number[])[], begin: boolean): Place => {
    const key = `${begin ? '^' : ''}${states.join(';')}`
    const known = places.get(key)
    if (known !== undefined) return known
    if (places.size >= maxPlaces) throw new PatternProblem(`it has more than ${maxPlaces} states`)
    const ends = languages.every((language, k) =>
      close(language, states[k] ?? [], begin, true).includes(language.final)
    )
    const place: Place = { states, ends }
    places.set(key, place)
    return place
  }
  const characterOf = (ranges: CodePointRanges): Expression => {
    const key = ranges.join(';')
    const known = characters.get(key)
    if (known !== undefined) return known
    const expression = rule(sink.add(spelled(ranges)))
    characters.set(key, expression)
    return expression
  }
  return {
    start: placeOf(
      languages.map((language) => close(language, [0], true, false)),
      true
    ),
    of(place) {
      place.moves ??= outgoing(languages, place.states, sink.spend).map(([ranges, states]) => ({
        character: characterOf(ranges),
        to: placeOf(states, false)
      }))
      return place.moves
    }
  }
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
  spend(sorted.length * edges.reduce((sum, list) => sum + list.length, 1))
  const groups = new Map<string, { ranges: [number, number][]; next: number[][] }>()
  for (const [index, from] of sorted.entries()) {
    const to = (sorted[index + 1] ?? 0x110000) - 1
    const next = languages.map((language, k) => {
      const targets = (edges[k] ?? []).filter(({ ranges }) => holdsPoint(ranges, from)).map((edge) => edge.to)
      const closed = close(language, targets, false, false)
      spend(closed.length * 4)
      return closed
    })
    if (next.some((set) => set.length === 0)) continue
    const key = next.join(';')
    const group = groups.get(key)
    if (group === undefined) groups.set(key, { ranges: [[from, to]], next })
    else group.ranges.push([from, to])
  }
  return [...groups.values()].map(({ ranges, next }) => [normalRanges(ranges), next])
}
