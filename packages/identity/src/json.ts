import { ERR_IDENTITY_INVALID_JSON, identityError } from './errors.ts'

/** Whatever JSON can say. */
export type JsonValue = null | boolean | number | string | readonly JsonValue[] | JsonObject

/** An object of JSON. */
export interface JsonObject {
  readonly [name: string]: JsonValue
}

/** How much JSON is read. */
export interface ParseJsonOptions {
  /** Longest text, in UTF-16 code units. Default 1 Mi. */
  maxLength?: number
  /** Deepest nesting. Default 64. */
  maxDepth?: number
}

const defaultMaxLength = 2 ** 20
const defaultMaxDepth = 64

function refuse(why: string): never {
  throw identityError(ERR_IDENTITY_INVALID_JSON, `Cannot read the JSON: ${why}`)
}

// One lexical piece; strings are whole, so that what looks like structure inside of them is none.
const lexeme = /"(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s"{}[\],:]+/gy
const space = /\s*/y

/**
 * Reads JSON that has one meaning for every reader: refused are names that stand twice in an object, `__proto__`,
 * surrogates without their half (I-JSON, RFC 7493, section 2) and numbers beyond what a double holds.
 *
 * @throws A KwaaiError `ERR_IDENTITY_INVALID_JSON`.
 */
export function parseJson(text: string, options: ParseJsonOptions = {}): JsonValue {
  const { maxLength = defaultMaxLength, maxDepth = defaultMaxDepth } = options
  if (text.length > maxLength) refuse(`its ${text.length} characters are more than the ${maxLength} allowed`)
  let value: JsonValue
  try {
    value = JSON.parse(text) as JsonValue
  } catch (cause) {
    refuse(`it is not JSON (${(cause as Error).message})`)
  }
  checkNames(text, maxDepth)
  checkJson(value, maxDepth)
  return value
}

/** The text is JSON; what `JSON.parse` silently drops is looked for in it. */
function checkNames(text: string, maxDepth: number): void {
  const open: (Set<string> | undefined)[] = []
  let previous = ''
  for (let at = 0; ;) {
    space.lastIndex = at
    space.exec(text)
    lexeme.lastIndex = space.lastIndex
    const piece = lexeme.exec(text)?.[0]
    if (piece === undefined) return
    at = lexeme.lastIndex
    if (piece === '{' || piece === '[') {
      if (open.push(piece === '{' ? new Set() : undefined) > maxDepth)
        refuse(`it is nested deeper than ${maxDepth}`)
    } else if (piece === '}' || piece === ']') {
      open.pop()
    } else if (piece.startsWith('"') && (previous === '{' || previous === ',')) {
      const names = open.at(-1)
      if (names !== undefined) {
        const name = JSON.parse(piece) as string
        if (names.has(name)) refuse(`the name ${shownName(name)} stands twice in one object`)
        names.add(name)
      }
    }
    previous = piece
  }
}

/**
 * Holds a value to what {@link parseJson} allows: for values that somebody else parsed or a program built.
 *
 * @throws A KwaaiError `ERR_IDENTITY_INVALID_JSON`.
 */
export function checkJson(value: unknown, maxDepth: number = defaultMaxDepth): asserts value is JsonValue {
  if (value === null || typeof value === 'boolean') return
  if (typeof value === 'string') {
    if (!value.isWellFormed()) refuse('a string has half of a surrogate pair')
    return
  }
  if (typeof value === 'number') {
    if (!Number.isFinite(value)) refuse('a number is not finite')
    return
  }
  if (typeof value !== 'object') refuse(`a ${typeof value} is no JSON`)
  if (maxDepth <= 0) refuse('it is nested too deep')
  if (Array.isArray(value)) {
    // A hole is no JSON, and forEach would skip it.
    for (let i = 0; i < value.length; i++) checkJson(value[i], maxDepth - 1)
    return
  }
  const prototype: unknown = Object.getPrototypeOf(value)
  if (prototype !== Object.prototype && prototype !== null)
    refuse('an object is not a plain one, such as a Date')
  for (const name of Object.keys(value)) {
    if (name === '__proto__') refuse('the name "__proto__" is not allowed')
    if (!name.isWellFormed()) refuse('a name has half of a surrogate pair')
    checkJson((value as Record<string, unknown>)[name], maxDepth - 1)
  }
}

function shownName(name: string): string {
  return JSON.stringify(name.length > 40 ? `${name.slice(0, 40)}…` : name)
}

/**
 * The canonical form of a JSON value (RFC 8785): names in the order of their UTF-16 code units, no white space,
 * numbers and strings as ECMAScript writes them. Members that are `undefined` are left out, as `JSON.stringify` does.
 *
 * @throws A KwaaiError `ERR_IDENTITY_INVALID_JSON` for what is no JSON: numbers that are not finite, halves of
 * surrogate pairs, other objects than plain ones.
 */
export function canonicalizeJson(value: unknown): string {
  return canonical(value, defaultMaxDepth)
}

function canonical(value: unknown, depth: number): string {
  if (typeof value === 'string') return quoted(value)
  if (typeof value !== 'object' || value === null) {
    checkJson(value)
    return JSON.stringify(value)
  }
  if (depth <= 0) refuse('it is nested too deep')
  if (Array.isArray(value)) {
    let text = '['
    for (let i = 0; i < value.length; i++) text += (i === 0 ? '' : ',') + canonical(value[i], depth - 1)
    return `${text}]`
  }
  const prototype: unknown = Object.getPrototypeOf(value)
  if (prototype !== Object.prototype && prototype !== null)
    refuse('an object is not a plain one, such as a Date')
  let text = '{'
  for (const name of Object.keys(value).toSorted()) {
    const member = (value as Record<string, unknown>)[name]
    if (member === undefined) continue
    text += `${text.length === 1 ? '' : ','}${quoted(name)}:${canonical(member, depth - 1)}`
  }
  return `${text}}`
}

// What is ASCII and needs no escape, as nearly everything that is signed.
const plain = /^[ !#-[\]-~]*$/

function quoted(text: string): string {
  if (plain.test(text)) return `"${text}"`
  checkJson(text)
  return JSON.stringify(text)
}
