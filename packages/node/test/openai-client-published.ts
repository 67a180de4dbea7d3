import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js'

/** Says what is wrong with a value by the published schema of that name; nothing where it is right. */
export type SchemaCheck = (name: string, value: unknown) => string[]

const path = join(process.env['KWAAI_TEST_DATA'] ?? '', 'openai-openapi.json')
/** True where OpenAI's published description is at hand. */
export const published: boolean = process.env['KWAAI_TEST_DATA'] !== undefined && existsSync(path)

/** OpenAPI 3.0's `nullable` beside no `type` is rewritten; JSON Schema 2020-12 has no such word. */
function withoutNullable(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutNullable)
  if (typeof value !== 'object' || value === null) return value
  const { nullable, ...rest } = Object.fromEntries(
    Object.entries(value).map(([key, inner]) => [key, withoutNullable(inner)])
  )
  return nullable === true ? { anyOf: [rest, { type: 'null' }] } : rest
}

/**
 * Where the description's schemas refuse what its own examples show: a response that is not finished has no usage
 * yet, and a streamed completion no reason to finish. They are taken as the examples have them.
 */
function withErrata(document: Record<string, unknown>): Record<string, unknown> {
  const { schemas } = Object(document['components'])
  const usage = (parts: unknown): Record<string, unknown> =>
    (Array.isArray(parts) ? parts : []).find((part) => part.properties?.usage !== undefined)?.properties ?? {}
  const response = usage(schemas?.Response?.allOf)
  response['usage'] = { anyOf: [response['usage'] ?? {}, { type: 'null' }] }
  const choice = schemas?.CreateCompletionResponse?.properties?.choices?.items?.properties ?? {}
  choice.finish_reason = { anyOf: [choice.finish_reason ?? {}, { type: 'null' }] }
  return document
}

/**
 * Checks against the components of an OpenAPI document: OpenAI's where the folder that `KWAAI_TEST_DATA` names has
 * it, else the one the API gives of itself.
 */
export function createSchemaCheck(own: unknown): SchemaCheck {
  const ajv = new Ajv2020({ strict: false, validateFormats: false, allErrors: true })
  const document: unknown = published ? withErrata(JSON.parse(readFileSync(path, 'utf8'))) : own
  ajv.addSchema({ $id: 'openai', ...Object(withoutNullable(document)) })
  const compiled = new Map<string, ValidateFunction | undefined>()
  return (name, value) => {
    const component = published ? name : (ownNames[name] ?? name)
    if (!compiled.has(name)) compiled.set(name, ajv.getSchema(`openai#/components/schemas/${component}`))
    const validate = compiled.get(name)
    if (validate === undefined) return [`the description has no ${name}`]
    return validate(value) === true
      ? []
      : (validate.errors ?? []).slice(0, 5).map((e) => `${name}${e.instancePath} ${e.message}`)
  }
}

/** What our own description calls the schemas. */
const ownNames: Readonly<Record<string, string>> = {
  ListModelsResponse: 'ModelList',
  CreateChatCompletionResponse: 'ChatCompletion',
  CreateChatCompletionStreamResponse: 'ChatCompletionChunk',
  CreateCompletionResponse: 'Completion',
  CreateEmbeddingResponse: 'EmbeddingList',
  ResponseStreamEvent: 'ResponseEvent',
  ErrorResponse: 'Error'
}

/** What passes between a client and the API, held to the published schemas. */
export interface Recorder {
  fetch: typeof fetch
  /** How many values were checked, by schema. */
  readonly checked: ReadonlyMap<string, number>
  /** What was wrong with them. Waits for the answers that have not been read to their end yet. */
  problems(): Promise<string[]>
}

/** Makes a `fetch` that looks at every answer, a stream event by event, and hands it on. */
export function createRecorder(check: SchemaCheck): Recorder {
  const checked = new Map<string, number>()
  const found: string[] = []
  const pending: Promise<void>[] = []

  const look = (name: string, value: unknown): void => {
    checked.set(name, (checked.get(name) ?? 0) + 1)
    found.push(...check(name, name === 'CreateEmbeddingResponse' ? withNumbers(value) : value))
  }

  const read = async (route: string, response: Response): Promise<void> => {
    const text = await response.text()
    const type = response.headers.get('content-type') ?? ''
    if (type === 'application/json') {
      const name = response.ok ? answers[route] : 'ErrorResponse'
      if (name !== undefined) look(name, JSON.parse(text))
      return
    }
    if (!type.startsWith('text/event-stream')) return void found.push(`${route} answers as ${type}`)
    for (const block of text.split('\n\n')) {
      const data = /^data: (.*)$/m.exec(block)?.[1]
      if (data === undefined || data === '[DONE]') continue
      const isError = /^event: error$/m.test(block) && route !== 'POST /v1/responses'
      look(isError ? 'ErrorResponse' : (events[route] ?? route), JSON.parse(data))
    }
  }

  const recording: typeof fetch = async (input, init) => {
    const response = await fetch(input, init)
    const url = new URL(input instanceof Request ? input.url : String(input))
    const method = (init?.method ?? (input instanceof Request ? input.method : 'GET')).toUpperCase()
    const route = `${method} ${url.pathname.replace(/(resp_)\w+/, ':id').replace(/(models\/).+/, '$1:id')}`
    // Whoever aborts leaves a part, which was looked at as far as it came by nobody.
    pending.push(read(route, response.clone()).catch(() => undefined))
    return response
  }

  return {
    fetch: recording,
    checked,
    async problems() {
      await Promise.all(pending.splice(0))
      return found.splice(0)
    }
  }
}

const answers: Readonly<Record<string, string>> = {
  'GET /v1/models': 'ListModelsResponse',
  'GET /v1/models/:id': 'Model',
  'POST /v1/chat/completions': 'CreateChatCompletionResponse',
  'POST /v1/completions': 'CreateCompletionResponse',
  'POST /v1/embeddings': 'CreateEmbeddingResponse',
  'POST /v1/responses': 'Response',
  'GET /v1/responses/:id': 'Response',
  'GET /v1/responses/:id/input_items': 'ResponseItemList'
}
const events: Readonly<Record<string, string>> = {
  'POST /v1/chat/completions': 'CreateChatCompletionStreamResponse',
  'POST /v1/completions': 'CreateCompletionResponse',
  'POST /v1/responses': 'ResponseStreamEvent'
}

/** The published schema knows vectors as numbers alone, though OpenAI's own clients ask for base64. */
function withNumbers(value: unknown): unknown {
  const list = value as { data: { embedding: unknown }[] }
  return {
    ...list,
    data: list.data.map((entry) => {
      if (typeof entry.embedding !== 'string') return entry
      const { buffer, byteOffset, byteLength } = Buffer.from(entry.embedding, 'base64')
      return { ...entry, embedding: [...new Float32Array(buffer.slice(byteOffset, byteOffset + byteLength))] }
    })
  }
}
