/** Bytes on the way to characters. */
export interface Utf8Units {
  /** Takes the next byte. */
  push(byte: number): void
  /** No more bytes come: an unfinished character is ill-formed. */
  end(): void
}

/** What is told of characters. `bytes` counts those of the source. */
export interface Utf8Events {
  /** A character of so many bytes. */
  character(bytes: number): void
  /** So many bytes that form none; they show as one U+FFFD. */
  illFormed(bytes: number): void
}

/**
 * Cuts bytes that come one by one into characters, ill-formed ones as `TextDecoder` does (WHATWG Encoding, section
 * 8.1.1, the UTF-8 decoder).
 */
export function createUtf8Units(events: Utf8Events): Utf8Units {
  let seen = 0
  let needed = 0
  let lower = 0x80
  let upper = 0xbf

  const begin = (byte: number): void => {
    seen = 1
    lower = 0x80
    upper = 0xbf
    if (byte <= 0x7f) needed = 1
    else if (byte >= 0xc2 && byte <= 0xdf) needed = 2
    else if (byte >= 0xe0 && byte <= 0xef) {
      needed = 3
      if (byte === 0xe0) lower = 0xa0
      if (byte === 0xed) upper = 0x9f
    } else if (byte >= 0xf0 && byte <= 0xf4) {
      needed = 4
      if (byte === 0xf0) lower = 0x90
      if (byte === 0xf4) upper = 0x8f
    } else needed = 0
  }
  const settle = (): void => {
    const bytes = seen
    if (needed === 0) {
      seen = 0
      events.illFormed(bytes)
    } else if (seen === needed) {
      seen = 0
      events.character(bytes)
    }
  }
  const end = (): void => {
    const bytes = seen
    seen = 0
    if (bytes > 0) events.illFormed(bytes)
  }

  return {
    push(byte) {
      if (seen > 0 && byte >= lower && byte <= upper) {
        seen++
        lower = 0x80
        upper = 0xbf
      } else {
        end()
        begin(byte)
      }
      settle()
    },
    end
  }
}
