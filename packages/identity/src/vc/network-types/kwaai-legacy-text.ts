import { parseJson, type JsonObject, type JsonValue } from '../../json.ts'

/** Orders of claims that are tried: 4! for four claims, one for more. */
const maxPermuted = 4

// Marks a number whose digits are kept; a private character that no credential has, or it is refused.
const mark = '\ue000'
const lexeme = /"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g

/** Reads JSON and keeps how its numbers are written: serde_json writes 33.0 where JavaScript would write 33. */
export function parseKeepingNumbers(text: string, maxLength: number): JsonValue | undefined {
  if (text.includes(mark) || /\\u[eE]000/.test(text)) return undefined
  try {
    // What is no JSON, or has two meanings, is refused before anything is replaced in it.
    parseJson(text, { maxLength })
    const marked = text.replace(lexeme, (piece) => (piece.startsWith('"') ? piece : `"${mark}${piece}"`))
    return JSON.parse(marked) as JsonValue
  } catch {
    return undefined
  }
}

/** What {@link parseKeepingNumbers} read, as numbers again. */
export function withNumbers(value: JsonValue): JsonValue {
  return JSON.parse(compact(value)) as JsonValue
}

/** The compact text as serde_json writes it: names in the order they stand in, numbers as they were. */
function compact(value: JsonValue): string {
  if (typeof value === 'string') return value.startsWith(mark) ? value.slice(1) : JSON.stringify(value)
  if (value === null || typeof value !== 'object') return JSON.stringify(value)
  if (Array.isArray(value)) return `[${(value as readonly JsonValue[]).map(compact).join(',')}]`
  return object(Object.entries(value as JsonObject))
}

function object(members: readonly (readonly [string, JsonValue])[]): string {
  return `{${members.map(([name, member]) => `${JSON.stringify(name)}:${compact(member)}`).join(',')}}`
}

function* permutations<T>(all: readonly T[]): Generator<readonly T[]> {
  if (all.length < 2) {
    yield all
    return
  }
  for (const [i, first] of all.entries()) {
    for (const rest of permutations(all.toSpliced(i, 1))) yield [first, ...rest]
  }
}

// The fields of kwaai-trust's VerifiableCredential in the order serde_json writes a struct.
const fields = [
  '@context',
  'id',
  'type',
  'issuer',
  'issuanceDate',
  'expirationDate',
  'credentialSubject'
] as const

/** The names a legacy credential may have. */
export const legacyFields: ReadonlySet<string> = new Set([...fields, 'proof'])

/**
 * Every text that may have been signed. The struct's fields have one order; the claims are a HashMap, which another
 * process writes in another order, so that up to four are tried in all of theirs.
 */
export function* signedTexts(credential: JsonObject): Generator<string> {
  const { id, ...claims } = credential['credentialSubject'] as JsonObject
  const entries = Object.entries(claims)
  for (const order of entries.length <= maxPermuted ? permutations(entries) : [entries]) {
    const subject = [...(id === undefined ? [] : [['id', id] as const]), ...order]
    yield `{${fields
      .filter((name) => credential[name] !== undefined)
      .map((name) => {
        const value = name === 'credentialSubject' ? object(subject) : compact(credential[name] as JsonValue)
        return `${JSON.stringify(name)}:${value}`
      })
      .join(',')}}`
  }
}
