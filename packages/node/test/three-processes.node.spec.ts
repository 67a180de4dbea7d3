import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { prompts, shortList } from '../../shard/test/ggml-prompts.ts'
import { bits } from '../../shard/test/ggml-kit.ts'
import { createOracle, type Oracle } from '../../shard/test/oracle/index.ts'
import { verifyProvenance } from '@kwaai/api'
import { createKwaaiFetch } from '../src/index.ts'
import { startCluster, type Cluster } from './cluster.ts'
import { greedy } from './greedy.ts'

// Real processes, real libp2p, real weights; libllama with the whole model says what is right.
const generated = 64
const timeout = 120_000
const path = process.env['KWAAI_MODEL_PATH'] as string
let cluster: Cluster
let oracle: Oracle

beforeAll(async () => {
  const regions = { args: ['--region', 'eu'] }
  ;[cluster, oracle] = await Promise.all([startCluster(path, undefined, regions), createOracle()])
}, timeout)
afterAll(async () => {
  await cluster?.[Symbol.asyncDispose]()
  await oracle?.[Symbol.asyncDispose]()
}, timeout)

describe('three processes over libp2p', () => {
  test.each(shortList)(
    'prompt %i: the tokens and the bits of llama.cpp',
    async (index) => {
      const prompt = (await prompts(oracle))[index] as number[]
      const expected = await oracle.generate(prompt, generated)
      const run = await greedy(cluster.client.blocks, await cluster.client.head(), prompt, generated)
      expect(bits(run.first).equals(bits(expected.first))).toBe(true)
      expect(run.tokens).toEqual(expected.tokens)
      expect(bits(run.last).equals(bits(expected.last))).toBe(true)
    },
    timeout
  )

  test('serve those who ask for their region, and tell others why not', async () => {
    const { blocks } = cluster.client
    await using chain = await blocks.open({ maxTokens: 8, constraints: { region: ['eu', 'ch'] } })
    expect(chain.chain).toHaveLength(3)
    await expect(blocks.open({ maxTokens: 8, constraints: { region: 'us' } })).rejects.toMatchObject({
      code: 'ERR_MODEL_UNAVAILABLE',
      details: {
        unmet: ['region'],
        reasons: Array.from({ length: 3 }, () =>
          expect.objectContaining({ reason: 'Its region is eu, and only us is allowed' })
        )
      }
    })
  })

  test('answer in one process with no server: who holds what, who would compute, and an answer by a schema', async () => {
    const ask = createKwaaiFetch(cluster.client)
    const json = async (path: string, body?: unknown): Promise<Record<string, unknown>> => {
      const headers = { 'content-type': 'application/json' }
      const post = { method: 'POST', headers, body: JSON.stringify(body) }
      const response = await ask(`http://kwaai.local${path}`, body === undefined ? {} : post)
      expect(response.status, path).toBe(200)
      return (await response.json()) as Record<string, unknown>
    }
    const all = [0, 10, 20].map((from) => expect.objectContaining({ from, to: from + 10 }))
    expect((await json('/v1/models'))['data']).toMatchObject([
      { id: 'smollm2-135m-instruct', coverage: [{ from: 0, to: 30, servers: 1 }] },
      { id: 'all-minilm-l6-v2-256-f32', dimensions: 384 }
    ])
    expect(await json('/v1/kwaai/explain?region=eu')).toMatchObject({ chain: all, candidates: all })
    expect(await json('/v1/kwaai/explain?region=us')).toMatchObject({
      chain: [],
      problem: expect.any(String)
    })
    const answer = (await json('/v1/chat/completions', {
      model: 'smollm2-135m-instruct',
      messages: [{ role: 'user', content: 'Invent a person.' }],
      max_tokens: 60,
      temperature: 1,
      seed: 7,
      response_format: {
        type: 'json_schema',
        json_schema: {
          name: 'person',
          strict: true,
          schema: {
            type: 'object',
            properties: {
              name: { type: 'string', maxLength: 12 },
              age: { type: 'integer', minimum: 7, maximum: 9 }
            },
            required: ['name', 'age'],
            additionalProperties: false
          }
        }
      }
    })) as { id: string; choices: { message: { content: string }; finish_reason: string }[] }
    const [choice] = answer.choices
    expect(choice?.finish_reason).toBe('stop')
    expect([7, 8, 9]).toContain((JSON.parse(choice?.message.content ?? '') as { age: number }).age)
    const provenance = await json(`/v1/kwaai/provenance/${answer.id}`)
    const { record, signer } = await verifyProvenance(JSON.stringify(provenance))
    expect(signer).toBe(cluster.client.status().did)
    expect(record.hops).toMatchObject(all)
    expect(record.disclosed).toMatchObject([{ data: 'token-embeddings' }, { data: 'hidden-states' }, {}])
  })

  test('the text of a chat is what llama.cpp says, token by token', async () => {
    const question = 'What is a peer-to-peer network?'
    const system = 'You are a helpful AI assistant named SmolLM, trained by Hugging Face'
    const prompt = await oracle.tokenize(
      `<|im_start|>system\n${system}<|im_end|>\n<|im_start|>user\n${question}<|im_end|>\n<|im_start|>assistant\n`,
      true
    )
    const expected = await oracle.generate(prompt, 32)
    const tokens: number[] = []
    const messages = [{ role: 'user' as const, content: question }]
    for await (const event of cluster.client.model.chat({ messages, temperature: 0, maxTokens: 32 })) {
      if (event.type === 'start') {
        expect(event.promptTokens).toBe(prompt.length)
        expect(event.chain.map(({ from, to }) => [from, to])).toEqual([
          [0, 10],
          [10, 20],
          [20, 30]
        ])
        // Three servers, none of them this process.
        expect(new Set(event.chain.map(({ peer }) => peer)).size).toBe(3)
        expect(event.chain.map(({ peer }) => peer)).not.toContain(cluster.client.peerId)
      }
      if (event.type === 'text') tokens.push(...event.tokens)
    }
    expect(tokens).toEqual(expected.tokens)
  })
})
