/** A number as a person reads it: 12.3, 250, 0.07. */
export function figure(value: number): string {
  const digits = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 1 ? 1 : 2
  return String(Number(value.toFixed(digits)))
}

/** Text of a peer on one line, without what could move a terminal's cursor. */
export function plain(text: string): string {
  return text.slice(0, 64).replace(/\p{C}/gu, '\ufffd')
}

/** "12 to 17", "12": blocks of a range whose end is one past the last. */
export function blocksOf(from: number, to: number): string {
  return to - from === 1 ? `block ${from}` : `blocks ${from} to ${to - 1}`
}
