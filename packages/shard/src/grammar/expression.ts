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
