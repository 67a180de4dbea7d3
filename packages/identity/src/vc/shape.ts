import type { JsonObject } from '../json.ts'
import { isUrl } from './url.ts'

/** The first context of data model 2.0. */
export const CREDENTIALS_V2 = 'https://www.w3.org/ns/credentials/v2'
/** The first context of data model 1.1. */
export const CREDENTIALS_V1 = 'https://www.w3.org/2018/credentials/v1'

/** Whether a value is an object of JSON. */
export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Which data model a document follows, by its first context. */
export function dataModelOf(document: Readonly<Record<string, unknown>>): '2.0' | '1.1' | undefined {
  const context = document['@context']
  const first: unknown = Array.isArray(context) ? context[0] : context
  return first === CREDENTIALS_V2 ? '2.0' : first === CREDENTIALS_V1 ? '1.1' : undefined
}

/** The values of a property that may be one or several. */
export function listOf<T>(value: T | readonly T[] | undefined): readonly T[] {
  return value === undefined ? [] : Array.isArray(value) ? (value as readonly T[]) : [value as T]
}

/** The URL of an issuer or holder, where there is one. */
export function idOf(value: unknown): string | undefined {
  const id: unknown = isObject(value) ? value['id'] : value
  return isUrl(id) ? id : undefined
}
