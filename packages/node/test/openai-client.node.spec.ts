import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import OpenAI from 'openai'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import type { NodeStatus } from '../src/index.ts'
import { aiSdkTests } from './ai-sdk.ts'
import { startCluster, type Cluster } from './cluster.ts'
import { langchainTests } from './langchain.ts'
import { chatTests } from './openai-client-chat.ts'
import type { LiveChain } from './openai-client-live.ts'
import { createRecorder, createSchemaCheck, published, type Recorder } from './openai-client-published.ts'
import { embeddingTests, patienceTests, responseTests } from './openai-client-rest.ts'

// Three processes, the default model, the clients people use; every answer held to OpenAI's published description.
const timeout = 120_000
let folder = ''
let cluster: Cluster
let recorder: Recorder
let chain: LiveChain
const live = (): LiveChain => chain

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'kwaai-clients-'))
  cluster = await startCluster(process.env['KWAAI_MODEL_PATH'] as string, undefined, {
    api: true,
    apis: true,
    client: { dataDir: folder }
  })
  const url = cluster.client.apiUrl as string
  if (!published)
    console.warn(
      'OpenAI’s description is not in the folder KWAAI_TEST_DATA names: answers are held to our own.'
    )
  const own: unknown = await (await fetch(`${url}/openapi.json`)).json().catch(() => ({}))
  recorder = createRecorder(createSchemaCheck(own))
  const sum = async (of: (status: NodeStatus) => number): Promise<number> => {
    const all = await Promise.all(
      cluster.servers.map(
        async ({ apiUrl }) => (await (await fetch(`${apiUrl}/health`)).json()) as NodeStatus
      )
    )
    return all.reduce((total, status) => total + of(status), 0)
  }
  const baseURL = `${url}/v1`
  const client = new OpenAI({ apiKey: 'none', baseURL, fetch: recorder.fetch, maxRetries: 0 })
  const ids: string[] = []
  for await (const { id } of client.models.list()) ids.push(id)
  chain = {
    client,
    baseURL,
    fetch: recorder.fetch,
    model: ids[0] as string,
    embedder: ids[1] as string,
    token: async () => (await readFile(join(folder, 'api-token'), 'utf8')).trim(),
    sessions: () => sum(({ sessions }) => sessions),
    rows: () => sum(({ tokensServed }) => tokensServed)
  }
}, timeout)
afterEach(async () => expect(await recorder.problems()).toEqual([]))
afterAll(async () => {
  await cluster?.[Symbol.asyncDispose]()
  await rm(folder, { recursive: true, force: true })
}, timeout)

describe('the official client', { timeout }, () => {
  chatTests(live)
  embeddingTests(live)
  responseTests(live)
  patienceTests(live, () => cluster.client.model)
})

describe('the AI SDK', { timeout }, () => aiSdkTests(live))
describe('LangChain', { timeout }, () => langchainTests(live))

test('answers of every kind were looked at', () => {
  for (const name of [
    'ListModelsResponse',
    'Model',
    'CreateChatCompletionResponse',
    'CreateChatCompletionStreamResponse',
    'CreateCompletionResponse',
    'CreateEmbeddingResponse',
    'Response',
    'ResponseStreamEvent',
    'ResponseItemList',
    'ErrorResponse'
  ])
    expect([name, recorder.checked.get(name) ?? 0]).toEqual([
      name,
      expect.toSatisfy((count) => Number(count) > 0)
    ])
})
