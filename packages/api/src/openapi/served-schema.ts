import * as z from 'zod'
import type { NotHonoured } from '../parsing.ts'

/** A JSON Schema (draft 2020-12), as OpenAPI 3.1 has it. */
export type JsonSchema = Record<string, unknown>

/** The schema of a reply: of what is sent. */
export function replySchema(schema: z.ZodType): JsonSchema {
  return convert(schema, 'output')
}

/**
 * The schema of a request: of what is honoured. It is made of the schema that validates, and says besides what that
 * one leaves to its caller: a field that is null counts as absent, and a known field that is not honoured may only
 * ask for nothing.
 * @param rules what holds between fields
 */
export function requestSchema(
  schema: z.ZodType,
  notHonoured: NotHonoured = {},
  rules: readonly JsonSchema[] = []
): JsonSchema {
  const converted = convert(schema, 'input')
  const required = new Set(Array.isArray(converted['required']) ? converted['required'] : [])
  const properties: Record<string, unknown> = {}
  for (const [name, property] of Object.entries(Object(converted['properties'])))
    properties[name] = required.has(name) ? property : orNull(property)
  for (const [name, nothing] of Object.entries(notHonoured))
    properties[name] = orNull(convert(nothing, 'input'))
  return { ...converted, properties, ...(rules.length > 0 && { allOf: rules }) }
}

function convert(schema: z.ZodType, io: 'input' | 'output'): JsonSchema {
  const { $schema: _, ...converted } = z.toJSONSchema(schema, {
    io,
    // A custom check has no form in JSON Schema; what it says stands in `meta` where it can be said.
    unrepresentable: 'any',
    override: ({ jsonSchema }) => {
      const { served: instead } = jsonSchema
      if (instead instanceof z.ZodType) jsonSchema['served'] = convert(instead, io)
      // An empty list of items is none by the standard.
      if (Array.isArray(jsonSchema.prefixItems) && jsonSchema.prefixItems.length === 0) {
        delete jsonSchema.prefixItems
        delete jsonSchema.items
      }
    }
  })
  return Object(served(converted))
}

/** Puts in place what `servedAs` says; a choice that is not honoured is no choice. */
function served(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(served)
  if (typeof value !== 'object' || value === null) return value
  if ('served' in value) return value.served
  const entries = Object.entries(value).map(([key, inner]): [string, unknown] => {
    const result = served(inner)
    const choices = (key === 'anyOf' || key === 'oneOf') && Array.isArray(result)
    return [key, choices ? result.filter((choice) => choice !== false) : result]
  })
  return Object.fromEntries(entries)
}

function orNull(schema: unknown): JsonSchema {
  return { anyOf: [schema, { type: 'null' }] }
}
