/** Cuts a streamed text at the first stop string. */
export interface StopStrings {
  /**
   * Takes the next text; hands back what may be shown now. Characters that could begin a stop string are held
   * back, at most the length of the longest stop string less one.
   */
  push(text: string): { text: string; stopped: boolean }
  /** The text held back, which turned out to begin no stop string. */
  flush(): string
}

/** For each prefix of `pattern`, the length of its longest proper prefix that also ends it (Knuth, Morris, Pratt 1977). */
function borders(pattern: string): Int32Array {
  const table = new Int32Array(pattern.length)
  let length = 0
  for (let i = 1; i < pattern.length; i++) {
    while (length > 0 && pattern[i] !== pattern[length]) length = table[length - 1] as number
    if (pattern[i] === pattern[length]) length++
    table[i] = length
  }
  return table
}

/**
 * Watches a text for stop strings. The result does not depend on how the text is cut into pieces: the stop
 * string that is complete first ends it, and of two that end together the longer one.
 */
export function createStopStrings(stops: readonly string[]): StopStrings {
  const patterns = stops.map((text) => ({ text, table: borders(text), matched: 0 }))
  let held = ''

  return {
    push(text) {
      const buffer = held + text
      for (let i = held.length; i < buffer.length; i++) {
        let cut = -1
        for (const pattern of patterns) {
          while (pattern.matched > 0 && pattern.text[pattern.matched] !== buffer[i]) {
            pattern.matched = pattern.table[pattern.matched - 1] as number
          }
          if (pattern.text[pattern.matched] === buffer[i]) pattern.matched++
          if (pattern.matched === pattern.text.length) cut = Math.max(cut, pattern.matched)
        }
        if (cut !== -1) {
          held = ''
          return { text: buffer.slice(0, i + 1 - cut), stopped: true }
        }
      }
      const hold = patterns.reduce((most, { matched }) => Math.max(most, matched), 0)
      held = buffer.slice(buffer.length - hold)
      return { text: buffer.slice(0, buffer.length - hold), stopped: false }
    },
    flush() {
      const rest = held
      held = ''
      for (const pattern of patterns) pattern.matched = 0
      return rest
    }
  }
}
