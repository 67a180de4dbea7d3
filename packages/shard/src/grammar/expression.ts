/** A set of bytes as ranges in rising order, both ends included. */
export type ByteRanges = readonly (readonly [from: number, to: number])[]

/** A set of code points as ranges in rising order, both ends included. */
export type CodePointRanges = readonly (readonly [from: number, to: number])[]

/** What a text may be, byte by byte. */
export type Expression =
  | { readonly kind: 'bytes'; readonly ranges: ByteRanges }
  | { readonly kind: 'sequence'; readonly items: readonly Expression[] }
  | { readonly kind: 'choice'; readonly items: readonly Expression[] }
  | { readonly kind: 'repeat'; readonly item: Expression; readonly min: number; readonly max: number }
  | { readonly kind: 'rule'; readonly name: string }
  /** Any text up to a trigger, and what follows that; with `end`, also any text without a trigger. */
  | { readonly kind: 'until'; readonly ways: readonly Way[]; readonly end: boolean }

/** A text to look out for, and what has to follow it. No trigger is a part of another one. */
export interface Way {
  readonly trigger: string
  readonly next: Expression
}

/** Named expressions, one of which is a whole text. */
export interface Grammar {
  readonly root: string
  readonly rules: ReadonlyMap<string, Expression>
}

/** The empty text. */
export const nothing: Expression = { kind: 'sequence', items: [] }

/** No text at all. */
export const never: Expression = { kind: 'choice', items: [] }

/** True for what no text follows, as far as one sees without looking into rules. */
export const isNever = (expression: Expression): boolean =>
  expression.kind === 'choice' && expression.items.length === 0

/** Parts of an expression, about as many as it makes steps of a program. */
export function sizeOf(expression: Expression): number {
  switch (expression.kind) {
    case 'bytes':
    case 'rule':
      return 1
    case 'sequence':
    case 'choice':
      return expression.items.reduce((sum, item) => sum + sizeOf(item), 1)
    case 'repeat':
      return 1 + sizeOf(expression.item)
    case 'until':
      return expression.ways.reduce((sum, { next }) => sum + sizeOf(next), 1)
  }
}

/** One after the other. */
export function sequence(...items: readonly Expression[]): Expression {
  const flat = items.flatMap((item) => (item.kind === 'sequence' ? item.items : [item]))
  if (flat.some(isNever)) return never
  return flat.length === 1 ? (flat[0] as Expression) : { kind: 'sequence', items: flat }
}

/** One of them. */
export function choice(...items: readonly Expression[]): Expression {
  const flat = items.flatMap((item) => (item.kind === 'choice' ? item.items : [item]))
  return flat.length === 1 ? (flat[0] as Expression) : { kind: 'choice', items: flat }
}

/** Several times: at least `min`, at most `max`, which may be Infinity. */
export function repeat(item: Expression, min: number, max: number = Infinity): Expression {
  if (max < min) return never
  if (max === 0) return nothing
  if (isNever(item)) return min === 0 ? nothing : never
  return min === 1 && max === 1 ? item : { kind: 'repeat', item, min, max }
}

/** Once or not at all. */
export const optional = (item: Expression): Expression => repeat(item, 0, 1)

/** What a rule says. */
export const rule = (name: string): Expression => ({ kind: 'rule', name })

const encoder = new TextEncoder()

/** Exactly this text, in UTF-8. */
export function literal(text: string): Expression {
  return sequence(...Array.from(encoder.encode(text), (byte) => byteRange(byte, byte)))
}

/** One of these texts; what several begin with is there once, so that a text is in few places at once. */
export function texts(list: readonly string[]): Expression {
  const sorted = [...new Set(list)].map((text) => encoder.encode(text)).toSorted(compareBytes)
  const build = (from: number, to: number, depth: number): Expression => {
    const [first, last] = [sorted[from] as Uint8Array, sorted[to - 1] as Uint8Array]
    let shared = depth
    while (shared < first.length && shared < last.length && first[shared] === last[shared]) shared++
    const head = Array.from(first.subarray(depth, shared), (byte) => byteRange(byte, byte))
    const ways: Expression[] = []
    let start = from
    if (first.length === shared) {
      ways.push(nothing)
      start++
    }
    for (let at = start; at < to; at = start) {
      const byte = sorted[at]?.[shared]
      while (start < to && sorted[start]?.[shared] === byte) start++
      ways.push(build(at, start, shared))
    }
    return sequence(...head, choice(...ways))
  }
  return sorted.length === 0 ? never : build(0, sorted.length, 0)
}

function compareBytes(a: Uint8Array, b: Uint8Array): number {
  const length = Math.min(a.length, b.length)
  for (let at = 0; at < length; at++) {
    const difference = (a[at] as number) - (b[at] as number)
    if (difference !== 0) return difference
  }
  return a.length - b.length
}

/** One byte of these. */
export const byteRange = (from: number, to: number): Expression => ({ kind: 'bytes', ranges: [[from, to]] })

/** One ASCII character of these, written `09` for the range from 0 to 9. */
export function ascii(...ranges: readonly string[]): Expression {
  return {
    kind: 'bytes',
    ranges: ranges
      .map((range): [number, number] => [range.charCodeAt(0), range.charCodeAt(range.length - 1)])
      .toSorted((a, b) => a[0] - b[0])
  }
}
