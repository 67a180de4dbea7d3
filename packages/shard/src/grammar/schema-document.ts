import { shardError } from '../errors.ts'
import { formats, otherFormats } from './formats.ts'
import { patternLanguage, type Language } from './language.ts'
import type { GrammarLimits } from './limits.ts'
import { PatternProblem } from './regular.ts'
import {
  annotations,
  isRecord,
  isSchema,
  keywords,
  type JsonSchema,
  type Located,
  type SchemaObject
} from './schema-keywords.ts'

/** What a pattern costs before its states are known: one that is refused had many made. */
const workOfPattern = 500

/** A schema document while a grammar is made of it. */
export interface SchemaDocument {
  readonly root: Located
  readonly limits: GrammarLimits
  /** The schema under a keyword, and further in. */
  at(located: Located, ...steps: readonly (string | number)[]): Located
  /** The schema's keywords, after every one of them was looked at; one that is refused and dropped is not there. */
  keywords(located: Located): SchemaObject
  /** What a `$ref` names. */
  resolve(located: Located): Located | undefined
  /** The language of a pattern, or undefined where it is refused and dropped. */
  pattern(located: Located, pattern: string, keyword?: string): Language | undefined
  /** The language of a format, or undefined where it is refused and dropped. */
  format(located: Located, format: string): Language | undefined
  /** A keyword that no text can be held to: an error where the schema is strict, else it is dropped. */
  refuse(located: Located, keyword: string, why: string): void
  /** @returns the error for a schema that makes no sense, or costs too much. */
  invalid(located: Located, why: string): Error
  /** Counts what a compilation costs. */
  spend(work: number): void
  /** A number that names a schema. */
  id(located: Located): number
}

/** How a schema is to be taken. */
export interface SchemaOptions {
  readonly strict: boolean
  /** The parameter of the request it comes from. */
  readonly param: 'constraint' | 'tools'
  readonly limits: GrammarLimits
  /** What is left of `limits.work`, where several schemas share it. Default: all of it. */
  readonly budget?: { work: number }
}

/**
 * Takes a copy of a schema, within its limits.
 *
 * @throws A KwaaiError `ERR_MODEL_INVALID_REQUEST`.
 */
