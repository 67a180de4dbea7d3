import * as z from 'zod'
import { MAX_PROVENANCE_HOPS } from '../constants.ts'

// Everything in a record is a name, a number or a time; there is no field a text of a prompt or answer could be in.
const name = z.string().max(512)
const count = z.number().int().min(0)
// The last second that a date can have (ECMA-262 §21.4.1.1): whoever shows it to people makes one of it.
const seconds = count.max(8_640_000_000_000)
const milliseconds = z.number().min(0)
const range = { peer: name, from: count, to: count }

const hop = z.strictObject({
  ...range,
  numericsClass: name,
  computeMs: milliseconds.optional(),
  queueMs: milliseconds.optional(),
  rttMs: milliseconds.optional(),
  steps: count.optional()
})

const disclosure = z.strictObject({
  ...range,
  data: z.enum(['token-embeddings', 'hidden-states']),
  of: z.array(z.enum(['prompt', 'answer'])).max(2)
})

/** Checks a record. */
export const provenanceRecord: z.ZodType<ProvenanceRecord> = z.strictObject({
  v: z.literal(1),
  id: name,
  kind: z.enum(['chat', 'completion', 'response', 'embedding']),
  model: z.strictObject({
    id: name,
    sha256: z
      .string()
      .regex(/^[0-9a-f]{64}$/)
      .optional()
  }),
  created: seconds,
  outcome: z.enum(['completed', 'failed', 'cancelled']),
  finishReason: z.enum(['stop', 'length', 'tool_calls', 'content_filter']).optional(),
  usage: z.strictObject({ promptTokens: count, completionTokens: count, cachedTokens: count }).optional(),
  firstTokenMs: milliseconds.optional(),
  durationMs: milliseconds,
  hops: z.array(hop).max(MAX_PROVENANCE_HOPS).optional(),
  disclosed: z.union([z.literal('unknown'), z.array(disclosure).max(2 * MAX_PROVENANCE_HOPS)]),
  relaxed: z.array(name).max(16).optional(),
  receipt: z.string().max(4096).optional()
})

/** Who computed an answer, how, and what left the node for it. Never a word of the prompt or the answer. */
export interface ProvenanceRecord {
  /** The version of this form. */
  v: 1
  /** The id the client got, such as `chatcmpl-…`. */
  id: string
  kind: 'chat' | 'completion' | 'response' | 'embedding'
  /** The model's name, and the SHA-256 of its file where the node knows it, in hex. */
  model: { id: string; sha256?: string | undefined }
  /** Seconds since 1970 UTC. */
  created: number
  outcome: 'completed' | 'failed' | 'cancelled'
  finishReason?: 'stop' | 'length' | 'tool_calls' | 'content_filter' | undefined
  /** True token counts; absent where the model ended before it told them. */
  usage?: { promptTokens: number; completionTokens: number; cachedTokens: number } | undefined
  /** Milliseconds from the request to the first text. */
  firstTokenMs?: number | undefined
  /** Milliseconds from the request to the end. */
  durationMs: number
  /**
   * Who computed which blocks in the end, `from` the first one to one before `to`; what they say of themselves:
   * milliseconds they computed and steps waited, and the steps they ran. `rttMs` was measured here. Absent where
   * the model does not tell.
   */
  hops?:
    | {
        peer: string
        from: number
        to: number
        numericsClass: string
        computeMs?: number | undefined
        queueMs?: number | undefined
        rttMs?: number | undefined
        steps?: number | undefined
      }[]
    | undefined
  /**
   * What left the node: to each other peer the rows before block `from`, of the prompt and of the answer. Before
   * block 0 these are token embeddings, which a table turns back into text. Empty where all was computed in the
   * node, `unknown` where the model does not tell who computed. Of an answer that failed or was left it is what
   * may have been sent until then.
   */
  disclosed:
    | 'unknown'
    | {
        peer: string
        from: number
        to: number
        data: 'token-embeddings' | 'hidden-states'
        of: ('prompt' | 'answer')[]
      }[]
  /** Constraints of the request that were given up, as it allowed. */
  relaxed?: string[] | undefined
  /** What a meter handed over for the usage. */
  receipt?: string | undefined
}
