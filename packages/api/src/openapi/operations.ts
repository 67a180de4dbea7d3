import * as z from 'zod'
import { chatNotHonoured } from '../chat-request.ts'
import { completionNotHonoured } from '../completion-request.ts'
import { METRICS_CONTENT_TYPE } from '../metrics.ts'
import {
  responseDeletedSchema,
  responseEventSchema,
  responseItemListSchema,
  responseSchema
} from '../responses-api/reply-schemas.ts'
import { responseNotHonoured, responseRequestSchema } from '../responses-api/request.ts'
import {
  chatChunkSchema,
  chatCompletionSchema,
  chatRequestSchema,
  completionRequestSchema,
  completionSchema,
  embeddingListSchema,
  embeddingRequestSchema,
  modelListSchema,
  modelSchema
} from '../schemas.ts'
import { echoRule, inputRule, streamOptionsRule, toolChoiceRule, topLogprobsRule } from './rules.ts'
import { replySchema, requestSchema, type JsonSchema } from './served-schema.ts'

/** A schema and the name it has in the description. */
export interface NamedSchema {
  name: string
  schema: () => JsonSchema
}

/** What is said of a route. */
export interface Operation {
  id: string
  summary: string
  /** True where it needs no key though others do. */
  open?: boolean
  query?: Readonly<Record<string, JsonSchema>>
  request?: NamedSchema
  /** JSON; or text of another type. */
  reply: NamedSchema | { contentType: string }
  /** The data of an event, where the reply may be a stream. */
  event?: NamedSchema
}

const named = (name: string, schema: z.ZodType): NamedSchema => ({ name, schema: () => replySchema(schema) })
const text: JsonSchema = { type: 'string' }
const number: JsonSchema = { type: 'number', minimum: 0 }
const response = named('Response', responseSchema)

/** What each route of the API is described as, by its method and address. */
export const operations: Readonly<Record<string, Operation>> = {
  'GET /health': {
    id: 'getHealth',
    summary: 'Whether the process lives, and what it says of itself.',
    open: true,
    reply: named('Health', z.looseObject({ status: z.literal('ok') }))
  },
  'GET /ready': {
    id: 'getReady',
    summary: 'Whether a model can serve; without keys also which.',
    open: true,
    reply: named(
      'Ready',
      z.strictObject({ status: z.literal('ready'), models: z.array(z.string()).min(1).exactOptional() })
    )
  },
  'GET /metrics': {
    id: 'getMetrics',
    summary: 'Counts and times, in the text format of Prometheus.',
    reply: { contentType: METRICS_CONTENT_TYPE }
  },
  'GET /openapi.json': {
    id: 'getOpenApi',
    summary: 'This description.',
    open: true,
    reply: named('OpenApi', z.looseObject({ openapi: z.string() }))
  },
  'GET /v1/models': {
    id: 'listModels',
    summary: 'The models, the default one first.',
    reply: named('ModelList', modelListSchema)
  },
  'GET /v1/models/{id}': {
    id: 'getModel',
    summary: 'One model.',
    reply: named('Model', modelSchema)
  },
  'POST /v1/chat/completions': {
    id: 'createChatCompletion',
    summary: 'Continues a chat.',
    request: {
      name: 'ChatCompletionRequest',
      schema: () =>
        requestSchema(chatRequestSchema, chatNotHonoured, [
          streamOptionsRule,
          topLogprobsRule,
          toolChoiceRule
        ])
    },
    reply: named('ChatCompletion', chatCompletionSchema),
    event: named('ChatCompletionChunk', chatChunkSchema)
  },
  'POST /v1/completions': {
    id: 'createCompletion',
    summary: 'Continues a text.',
    request: {
      name: 'CompletionRequest',
      schema: () =>
        requestSchema(completionRequestSchema, completionNotHonoured, [streamOptionsRule, echoRule])
    },
    reply: named('Completion', completionSchema),
    event: named('Completion', completionSchema)
  },
  'POST /v1/embeddings': {
    id: 'createEmbedding',
    summary: 'Turns texts into vectors.',
    request: { name: 'EmbeddingRequest', schema: () => requestSchema(embeddingRequestSchema) },
    reply: named('EmbeddingList', embeddingListSchema)
  },
  'POST /v1/responses': {
    id: 'createResponse',
    summary: 'Answers, and keeps the answer for the next turn.',
    request: {
      name: 'ResponseRequest',
      schema: () =>
        requestSchema(responseRequestSchema, responseNotHonoured, [
          streamOptionsRule,
          toolChoiceRule,
          inputRule
        ])
    },
    reply: response,
    event: named('ResponseEvent', responseEventSchema)
  },
  'GET /v1/responses/{id}': { id: 'getResponse', summary: 'An answer that is kept.', reply: response },
  'DELETE /v1/responses/{id}': {
    id: 'deleteResponse',
    summary: 'Takes a kept answer away.',
    reply: named('ResponseDeleted', responseDeletedSchema)
  },
  'GET /v1/responses/{id}/input_items': {
    id: 'listInputItems',
    summary: 'What a kept answer was made from.',
    query: {
      limit: { type: 'integer', minimum: 1, maximum: 100 },
      order: { enum: ['asc', 'desc'] },
      after: text
    },
    reply: named('ResponseItemList', responseItemListSchema)
  },
  'POST /v1/responses/{id}/cancel': {
    id: 'cancelResponse',
    summary: 'Refused: answers here do not run in the background.',
    reply: response
  },
  'GET /v1/kwaai/explain': {
    id: 'explainRoute',
    summary: 'Who would compute an answer now, and why the others would not.',
    query: {
      model: text,
      minTier: { enum: ['unknown', 'known', 'verified', 'trusted'] },
      minScore: number,
      maxLatencyMs: number,
      region: { type: 'array', items: text },
      maxPrice: number
    },
    reply: named(
      'RouteExplanation',
      z.looseObject({ object: z.literal('kwaai.route_explanation'), model: z.string() })
    )
  },
  'GET /v1/kwaai/provenance/{id}': {
    id: 'getProvenance',
    summary: 'Who computed an answer, signed.',
    reply: named(
      'Provenance',
      z.looseObject({
        object: z.literal('kwaai.provenance'),
        id: z.string(),
        signer: z.string(),
        envelope: z.string()
      })
    )
  }
}
