import type { JsonObject } from '../json.ts'

// Well-formed by BCP 47 as far as the data model asks: subtags of letters and digits.
const languageTag = /^[A-Za-z]{1,8}(?:-[A-Za-z0-9]{1,8})*$/

/** What is wrong with a value object (JSON-LD 1.1, section 9.5), if anything. */
export function valueObjectFault(object: JsonObject): string | undefined {
  for (const name of Object.keys(object))
    if (!['@value', '@type', '@language', '@direction', '@index'].includes(name))
      return `a value object has ${JSON.stringify(name.slice(0, 80))}`
  const { '@value': value, '@type': type, '@language': language, '@direction': direction } = object
  const isText = typeof value === 'string'
  if (type !== undefined) {
    if (typeof type !== 'string') return 'the @type of a value object is no text'
    if (language !== undefined || direction !== undefined)
      return 'a value object has an @type and a language or direction'
    if (type === '@json') return undefined
  }
  if (value !== null && typeof value === 'object') return 'the @value of a value object is no plain value'
  if (language !== undefined && (!isText || typeof language !== 'string' || !languageTag.test(language)))
    return 'the @language of a value object is no language tag of a text'
  if (direction !== undefined && (!isText || (direction !== 'ltr' && direction !== 'rtl')))
    return 'the @direction of a value object is neither "ltr" nor "rtl"'
  return undefined
}

/**
 * What is wrong with a name or description, if anything: a text, or language value objects with nothing but `@value`,
 * `@language` and `@direction` (VC Data Model 2.0, sections 4.6 and 11.1).
 */
export function languageValueFault(value: unknown): string | undefined {
  const list: readonly unknown[] = Array.isArray(value) ? value : [value]
  for (const item of list) {
    if (typeof item === 'string') continue
    if (typeof item !== 'object' || item === null || Array.isArray(item))
      return 'is neither a text nor an object'
    const object = item as JsonObject
    if (typeof object['@value'] !== 'string') return 'is an object without a text as its @value'
    if (object['@type'] !== undefined || object['@index'] !== undefined)
      return 'has more than @value, @language and @direction'
    const fault = valueObjectFault(object)
    if (fault !== undefined) return `is malformed: ${fault}`
  }
  return undefined
}
