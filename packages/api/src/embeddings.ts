import * as z from 'zod'
import { misbehaved } from './answer.ts'
import { each, textOrTokens, type TextOrTokens } from './completion-request.ts'
import { MAX_EMBEDDING_INPUTS } from './constants.ts'
import { createFieldParser } from './parsing.ts'
import { invalid } from './refusals.ts'

/** The body of `POST /v1/embeddings`: what is honoured of it. */
export interface EmbeddingFields {
  model: string
  input: TextOrTokens
  encoding_format?: 'float' | 'base64' | undefined
  dimensions?: number | undefined
  user?: string | undefined
}

/** Checks {@link EmbeddingFields}. */
export const embeddingRequestSchema: z.ZodType<EmbeddingFields> = z.object({
  model: z.string(),
  input: textOrTokens(MAX_EMBEDDING_INPUTS, z.string().min(1)),
  encoding_format: z.enum(['float', 'base64']).optional(),
  dimensions: z.number().int().min(1).optional(),
  // Without effect on the answer, so there is nothing to refuse.
  user: z.string().optional()
})

/** A validated request. */
export interface ParsedEmbeddingRequest {
  model: string
  input: readonly (string | readonly number[])[]
  base64: boolean
  dimensions: number | undefined
  /** Fields nobody here knows. */
  ignored: readonly string[]
}

const parseBody = createFieldParser(embeddingRequestSchema, {})

/**
 * Validates the body of `POST /v1/embeddings`. A null field counts as absent.
 * @throws A `RequestRefused` with 400 that names the parameter.
 */
export function parseEmbeddingRequest(body: Readonly<Record<string, unknown>>): ParsedEmbeddingRequest {
  const { fields, ignored } = parseBody(body)
  return {
    model: fields.model,
    input: each(fields.input),
    base64: fields.encoding_format === 'base64',
    dimensions: fields.dimensions,
    ignored
  }
}

/** @throws A `RequestRefused` where a vector has fewer numbers than asked for. */
export function checkDimensions(asked: number | undefined, dimensions: number): void {
  if (asked !== undefined && asked > dimensions)
    throw invalid(`'dimensions' is ${asked}, but the model has ${dimensions}`, 'dimensions')
}

/**
 * The first numbers of a vector, brought back to length 1; all of them as they are.
 * @throws `ERR_API_MODEL_MISBEHAVED` for a vector with numbers that are none.
 */
export function cutVector(vector: Float32Array, dimensions: number | undefined): Float32Array {
  if (!vector.every(Number.isFinite)) throw misbehaved('a vector has numbers that are not finite')
  if (dimensions === undefined || dimensions >= vector.length) return vector
  const cut = vector.slice(0, dimensions)
  const norm = Math.hypot(...cut)
  // Nothing is left of a vector whose first numbers are all 0.
  return norm === 0 ? cut : cut.map((value) => value / norm)
}

/** Numbers as base64 of little-endian f32, whatever the machine's order. */
export function toBase64(vector: Float32Array): string {
  const bytes = new Uint8Array(vector.length * 4)
  const view = new DataView(bytes.buffer)
  for (const [index, value] of vector.entries()) view.setFloat32(index * 4, value, true)
  let text = ''
  for (const byte of bytes) text += String.fromCharCode(byte)
  return btoa(text)
}
