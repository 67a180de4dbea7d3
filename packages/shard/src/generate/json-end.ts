/** Finds where a JSON value ends that comes in pieces. */
export interface JsonEnd {
  /** @returns how many characters of this piece belong to the value, and whether it ended with them. */
  push(text: string): { length: number; ended: boolean }
}

/**
 * Watches a text that begins with one JSON value and goes on with something else. Only its end is found; whether it
 * is well-formed has been seen to by the grammar.
 */
export function createJsonEnd(): JsonEnd {
  let depth = 0
  let quoted = false
  let escaped = false
  /** Inside a number or a word at the top, which ends with the first character that is of none. */
  let bare = false

  /** True where the value ends with this character, undefined where it ended before it. */
  const endsWith = (character: string): boolean | undefined => {
    if (quoted) {
      if (escaped) escaped = false
      else if (character === '\\') escaped = true
      else if (character === '"') quoted = false
      return !quoted && depth === 0
    }
    if (bare && !/[-+.\w]/.test(character)) return undefined
    if (character === '"') quoted = true
    else if (character === '{' || character === '[') depth++
    else if (character === '}' || character === ']') return --depth === 0
    else if (depth === 0 && !/\s/.test(character)) bare = true
    return false
  }

  return {
    push(text) {
      for (let i = 0; i < text.length; i++) {
        const ends = endsWith(text[i] as string)
        if (ends === undefined) return { length: i, ended: true }
        if (ends) return { length: i + 1, ended: true }
      }
      return { length: text.length, ended: false }
    }
  }
}
