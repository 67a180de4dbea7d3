import * as z from 'zod'
import { invalid, unsupported } from './refusals.ts'
import { takesAsIs } from './takes-as-is.ts'

/** What is known of a field that is not honoured: the values of it that ask for nothing. */
export type NotHonoured = Readonly<Record<string, z.ZodType>>

/** A checked body. */
export interface ParsedFields<T> {
  fields: T
  /** Fields nobody here knows, as `name`, `messages[].name`. */
  ignored: readonly string[]
}

// More are not told, so more need not be found.
const maxIgnored = 50

/**
 * How a body is checked: to its first complaint, for no other is told. Each of a million wrong entries would cost
 * a complaint of its own, and nobody else is served meanwhile.
 */
export const untilFirst: z.core.ParseContextInternal<z.core.$ZodIssue> = { abortEarly: true }

/** Checks a body. @throws A `RequestRefused` with 400 that names the parameter. */
export type FieldParser<T> = (body: Readonly<Record<string, unknown>>) => ParsedFields<T>

/**
 * Makes the check of bodies against a schema. A null field counts as absent, as with OpenAI.
 * @param notHonoured fields that are known and refused by name unless they ask for nothing
 */
export function createFieldParser<T>(schema: z.ZodType<T>, notHonoured: NotHonoured): FieldParser<T> {
  let asIs: ((body: unknown) => boolean) | undefined
  return (body) => {
    asIs ??= takesAsIs(schema)
    // Nearly all bodies are right and have nothing else in them: a look is enough.
    if (asIs(body)) return { fields: body as T, ignored: [] }
    return parseFields(schema, body, notHonoured)
  }
}

function parseFields<T>(
  schema: z.ZodType<T>,
  body: Readonly<Record<string, unknown>>,
  notHonoured: NotHonoured
): ParsedFields<T> {
  const given = Object.values(body).includes(null)
    ? Object.fromEntries(Object.entries(body).filter(([, value]) => value !== null))
    : body
  const result = schema.safeParse(given, untilFirst)
  if (!result.success) throw refusalOfIssue(result.error.issues[0], given)
  const unknown = new Set<string>()
  collectUnknown(given, result.data, '', unknown)
  for (const [name, nothing] of Object.entries(notHonoured)) {
    if (!Object.hasOwn(given, name)) continue
    if (!nothing.safeParse(given[name]).success) throw unsupported(name)
    unknown.delete(name)
  }
  return { fields: result.data, ignored: [...unknown] }
}

/** One of the values. */
export function is(...values: readonly (string | boolean)[]): z.ZodType {
  return z.literal(values)
}

/** A list or record without entries. */
export const isEmpty: z.ZodType = z.union([z.array(z.unknown()).max(0), z.strictObject({})])

/** No value asks for nothing. */
export const never: z.ZodType = z.never()

/**
 * Says what `/openapi.json` shows in the place of a schema that lets more in than is honoured, so that the rest can
 * be refused by name.
 * @param served another schema, a JSON Schema, or false where nothing is honoured
 */
export function servedAs<T extends z.ZodType>(schema: T, served: z.ZodType | object | false): T {
  return schema.meta({ served })
}

/**
 * A record whose entries are looked at one by one until the first that is wrong: zod looks at all of them, and
 * makes a complaint of each.
 */
export function entryByEntry<V>(record: z.ZodType<Record<string, V>>): z.ZodType<Record<string, V>> {
  const entries = z.unknown().check(({ value, issues }) => {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return
    for (const [name, entry] of Object.entries(value)) {
      const [issue] = record.safeParse({ [name]: entry }).error?.issues ?? []
      if (issue === undefined) continue
      issues.push({ ...issue, input: entry })
      return
    }
  })
  return servedAs(entries.pipe(record), record)
}

/** A schema leaves out what it does not know; the difference has the names. */
function collectUnknown(given: unknown, known: unknown, at: string, names: Set<string>): void {
  if (given === known || names.size >= maxIgnored) return
  if (typeof given !== 'object' || typeof known !== 'object' || given === null || known === null) return
  if (Array.isArray(given)) {
    const name = `${at}[]`
    for (let index = 0; index < given.length; index++)
      collectUnknown(given[index], Reflect.get(known, index), name, names)
    return
  }
  const nameOf = (key: string): string => (at === '' ? key : `${at}.${key}`)
  const keys = Object.keys(given)
  for (const key of keys) if (!Object.hasOwn(known, key)) names.add(nameOf(key))
  for (const key of keys) {
    const value: unknown = Reflect.get(given, key)
    // Only what has names of its own can have unknown ones.
    if (typeof value === 'object' && Object.hasOwn(known, key))
      collectUnknown(value, Reflect.get(known, key), nameOf(key), names)
  }
}

type Issue = z.core.$ZodIssue

/** What the first complaint of a schema is told as. */
export function refusalOfIssue(first: Issue | undefined, given: unknown): Error {
  if (first === undefined) return invalid('The body is invalid')
  const issue = deepest(first)
  const { path, message: text } = issue
  if (issue.code === 'unrecognized_keys') return unsupported(pathName([...path, issue.keys[0] ?? '']))
  const param = pathName(path)
  if (valueAt(given, path) === undefined)
    return invalid(`'${param}' is required`, param, 'missing_required_parameter')
  const code = issue.code === 'invalid_type' ? 'invalid_type' : 'invalid_value'
  return invalid(`'${param}' is invalid: ${text}`, param, code)
}

/** Of a union's complaints the one that got furthest into the value says most. */
function deepest(issue: Issue): Issue {
  if (issue.code !== 'invalid_union') return issue
  let best: Issue | undefined
  for (const [first] of issue.errors) {
    if (first === undefined) continue
    if (first.path.length === 0) {
      // Right but for its size: what the others say of its entries is beside the point.
      if (first.code === 'too_big') return issue
      continue
    }
    const candidate = deepest({ ...first, path: [...issue.path, ...first.path] })
    if (best === undefined || candidate.path.length > best.path.length) best = candidate
  }
  return best ?? issue
}

function pathName(path: readonly PropertyKey[]): string {
  return path
    .map((key, index) => (typeof key === 'number' ? `[${key}]` : `${index === 0 ? '' : '.'}${String(key)}`))
    .join('')
    .slice(0, 200)
}

function valueAt(root: unknown, path: readonly PropertyKey[]): unknown {
  let value = root
  for (const key of path) {
    if (typeof value !== 'object' || value === null) return undefined
    value = Reflect.get(value, key)
  }
  return value
}
