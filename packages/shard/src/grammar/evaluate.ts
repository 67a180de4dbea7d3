import { decimalOf } from './decimal.ts'
import { isOf } from './language.ts'
import type { SchemaDocument } from './schema-document.ts'
import { isRecord, type Located } from './schema-keywords.ts'

/**
 * Whether a value follows a schema: for the values of an `enum`, which are all there are. Keywords that nobody can
 * evaluate here are refused.
 */
export function follows(document: SchemaDocument, located: Located, value: unknown, depth = 0): boolean {
  const { schema } = located
  if (typeof schema === 'boolean') return schema
  if (depth > 2 * document.limits.depth) throw document.invalid(located, 'it refers to itself without end')
  const words = document.keywords(located)
  document.spend(10)
  const sub = (inner: unknown, ...steps: (string | number)[]): boolean =>
    follows(document, document.at(located, ...steps), inner, depth + 1)
  const each = (keyword: string): number[] => [...(words[keyword] as unknown[]).keys()]
  const has = (keyword: string): boolean => Object.hasOwn(words, keyword)

  for (const keyword of ['$dynamicRef', 'unevaluatedItems', 'unevaluatedProperties']) {
    if (has(keyword)) document.refuse(located, keyword, 'it is not followed')
  }
  const target = has('$ref') ? document.resolve(located) : undefined
  if (target !== undefined && !follows(document, target, value, depth + 1)) return false
  if (has('type') && ![words['type']].flat().some((type) => isType(value, type))) return false
  if (has('enum') && !valuesOf(document, words['enum'] as unknown[]).has(canonical(document, value)))
    return false
  if (has('const') && !same(document, words['const'], value)) return false
  if (has('allOf') && !each('allOf').every((index) => sub(value, 'allOf', index))) return false
  if (has('anyOf') && !each('anyOf').some((index) => sub(value, 'anyOf', index))) return false
  if (has('oneOf') && each('oneOf').filter((index) => sub(value, 'oneOf', index)).length !== 1) return false
  if (has('not') && sub(value, 'not')) return false
  if (has('if')) {
    const branch = sub(value, 'if') ? 'then' : 'else'
    if (has(branch) && !sub(value, branch)) return false
  }
  if (typeof value === 'number') return numberFollows(words, value)
  if (typeof value === 'string') return stringFollows(document, located, value)
  if (Array.isArray(value)) return arrayFollows(document, words, value, sub)
  return !isRecord(value) || objectFollows(document, located, value, sub)
}

/** What reading a text through costs. */
const workOfText = (text: string): number => Math.ceil(text.length / 16)

type Sub = (inner: unknown, ...steps: (string | number)[]) => boolean

/** True where a value is of a type; 1.0 is a whole number. */
function isType(value: unknown, type: unknown): boolean {
  switch (type) {
    case 'null':
      return value === null
    case 'integer':
      return Number.isInteger(value)
    case 'array':
      return Array.isArray(value)
    case 'object':
      return isRecord(value)
    default:
      return typeof value === type
  }
}

function numberFollows(words: Located['schema'] & object, value: number): boolean {
  const bound = (keyword: string): number | undefined => words[keyword] as number | undefined
  const step = bound('multipleOf')
  return (
    value >= (bound('minimum') ?? -Infinity) &&
    value <= (bound('maximum') ?? Infinity) &&
    value > (bound('exclusiveMinimum') ?? -Infinity) &&
    value < (bound('exclusiveMaximum') ?? Infinity) &&
    (step === undefined || isMultiple(value, step))
  )
}

/** By the digits, and by the division that validators do: they disagree about 0.3 and 0.1. */
export function isMultiple(value: number, step: number): boolean {
  if (!Number.isInteger(value / step)) return false
  const [a, b] = [decimalOf(value), decimalOf(step)]
  const places = Math.max(a.places, b.places)
  const whole = (x: typeof a): bigint => x.digits * 10n ** BigInt(places - x.places)
  return whole(a) % whole(b) === 0n
}

