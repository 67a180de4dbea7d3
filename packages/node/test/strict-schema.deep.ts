import OpenAI from 'openai'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startCluster, type Cluster } from './cluster.ts'
import { generateStrictly } from './strict-schema.ts'

const timeout = 600_000
let cluster: Cluster
beforeAll(async () => {
  cluster = await startCluster(process.env['KWAAI_MODEL_PATH'] as string, undefined, { api: true })
}, timeout)
afterAll(() => cluster?.[Symbol.asyncDispose](), timeout)

test('two hundred objects under schemas of their own: all that finish are valid', { timeout }, async () => {
  const client = new OpenAI({ apiKey: 'none', baseURL: `${cluster.client.apiUrl}/v1`, maxRetries: 0 })
  const { data } = await client.models.list()
  const { finished, cut, invalid } = await generateStrictly(client, data[0]?.id as string, 200, 'strict')
  expect(invalid).toEqual([])
  expect(finished + cut).toBe(200)
  expect(cut).toBeLessThanOrEqual(10)
})
