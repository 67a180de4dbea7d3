import type { GenerationOptions, RouteConstraints, TrustTier } from '@kwaai/interface'
import * as z from 'zod'
import { MAX_CHOICES } from './constants.ts'
import { entryByEntry, servedAs } from './parsing.ts'
import { invalid, unsupported } from './refusals.ts'

// What asks for something here is refused by name.
const nothing = { enum: [false, null] }
const regionName = z.string().min(1).max(256)

/** The field `kwaai` of a body: who may compute the answer. Each constraint is hard. */
export interface KwaaiField {
  minTier?: TrustTier | null | undefined
  minScore?: number | null | undefined
  maxLatencyMs?: number | null | undefined
  region?: string | string[] | null | undefined
  maxPrice?: number | null | undefined
  verify?: unknown
}

/** Checks {@link KwaaiField}. */
export const kwaaiField: z.ZodType<KwaaiField> = z.strictObject({
  minTier: z.enum(['unknown', 'known', 'verified', 'trusted']).nullish(),
  minScore: z.number().min(0).max(1).nullish(),
  maxLatencyMs: z.number().positive().nullish(),
  region: z.union([regionName, z.array(regionName).min(1).max(64)]).nullish(),
  maxPrice: z.number().min(0).nullish(),
  // Known, and not built yet: whatever asks for it is refused by name.
  verify: servedAs(z.unknown(), nothing).optional()
})

/** The fields that every request for text has. */
export interface GenerationFields {
  temperature?: number | undefined
  top_p?: number | undefined
  top_k?: number | undefined
  min_p?: number | undefined
  repetition_penalty?: number | undefined
  frequency_penalty?: number | undefined
  presence_penalty?: number | undefined
  logit_bias?: Record<string, number> | undefined
  stop?: string | string[] | undefined
  seed?: number | undefined
  n?: number | undefined
  stream?: boolean | undefined
  stream_options?:
    | { include_usage?: boolean | null | undefined; include_obfuscation?: boolean | null | undefined }
    | undefined
  user?: string | undefined
  kwaai?: KwaaiField | undefined
}

/**
 * Checks {@link GenerationFields}, field by field. Ranges from OpenAI's published description (2.3.0); top_k, min_p
 * and repetition_penalty as llama.cpp's and vLLM's servers take them.
 */
export const generationFields: { [name in keyof GenerationFields]-?: z.ZodType<GenerationFields[name]> } = {
  temperature: z.number().min(0).max(2).optional(),
  top_p: z.number().min(0).max(1).optional(),
  top_k: z.number().int().min(-1).optional(),
  min_p: z.number().min(0).max(1).optional(),
  repetition_penalty: z.number().positive().max(10).optional(),
  frequency_penalty: z.number().min(-2).max(2).optional(),
  presence_penalty: z.number().min(-2).max(2).optional(),
  logit_bias: entryByEntry(
    z.record(z.string().regex(/^\d{1,10}$/), z.number().min(-100).max(100), {
      error: 'expected an object of numbers from -100 to 100 by token'
    })
  ).optional(),
  stop: z
    .union([z.string().min(1), z.array(z.string().min(1)).max(4)], {
      error: 'expected a string or an array of at most four strings, none of them empty'
    })
    .optional(),
  seed: z
    .number()
    .min(-(2 ** 63))
    .max(2 ** 63)
    .refine(Number.isInteger, { error: 'expected an integer' })
    .meta({ multipleOf: 1 })
    .optional(),
  n: z.number().int().min(1).max(MAX_CHOICES).optional(),
  stream: z.boolean().optional(),
  stream_options: z
    .object({
      include_usage: z.boolean().nullish(),
      include_obfuscation: servedAs(z.boolean().nullable(), nothing).optional()
    })
    .optional(),
  // Without effect on the answer, so there is nothing to refuse.
  user: z.string().optional(),
  kwaai: kwaaiField.optional()
}

/** The options for the model. @throws A `RequestRefused` with 400. */
export function toGenerationOptions(fields: GenerationFields): GenerationOptions {
  const options: GenerationOptions = {}
  if (fields.temperature !== undefined) options.temperature = fields.temperature
  if (fields.top_p !== undefined) options.topP = fields.top_p
  // vLLM's -1 means all, for which the contract has 0.
  if (fields.top_k !== undefined) options.topK = Math.max(0, fields.top_k)
  if (fields.min_p !== undefined) options.minP = fields.min_p
  if (fields.repetition_penalty !== undefined) options.repetitionPenalty = fields.repetition_penalty
  if (fields.frequency_penalty !== undefined) options.frequencyPenalty = fields.frequency_penalty
  if (fields.presence_penalty !== undefined) options.presencePenalty = fields.presence_penalty
  if (fields.seed !== undefined) options.seed = fields.seed
  if (fields.n !== undefined && fields.n > 1) options.n = fields.n
  if (fields.stop !== undefined && fields.stop.length > 0)
    options.stop = typeof fields.stop === 'string' ? [fields.stop] : fields.stop
  const biases = fields.logit_bias === undefined ? [] : Object.entries(fields.logit_bias)
  if (biases.length > 0)
    options.logitBias = Object.fromEntries(biases.map(([token, bias]) => [Number(token), bias]))
  const route = fields.kwaai && toRoute(fields.kwaai)
  if (route !== undefined) options.route = route
  return options
}

/** The constraints for the model, undefined where there are none. @throws A `RequestRefused` with 400. */
export function toRoute(kwaai: KwaaiField): RouteConstraints | undefined {
  const { minTier, minScore, maxLatencyMs, region, maxPrice, verify } = kwaai
  if (verify != null && verify !== false)
    throw unsupported('kwaai.verify', ': nothing here repeats an answer to check it yet')
  const route: RouteConstraints = {
    ...(minTier != null && { minTier }),
    ...(minScore != null && { minScore }),
    ...(maxLatencyMs != null && { maxLatencyMs }),
    ...(region != null && { region }),
    ...(maxPrice != null && { maxPrice })
  }
  return Object.keys(route).length === 0 ? undefined : route
}

/** Whether the usage is streamed. @throws A `RequestRefused` with 400. */
export function includesUsage({ stream, stream_options: options }: GenerationFields): boolean {
  if (options === undefined) return false
  if (stream !== true) throw invalid(`'stream_options' is allowed only with 'stream': true`, 'stream_options')
  if (options.include_obfuscation === true) throw unsupported('stream_options.include_obfuscation')
  return options.include_usage ?? false
}
