import { decimalOf, doubleOf, scaled } from './decimal.ts'
import { ascii, choice, literal, never, nothing, repeat, sequence, type Expression } from './expression.ts'
import { integerText, maxIntegerDigits, numberText } from './json-text.ts'

/** What a number has to be between. */
export interface NumberRange {
  min: number
  max: number
  /** True where the bound itself is out. */
  minExclusive: boolean
  maxExclusive: boolean
  integer: boolean
}

const digit = (from: number, to: number): Expression => ascii(`${from}${to}`)
const anyDigits = (min: number, max: number): Expression => repeat(digit(0, 9), min, max)
const largest = 10n ** BigInt(maxIntegerDigits) - 1n

/** Places a bound may have; more than these say nothing a double can tell apart near it, or begin with many zeros. */
const maxBoundPlaces = 25

/** Whether numbers about as large, and as fine, are written here. */
export function isWritable(bound: number): boolean {
  if (!Number.isFinite(bound)) return true
  return decimalOf(bound).places <= maxBoundPlaces && Math.abs(bound) <= Number(largest)
}

/**
 * The texts of the numbers of a range, in plain digits. Whole numbers have fifteen digits at most. Undefined for a
 * range beyond them, or a bound so fine that its digits would fill a page.
 */
export function numberRangeText(range: NumberRange): Expression | undefined {
  const { min, max, integer } = range
  if (min === -Infinity && max === Infinity) return integer ? integerText : numberText
  const bounds = [min, max].filter(Number.isFinite).map(decimalOf)
  const places = integer ? 0 : Math.max(...bounds.map((bound) => bound.places), fillingPlaces(range))
  if (places > maxBoundPlaces) return undefined
  const limit = largest * 10n ** BigInt(places)
  let low = min === -Infinity ? -limit : scaled(decimalOf(min), places, true)
  let high = max === Infinity ? limit : scaled(decimalOf(max), places, false)
  if (range.minExclusive) low = beyond(low, 1n, places, (value) => value > min)
  if (range.maxExclusive) high = beyond(high, -1n, places, (value) => value < max)
  // Where all of the range lies beyond what is written, it is not empty.
  if (low > limit || high < -limit) return min > max ? never : undefined
  low = low < -limit ? -limit : low
  high = high > limit ? limit : high
  if (low > high) return never
  const parts: Expression[] = []
  if (low < 0n) {
    const magnitude = decimals(high < 0n ? -high : 1n, -low, places)
    parts.push(sequence(literal('-'), magnitude))
  }
  if (high >= 0n) parts.push(decimals(low > 0n ? low : 0n, high, places))
  return choice(...parts)
}

/** The first step past a bound that a double tells from it, in steps that grow. */
function beyond(from: bigint, by: bigint, places: number, isPast: (value: number) => boolean): bigint {
  let at = from
  for (let step = by; !isPast(doubleOf(at, places)); step *= 10n) at += step
  return at
}

/** Digits after the point that make fifteen with those of the bounds before it, nine at most. */
function fillingPlaces({ min, max }: NumberRange): number {
  const before = [min, max]
    .filter(Number.isFinite)
    .map((bound) => Math.trunc(Math.abs(bound)).toString().length)
  return Math.min(9, Math.max(1, maxIntegerDigits - Math.max(...before)))
}

/** Texts of the numbers from `low` to `high`, both at least 0, in steps of ten to the power of minus `places`. */
function decimals(low: bigint, high: bigint, places: number): Expression {
  if (low > high) return never
  if (places === 0) return wholes(low, high)
  const unit = 10n ** BigInt(places)
  const [wholeLow, wholeHigh] = [low / unit, high / unit]
  const parts = (value: bigint): string => (value % unit).toString().padStart(places, '0')
  const [partLow, partHigh] = [parts(low), parts(high)]
  const all = '9'.repeat(places)
  const none = '0'.repeat(places)
  if (wholeLow === wholeHigh) return sequence(wholes(wholeLow, wholeLow), fraction(partLow, partHigh))
  const inner =
    wholeHigh - wholeLow > 1n ? [sequence(wholes(wholeLow + 1n, wholeHigh - 1n), fraction(none, all))] : []
  return choice(
    sequence(wholes(wholeLow, wholeLow), fraction(partLow, all)),
    ...inner,
    sequence(wholes(wholeHigh, wholeHigh), fraction(none, partHigh))
  )
}

/** A point and digits between two strings of digits of one length, or neither where that is 0. */
function fraction(low: string, high: string): Expression {
  if (low > high) return never
  const digits = sequence(literal('.'), between(low, high, true))
  return /^0*$/.test(low) ? choice(nothing, digits) : digits
}

/** Digits after the point, at most as many as given; zeros at the end may be left out. */
function between(low: string, high: string, first: boolean): Expression {
  if (low.length === 0) return nothing
  const zero = /^0*$/.test(low)
  if (zero && /^9*$/.test(high)) return anyDigits(first ? 1 : 0, low.length)
  const [a, b] = [Number(low[0]), Number(high[0])]
  const [restLow, restHigh] = [low.slice(1), high.slice(1)]
  const all = '9'.repeat(restLow.length)
  const none = '0'.repeat(restLow.length)
  const ways: Expression[] = zero && !first ? [nothing] : []
  if (a === b) return choice(...ways, sequence(digit(a, a), between(restLow, restHigh, false)))
  ways.push(sequence(digit(a, a), between(restLow, all, false)))
  if (b - a > 1) ways.push(sequence(digit(a + 1, b - 1), between(none, all, false)))
  ways.push(sequence(digit(b, b), between(none, restHigh, false)))
  return choice(...ways)
}

/** Whole numbers from `low` to `high`, both at least 0, without zeros in front. */
function wholes(low: bigint, high: bigint): Expression {
  const ways: Expression[] = []
  const shortest = low.toString().length
  const longest = high.toString().length
  for (let length = shortest; length <= longest; length++) {
    const from = length === shortest ? low.toString() : `1${'0'.repeat(length - 1)}`
    const to = length === longest ? high.toString() : '9'.repeat(length)
    ways.push(sameLength(from, to))
  }
  return choice(...ways)
}

/** Digits between two strings of digits of one length. */
function sameLength(low: string, high: string): Expression {
  if (low.length === 0) return nothing
  if (/^0*$/.test(low) && /^9*$/.test(high)) return anyDigits(low.length, low.length)
  const [a, b] = [Number(low[0]), Number(high[0])]
  const [restLow, restHigh] = [low.slice(1), high.slice(1)]
  if (a === b) return sequence(digit(a, a), sameLength(restLow, restHigh))
  const rest = restLow.length
  const ways = [sequence(digit(a, a), sameLength(restLow, '9'.repeat(rest)))]
  if (b - a > 1) ways.push(sequence(digit(a + 1, b - 1), anyDigits(rest, rest)))
  ways.push(sequence(digit(b, b), sameLength('0'.repeat(rest), restHigh)))
  return choice(...ways)
}
