import { KwaaiError } from '@kwaai/interface'

/** A value JSON can hold. Undefined members of objects are left out. */
export type JsonValue =
  | null
  | boolean
  | number
  | string
  | readonly JsonValue[]
  | { readonly [name: string]: JsonValue | undefined }

/** Levels of nesting at most. */
const maxDepth = 64

/**
 * The one JSON text of a value (RFC 8785): no white space, names in the order of their UTF-16 code units, numbers
 * and strings as ECMAScript writes them.
 *
 * @throws A KwaaiError `ERR_API_PROVENANCE_MALFORMED` for a number that is not finite, a lone surrogate, or more
 * than 64 levels.
 */
export function canonicalJson(value: JsonValue): string {
  return write(value, 0)
}

function write(value: JsonValue, depth: number): string {
  if (depth > maxDepth) throw malformed('is nested too deeply')
  if (typeof value === 'string') return text(value)
  if (typeof value === 'number' && !Number.isFinite(value)) throw malformed('has a number that is not finite')
  if (typeof value !== 'object' || value === null) return JSON.stringify(value)
  if (isList(value)) return `[${value.map((entry) => write(entry, depth + 1)).join(',')}]`
  const members = Object.entries(value)
    .filter((member): member is [string, JsonValue] => member[1] !== undefined)
    // The comparison of strings is that of their UTF-16 code units, which is the order RFC 8785 §3.2.3 asks for.
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
  return `{${members.map(([name, member]) => `${text(name)}:${write(member, depth + 1)}`).join(',')}}`
}

// `Array.isArray` does not narrow a readonly array out of a union.
function isList(value: object): value is readonly JsonValue[] {
  return Array.isArray(value)
}

function text(value: string): string {
  // With the `u` flag a pair is one character, so only a lone half is of this class.
  if (/\p{Surrogate}/u.test(value)) throw malformed('has a text that is not Unicode')
  return JSON.stringify(value)
}

function malformed(why: string): KwaaiError<'ERR_API_PROVENANCE_MALFORMED'> {
  return new KwaaiError('ERR_API_PROVENANCE_MALFORMED', `Cannot write canonical JSON: the value ${why}`)
}
