/** Text of tokens that arrive one by one. The pieces, joined, are the text of all tokens together. */
export interface Detokenizer {
  /** The characters complete with this token; none while one is cut in the middle. */
  push(token: number): string
  /** What is left at the end: U+FFFD for a character that was never completed. */
  flush(): string
}

/** Decodes UTF-8 that arrives in pieces which may cut a character anywhere. */
export function createDetokenizer(bytesOf: (token: number) => Uint8Array): Detokenizer {
  // A byte order mark is text like any other here.
  const decoder = new TextDecoder('utf-8', { ignoreBOM: true })
  return {
    push: (token) => decoder.decode(bytesOf(token), { stream: true }),
    flush: () => decoder.decode()
  }
}
