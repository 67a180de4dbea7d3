/** Says what is wrong with a value, or nothing. */
export type Field = (value: unknown) => string | undefined

/** The fields of an object: those of `optional` may be missing, and there are no others. */
export interface Schema {
  required: Readonly<Record<string, Field>>
  optional?: Readonly<Record<string, Field>>
  /** What has to hold between fields that are right by themselves. */
  together?: (claims: Readonly<Record<string, unknown>>) => string | undefined
}

/** Text of 1 to `max` characters without control characters. */
export function text(max: number): Field {
  return (value) =>
    // oxlint-disable-next-line no-control-regex
    typeof value === 'string' && value !== '' && value.length <= max && !/[\u0000-\u001f\u007f]/.test(value)
      ? undefined
      : `is not text of 1 to ${max} characters`
}

/** Text of a pattern. */
export function matching(pattern: RegExp, what: string): Field {
  return (value) => (typeof value === 'string' && pattern.test(value) ? undefined : `is not ${what}`)
}

/** A whole number within bounds. */
export function whole(min: number, max: number = Number.MAX_SAFE_INTEGER): Field {
  return (value) =>
    Number.isSafeInteger(value) && (value as number) >= min && (value as number) <= max
      ? undefined
      : `is not a whole number from ${min} to ${max}`
}

/** A number within bounds. */
export function number(min: number, max: number): Field {
  return (value) =>
    typeof value === 'number' && value >= min && value <= max
      ? undefined
      : `is not a number from ${min} to ${max}`
}

/** One of some texts. */
export function oneOf(...values: readonly string[]): Field {
  return (value) => (values.includes(value as string) ? undefined : `is not ${values.join(', ')}`)
}

/** A list of 1 to `max` different values. */
export function list(field: Field, max: number): Field {
  return (value) => {
    if (!Array.isArray(value) || value.length === 0 || value.length > max)
      return `is not a list of 1 to ${max}`
    if (new Set(value).size !== value.length) return 'has something twice'
    return value.map(field).find((fault) => fault !== undefined)
  }
}

/** SHA-256 in lower-case hexadecimal digits. */
export const sha256: Field = matching(/^[0-9a-f]{64}$/, '64 lower-case hexadecimal digits')

/** A DID. */
export const did: Field = matching(/^did:[a-z0-9]+:[\w.:%-]{1,512}$/, 'a DID')

/** A day of the calendar. */
export const date: Field = (value) =>
  typeof value === 'string' && /^\d{4}-\d{2}-\d{2}$/.test(value) && isDay(value)
    ? undefined
    : 'is not a date such as 2026-05-14'

/** An XSD date time with its zone. */
export const dateTime: Field = (value) =>
  typeof value === 'string' &&
  /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d{1,9})?(?:Z|[+-]\d{2}:\d{2})$/.test(value) &&
  isDay(value.slice(0, 10)) &&
  !Number.isNaN(Date.parse(value))
    ? undefined
    : 'is not a date time such as 2026-05-14T12:00:00Z'

// Date.parse takes the 30th of February for the 1st of March.
function isDay(day: string): boolean {
  const time = Date.parse(`${day}T00:00:00Z`)
  return !Number.isNaN(time) && new Date(time).toISOString().startsWith(day)
}

/** What is wrong with an object, or nothing. */
export function schemaFault(schema: Schema, value: Readonly<Record<string, unknown>>): string | undefined {
  const { required, optional = {}, together } = schema
  for (const name of Object.keys(value)) {
    if (!Object.hasOwn(required, name) && !Object.hasOwn(optional, name)) {
      return `"${name.slice(0, 40)}" is no claim of it`
    }
  }
  for (const [name, field] of [...Object.entries(required), ...Object.entries(optional)]) {
    const present = Object.hasOwn(value, name) && value[name] !== undefined
    if (!present && Object.hasOwn(required, name)) return `"${name}" is missing`
    const fault = present ? field(value[name]) : undefined
    if (fault !== undefined) return `"${name}" ${fault}`
  }
  return together?.(value)
}
