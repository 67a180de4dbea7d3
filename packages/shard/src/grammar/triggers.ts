import type { ByteRanges } from './expression.ts'

/**
 * A state of the search for triggers: where each byte leads, bytes that lead to the same place together. A place is a
 * state or, where a trigger is complete, -1 less the trigger's index.
 */
export interface TriggerState {
  readonly moves: readonly (readonly [place: number, ranges: ByteRanges])[]
}

/**
 * Finds the first of several texts in a stream of bytes: the states of Aho and Corasick's automaton (1975), which
 * stops where a text is complete. State 0 is the beginning. No text is a part of another one.
 */
export function triggerTable(texts: readonly string[]): TriggerState[] {
  const encoder = new TextEncoder()
  const children: Map<number, number>[] = [new Map()]
  const complete: (number | undefined)[] = [undefined]
  for (const [index, text] of texts.entries()) {
    let at = 0
    for (const byte of encoder.encode(text)) {
      let next = children[at]?.get(byte)
      if (next === undefined) {
        next = children.push(new Map()) - 1
        complete.push(undefined)
        children[at]?.set(byte, next)
      }
      at = next
    }
    complete[at] = index
  }
  // In order of depth, so that where a state falls back to is known before its children are looked at.
  const fallback = [0]
  const table: number[][] = []
  const order = [0]
  for (const state of order) {
    const back = fallback[state] ?? 0
    const row = Array.from({ length: 256 }, (_, byte) => {
      const child = children[state]?.get(byte)
      return child ?? (state === 0 ? 0 : (table[back]?.[byte] ?? 0))
    })
    table[state] = row
    for (const [byte, child] of children[state] ?? []) {
      fallback[child] = state === 0 ? 0 : (table[back]?.[byte] ?? 0)
      order.push(child)
    }
  }
  return table.map((row) => {
    const moves = new Map<number, [number, number][]>()
    for (const [byte, target] of row.entries()) {
      const done = complete[target]
      const key = done === undefined ? target : -1 - done
      const ranges = moves.get(key) ?? []
      const last = ranges.at(-1)
      if (last !== undefined && last[1] === byte - 1) last[1] = byte
      else ranges.push([byte, byte])
      moves.set(key, ranges)
    }
    return { moves: [...moves] }
  })
}
