import { choice, sequence, byteRange, type CodePointRanges, type Expression } from './expression.ts'

/** Every character UTF-8 can write: all code points but the halves of surrogate pairs. */
export const allCodePoints: CodePointRanges = [
  [0, 0xd7ff],
  [0xe000, 0x10ffff]
]

/** Ranges in rising order that neither touch nor overlap, without surrogates. */
export function normalRanges(ranges: CodePointRanges): CodePointRanges {
  const sorted = ranges.filter(([from, to]) => from <= to).toSorted((a, b) => a[0] - b[0])
  const merged: [number, number][] = []
  for (const [from, to] of sorted) {
    const last = merged.at(-1)
    if (last !== undefined && from <= last[1] + 1) last[1] = Math.max(last[1], to)
    else merged.push([from, to])
  }
  return intersectRanges(merged, allCodePoints)
}

/** Whether a code point is in ranges that are in rising order; halves them until one is left. */
export function holdsPoint(ranges: CodePointRanges, point: number): boolean {
  let low = 0
  let high = ranges.length - 1
  while (low < high) {
    const middle = (low + high + 1) >> 1
    if ((ranges[middle] as readonly [number, number])[0] <= point) low = middle
    else high = middle - 1
  }
  const range = ranges[low]
  return range !== undefined && range[0] <= point && point <= range[1]
}

/** What both have. */
export function intersectRanges(a: CodePointRanges, b: CodePointRanges): CodePointRanges {
  const out: [number, number][] = []
  for (let i = 0, k = 0; i < a.length && k < b.length;) {
    const [fromA, toA] = a[i] as [number, number]
    const [fromB, toB] = b[k] as [number, number]
    const from = Math.max(fromA, fromB)
    const to = Math.min(toA, toB)
    if (from <= to) out.push([from, to])
    if (toA < toB) i++
    else k++
  }
  return out
}

/** All characters but these; `ranges` in normal form. */
export function exceptRanges(ranges: CodePointRanges): CodePointRanges {
  const out: [number, number][] = []
  let next = 0
  for (const [from, to] of ranges) {
    if (from > next) out.push([next, from - 1])
    next = to + 1
  }
  if (next <= 0x10ffff) out.push([next, 0x10ffff])
  return intersectRanges(out, allCodePoints)
}

// Where the number of bytes of a character changes (RFC 3629, section 3).
const lengths = [0x7f, 0x7ff, 0xffff, 0x10ffff]

/** One character of these, in UTF-8: the shortest form alone, as RFC 3629 has it. */
export function codePoints(ranges: CodePointRanges): Expression {
  const parts: Expression[] = []
  for (const [from, to] of intersectRanges(ranges, allCodePoints)) {
    let low = from
    for (const high of lengths) {
      if (low > high) continue
      parts.push(...split(encode(low), encode(Math.min(to, high))))
      low = high + 1
      if (low > to) break
    }
  }
  const single = parts.flatMap((part) => (part.kind === 'bytes' ? part.ranges : []))
  const others = parts.filter(({ kind }) => kind !== 'bytes')
  return choice(...(single.length > 0 ? [{ kind: 'bytes', ranges: single } as const] : []), ...others)
}

/** The strings of bytes between two of one length, as sequences of ranges. */
function split(low: readonly number[], high: readonly number[]): Expression[] {
  const [firstLow = 0, ...restLow] = low
  const [firstHigh = 0, ...restHigh] = high
  if (restLow.length === 0) return [byteRange(firstLow, firstHigh)]
  if (firstLow === firstHigh) {
    return split(restLow, restHigh).map((rest) => sequence(byteRange(firstLow, firstLow), rest))
  }
  const out: Expression[] = []
  const lowest = restLow.every((byte) => byte === 0x80)
  const highest = restHigh.every((byte) => byte === 0xbf)
  const from = lowest ? firstLow : firstLow + 1
  const to = highest ? firstHigh : firstHigh - 1
  const first = (byte: number, rest: Expression): Expression => sequence(byteRange(byte, byte), rest)
  if (!lowest) {
    out.push(
      ...split(
        restLow,
        restLow.map(() => 0xbf)
      ).map((rest) => first(firstLow, rest))
    )
  }
  if (from <= to) out.push(sequence(byteRange(from, to), ...restLow.map(() => byteRange(0x80, 0xbf))))
  if (!highest) {
    out.push(
      ...split(
        restHigh.map(() => 0x80),
        restHigh
      ).map((rest) => first(firstHigh, rest))
    )
  }
  return out
}

function encode(point: number): number[] {
  if (point < 0x80) return [point]
  const tail = (shift: number): number => 0x80 | ((point >> shift) & 0x3f)
  if (point < 0x800) return [0xc0 | (point >> 6), tail(0)]
  if (point < 0x10000) return [0xe0 | (point >> 12), tail(6), tail(0)]
  return [0xf0 | (point >> 18), tail(12), tail(6), tail(0)]
}