export function openSchema(input: unknown, options: SchemaOptions): SchemaDocument {
  const { strict, param, limits, budget = { work: limits.work } } = options
  const invalidAt = (path: string, why: string): Error =>
    shardError(
      'ERR_MODEL_INVALID_REQUEST',
      `Cannot follow the schema at ${path === '' ? 'its root' : path}: ${why}`,
      {
        details: { param, path }
      }
    )
  const schema = copyOf(input, limits, (why) => invalidAt('', why))
  const seen = new Map<object, SchemaObject>()
  const ids = new Map<object, number>()
  /** Undefined for those that are refused and dropped. */
  const languages = new Map<string, Language | undefined>()

  const document: SchemaDocument = {
    root: { schema, path: '' },
    limits,
    at(located, ...steps) {
      let found: unknown = located.schema
      let path = located.path
      for (const step of steps) {
        found = (found as Record<string | number, unknown>)[step]
        path += `/${String(step).replaceAll('~', '~0').replaceAll('/', '~1')}`
      }
      return { schema: found as JsonSchema, path }
    },
    keywords(located) {
      const { schema } = located
      if (typeof schema === 'boolean') return {}
      const known = seen.get(schema)
      if (known !== undefined) return known
      document.spend(1)
      const kept: Record<string, unknown> = {}
      seen.set(schema, kept)
      for (const [keyword, value] of Object.entries(schema)) {
        if (keyword === '$id' && located.path !== '') {
          document.refuse(located, keyword, 'a schema within a schema has no address of its own')
        }
        if (annotations.has(keyword)) continue
        const check = keywords.get(keyword)
        if (check === undefined) {
          document.refuse(located, keyword, 'it is no keyword of JSON Schema draft 2020-12')
        } else if (check(value)) kept[keyword] = value
        else throw invalidAt(`${located.path}/${keyword}`, `${keyword} has no value of this kind`)
      }
      return kept
    },
    resolve(located) {
      const { $ref } = document.keywords(located)
      if (typeof $ref !== 'string') return undefined
      if ($ref !== '#' && !$ref.startsWith('#/')) {
        document.refuse(located, '$ref', 'only pointers into the same schema (#/…) are followed')
        return undefined
      }
      let at: unknown = schema
      for (const step of $ref.split('/').slice(1)) {
        const key = decode(step)
        at =
          typeof at === 'object' && at !== null && key !== undefined && Object.hasOwn(at, key)
            ? (at as Record<string, unknown>)[key]
            : undefined
      }
      if (!isSchema(at)) throw invalidAt(`${located.path}/$ref`, `there is no schema at ${$ref}`)
      return { schema: at, path: $ref.slice(1) }
    },
    pattern(located, pattern, keyword = 'pattern') {
      if (languages.has(pattern)) return languages.get(pattern)
      try {
        RegExp(pattern, 'u')
      } catch (cause) {
        throw invalidAt(`${located.path}/${keyword}`, `${keyword} is no regular expression: ${String(cause)}`)
      }
      try {
        document.spend(workOfPattern + pattern.length)
        const language = patternLanguage(pattern)
        document.spend(language.moves.length)
        languages.set(pattern, language)
        return language
      } catch (error) {
        if (!(error instanceof PatternProblem)) throw error
        languages.set(pattern, undefined)
        document.refuse(located, keyword, error.message)
        return undefined
      }
    },
    format(located, format) {
      const pattern = Object.hasOwn(formats, format) ? formats[format] : undefined
      if (pattern !== undefined) return document.pattern(located, pattern, 'format')
      // A name of somebody's own for what a pattern beside it says, as zod writes them.
      if (!otherFormats.has(format) && document.keywords(located)['pattern'] !== undefined) return undefined
      document.refuse(located, 'format', `the formats known are ${Object.keys(formats).join(', ')}`)
      return undefined
    },
    refuse(located, keyword, why) {
      if (!strict) return
      const where = located.path === '' ? 'at its root' : `at ${located.path}`
      throw shardError(
        'ERR_MODEL_UNSUPPORTED',
        `Cannot hold a text to ${keyword} of the schema ${where}: ${why}`,
        { details: { param, keyword, path: located.path } }
      )
    },
    invalid: (located, why) => invalidAt(located.path, why),
    spend(work) {
      budget.work -= work
      if (budget.work < 0) throw invalidAt('', 'it takes too long to make a grammar of it; make it smaller')
    },
    id({ schema }) {
      if (typeof schema === 'boolean') return schema ? -1 : -2
      const known = ids.get(schema)
      if (known !== undefined) return known
      ids.set(schema, ids.size)
      return ids.size - 1
    }
  }
  return document
}

function decode(step: string): string | undefined {
  try {
    return decodeURIComponent(step).replaceAll('~1', '/').replaceAll('~0', '~')
  } catch {
    return undefined
  }
}

function copyOf(input: unknown, limits: GrammarLimits, invalid: (why: string) => Error): JsonSchema {
  let text: string | undefined
  try {
    text = JSON.stringify(input)
  } catch {
    throw invalid('it is no JSON value')
  }
  if (text === undefined) throw invalid('it is no JSON value')
  if (new TextEncoder().encode(text).length > limits.textBytes) {
    throw invalid(`it has more than ${limits.textBytes} bytes`)
  }
  const schema: unknown = JSON.parse(text)
  if (!isSchema(schema)) throw invalid('a schema is an object, true or false')
  let level: unknown[] = [schema]
  for (let depth = 0; level.length > 0; depth++) {
    if (depth > limits.depth * 2) throw invalid(`it nests deeper than ${limits.depth} schemas`)
    level = level.flatMap((value) =>
      Array.isArray(value) ? value : isRecord(value) ? Object.values(value) : []
    )
  }
  return schema
}
