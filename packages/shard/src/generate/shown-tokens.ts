import type { TokenLogprobs } from '@kwaai/interface'
import { createUtf8Units } from './utf8-units.ts'

/** Text that shows, and the tokens it is made of. */
export interface ShownText {
  text: string
  logprobs: readonly TokenLogprobs[]
}

/**
 * Keeps tokens and the text they make together, while some of the text is held back, cut or hidden: what is shown
 * is handed out in whole tokens, so that the bytes of the tokens are exactly those of the text.
 */
export interface ShownTokens {
  /** A token came, after those before it. */
  push(token: TokenLogprobs): void
  /** No more tokens come: an unfinished character shows as U+FFFD. */
  end(): void
  /** The next text is to be shown. It comes out as soon as its last token is complete. */
  show(text: string): ShownText
  /** All text that was to be shown. Of a token of which only the beginning shows, the bytes are those that show. */
  flush(): ShownText
  /** The next text never shows, and its tokens neither. Everything before it was handed out. */
  skip(text: string): void
}

interface Entry {
  token: TokenLogprobs
  /** What shows of it and was not handed out yet. */
  bytes: number[]
  /** False while a character it begins is not complete. */
  complete: boolean
  /** Its last character ends in the next token. */
  joined: boolean
}

const encoder = new TextEncoder()
const replacement = [...encoder.encode('\ufffd')]

/** Makes an account for one answer. */
export function createShownTokens(): ShownTokens {
  const entries: Entry[] = []
  /** Text to be shown, and its length in bytes. */
  let ready = ''
  let readyBytes = 0
  /** The bytes of the character under way, by their tokens. */
  const unit: { entry: Entry; byte: number }[] = []
  const units = createUtf8Units({
    character(count) {
      const parts = unit.splice(0, count)
      const last = parts.at(-1)?.entry
      for (const { entry, byte } of parts) {
        entry.bytes.push(byte)
        entry.joined = entry !== last
        entry.complete = true
      }
    },
    illFormed(count) {
      // It shows with its first token: of the others nothing shows.
      const parts = unit.splice(0, count)
      parts[0]?.entry.bytes.push(...replacement)
      for (const { entry } of parts) entry.complete = true
    }
  })

  /** Hands out the first tokens, `bytes` bytes of them. */
  const take = (bytes: number): ShownText => {
    const logprobs: TokenLogprobs[] = []
    let left = bytes
    while (entries.length > 0) {
      const [entry] = entries as [Entry]
      const some = entry.bytes.splice(0, left)
      left -= some.length
      if (some.length > 0) logprobs.push({ ...entry.token, bytes: Uint8Array.from(some) })
      if (entry.bytes.length > 0 || !entry.complete) break
      entries.shift()
    }
    const text = bytes === readyBytes ? ready : prefixOf(ready, bytes)
    ready = ready.slice(text.length)
    readyBytes -= bytes
    return { text, logprobs }
  }

  return {
    push(token) {
      const entry: Entry = { token, bytes: [], complete: true, joined: false }
      entries.push(entry)
      for (const byte of token.bytes) {
        unit.push({ entry, byte })
        units.push(byte)
      }
      if (unit.some((part) => part.entry === entry)) entry.complete = false
    },
    end: units.end,
    show(text) {
      ready += text
      readyBytes += encoder.encode(text).length
      let sum = 0
      let whole = 0
      for (const { bytes, complete, joined } of entries) {
        sum += bytes.length
        if (!complete || sum > readyBytes) break
        // One without bytes may stand in the middle of a character.
        if (!joined && bytes.length > 0) whole = sum
      }
      return take(whole)
    },
    flush: () => take(readyBytes),
    skip(text) {
      ready = text
      readyBytes = encoder.encode(text).length
      take(readyBytes)
    }
  }
}

/** The beginning of a text that has so many bytes in UTF-8. */
function prefixOf(text: string, bytes: number): string {
  let left = bytes
  let end = 0
  for (const character of text) {
    if (left <= 0) break
    left -= encoder.encode(character).length
    end += character.length
  }
  return text.slice(0, end)
}
