import { shardError } from '../errors.ts'

/** Hides the texts of control tokens behind single private-use characters, and brings them back. */
export interface StandIns {
  /** A text in which no control token can be read. */
  hide(text: string): string
  /** The text as it was. */
  restore(text: string): string
}

// U+E000 to U+F8FE stand for texts, U+F8FF marks a private-use character that was in a text to begin with.
const first = 0xe000
const marker = '\uF8FF'
const room = 0xf8ff - first

/**
 * Text of messages goes through a template and must come out as text: a control token's name in it may not be
 * taken for one the template wrote. So each name is replaced by a private-use character before the rendering,
 * and put back after the control tokens have been told apart. Private-use characters that are in a message
 * already get a mark before them, so that none can pass for a name.
 */
export function createStandIns(names: readonly string[]): StandIns {
  // Alternatives are tried in order: the longest name first.
  const longestFirst = names.filter((name) => name !== '').toSorted((a, b) => b.length - a.length)
  const pattern = new RegExp(['[\\uE000-\\uF8FF]', ...longestFirst.map(escape)].join('|'), 'gu')
  const charOf = new Map<string, string>()
  const nameOf = new Map<string, string>()

  return {
    hide: (text) =>
      text.replace(pattern, (match) => {
        if (/^[\uE000-\uF8FF]$/.test(match)) return marker + match
        const known = charOf.get(match)
        if (known !== undefined) return known
        if (charOf.size === room) {
          throw shardError(
            'ERR_MODEL_INVALID_REQUEST',
            'Cannot use the messages: they name too many control tokens',
            {
              details: { param: 'messages' }
            }
          )
        }
        const char = String.fromCharCode(first + charOf.size)
        charOf.set(match, char)
        nameOf.set(char, match)
        return char
      }),
    restore: (text) =>
      text.replace(/\uF8FF([\uE000-\uF8FF])|[\uE000-\uF8FF]/g, (match, kept: string | undefined) =>
        kept === undefined ? (nameOf.get(match) ?? '') : kept
      )
  }
}

function escape(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&')
}
