import { checkJson, parseJson, type JsonObject } from '../json.ts'
import { isObject } from './shape.ts'

/** Largest credential or presentation read from text, in UTF-16 code units. */
const maxLength = 2 ** 20

/** A document that was read, or why it could not be. */
export type ReadDocument = { document: JsonObject } | { fault: string }

/** Reads JSON text or bytes strictly, and holds a value that somebody else parsed to the same rules. */
export function readDocument(input: unknown): ReadDocument {
  try {
    let value: unknown = input
    if (input instanceof Uint8Array) {
      if (input.length > maxLength * 3) return { fault: 'The document is too large' }
      value = parseJson(new TextDecoder('utf-8', { fatal: true }).decode(input), { maxLength })
    } else if (typeof input === 'string') {
      value = parseJson(input, { maxLength })
    } else {
      checkJson(input)
    }
    return isObject(value) ? { document: value } : { fault: 'The document is no object' }
  } catch (error) {
    return { fault: error instanceof Error ? error.message : 'The document cannot be read' }
  }
}
