import type { TextConstraint } from '@kwaai/interface'
import * as z from 'zod'
import { functionName } from './tools.ts'

/** The field `response_format`. */
export type ResponseFormat =
  | { type: 'text' | 'json_object' }
  | {
      type: 'json_schema'
      json_schema: {
        name: string
        description?: string | null | undefined
        schema: Record<string, unknown>
        strict?: boolean | null | undefined
      }
    }

/** Checks the field `response_format`. */
export const responseFormatField: z.ZodType<ResponseFormat> = z.discriminatedUnion('type', [
  z.object({ type: z.literal('text') }),
  z.object({ type: z.literal('json_object') }),
  z.object({
    type: z.literal('json_schema'),
    json_schema: z.object({
      name: functionName,
      description: z.string().nullish(),
      schema: z.record(z.string(), z.unknown()),
      strict: z.boolean().nullish()
    })
  })
])

/** What the text has to follow, undefined for any text. */
export function toConstraint(format: ResponseFormat | undefined): TextConstraint | undefined {
  switch (format?.type) {
    case 'json_object':
      return { type: 'json' }
    case 'json_schema': {
      const { schema, strict } = format.json_schema
      return { type: 'json-schema', schema, ...(strict != null && { strict }) }
    }
    default:
      return undefined
  }
}