function stringFollows(document: SchemaDocument, located: Located, value: string): boolean {
  const { minLength = 0, maxLength = Infinity, pattern, format } = document.keywords(located)
  document.spend(workOfText(value))
  const length = [...value].length
  if (length < Number(minLength) || length > Number(maxLength)) return false
  const languages = [
    typeof pattern === 'string' ? document.pattern(located, pattern) : undefined,
    typeof format === 'string' ? document.format(located, format) : undefined
  ]
  return languages.every((language) => {
    if (language === undefined) return true
    document.spend(length * language.moves.length)
    return isOf(language, value)
  })
}

function arrayFollows(
  document: SchemaDocument,
  words: Located['schema'] & object,
  value: readonly unknown[],
  sub: Sub
): boolean {
  const prefix = (words['prefixItems'] as unknown[] | undefined)?.length ?? 0
  if (value.length < Number(words['minItems'] ?? 0) || value.length > Number(words['maxItems'] ?? Infinity)) {
    return false
  }
  if (words['uniqueItems'] === true) {
    document.spend(value.length * 10)
    if (new Set(value.map((item) => canonical(document, item))).size < value.length) return false
  }
  if (words['contains'] !== undefined) {
    const found = value.filter((item) => sub(item, 'contains')).length
    if (found < Number(words['minContains'] ?? 1) || found > Number(words['maxContains'] ?? Infinity))
      return false
  }
  return value.every((item, index) =>
    index < prefix ? sub(item, 'prefixItems', index) : words['items'] === undefined || sub(item, 'items')
  )
}

function objectFollows(
  document: SchemaDocument,
  located: Located,
  value: Readonly<Record<string, unknown>>,
  sub: Sub
): boolean {
  const words = document.keywords(located)
  const names = Object.keys(value)
  const record = (keyword: string): Readonly<Record<string, unknown>> =>
    (words[keyword] as Readonly<Record<string, unknown>> | undefined) ?? {}
  if (names.length < Number(words['minProperties'] ?? 0)) return false
  if (names.length > Number(words['maxProperties'] ?? Infinity)) return false
  if (!((words['required'] ?? []) as string[]).every((name) => Object.hasOwn(value, name))) return false
  for (const [name, others] of Object.entries(record('dependentRequired'))) {
    if (Object.hasOwn(value, name) && !(others as string[]).every((other) => Object.hasOwn(value, other))) {
      return false
    }
  }
  for (const name of Object.keys(record('dependentSchemas'))) {
    if (Object.hasOwn(value, name) && !sub(value, 'dependentSchemas', name)) return false
  }
  return names.every((name) => {
    if (words['propertyNames'] !== undefined && !sub(name, 'propertyNames')) return false
    const inner = value[name]
    const own = Object.hasOwn(record('properties'), name)
    if (own && !sub(inner, 'properties', name)) return false
    const patterns = Object.keys(record('patternProperties')).filter((pattern) =>
      matches(document, located, pattern, name)
    )
    if (!patterns.every((pattern) => sub(inner, 'patternProperties', pattern))) return false
    const rest = !own && patterns.length === 0 && words['additionalProperties'] !== undefined
    return !rest || sub(inner, 'additionalProperties')
  })
}

/** Whether the name of a property is one of a pattern's. */
export function matches(document: SchemaDocument, located: Located, pattern: string, name: string): boolean {
  const language = document.pattern(located, pattern, 'patternProperties')
  if (language === undefined) return false
  document.spend([...name].length * language.moves.length)
  return isOf(language, name)
}

// The values of an enum are looked up once for each of them.
const enums = new WeakMap<object, Set<string>>()

function valuesOf(document: SchemaDocument, values: readonly unknown[]): Set<string> {
  const known = enums.get(values)
  if (known !== undefined) return known
  const made = new Set(values.map((value) => canonical(document, value)))
  enums.set(values, made)
  return made
}

const same = (document: SchemaDocument, a: unknown, b: unknown): boolean =>
  canonical(document, a) === canonical(document, b)

/** Text that two values share exactly where they are equal; -0 is 0. */
function canonical(document: SchemaDocument, value: unknown): string {
  document.spend(1)
  if (Array.isArray(value)) return `[${value.map((item) => canonical(document, item)).join()}]`
  if (typeof value === 'string') document.spend(workOfText(value))
  if (!isRecord(value)) return JSON.stringify(value)
  const names = Object.keys(value).toSorted()
  for (const name of names) document.spend(workOfText(name))
  return `{${names.map((name) => `${JSON.stringify(name)}:${canonical(document, value[name])}`).join()}}`
}
