import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createNode, type Node } from '../src/index.ts'

let folder: string
let node: Node
const logged: unknown[] = []
const env: Record<string, string> = {}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'kwaai-embedding-'))
  env['KWAAI_MODEL_PATH'] = process.env['KWAAI_MODEL_PATH'] as string
  env['KWAAI_EMBEDDER_PATH'] = join(folder, 'none')
  const logger = { log: (level: string, event: string) => void (level === 'error' && logged.push(event)) }
  node = await createNode(
    { blocks: 'none', dataDir: join(folder, 'node'), api: { port: 0 } },
    { env, logger }
  )
})
afterAll(async () => {
  await node?.stop()
  await rm(folder, { recursive: true, force: true })
})

const model = 'all-minilm-l6-v2-256-f32'

interface Answer {
  status: number
  headers: Headers
  body: {
    error?: { code: string; message: string; param: string | null }
    data?: { embedding: number[]; index: number }[]
    usage?: { prompt_tokens: number }
  }
}

async function embed(input: unknown, more: object = {}): Promise<Answer> {
  const response = await fetch(`${node.apiUrl}/v1/embeddings`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ model, input, ...more })
  })
  return {
    status: response.status,
    headers: response.headers,
    body: (await response.json()) as Answer['body']
  }
}

const dot = (a: readonly number[], b: readonly number[]): number =>
  a.reduce((sum, value, i) => sum + value * (b[i] as number), 0)

describe('the embedding model of a node', () => {
  test('is listed without its files; who asks then is told to come again, and the log why', async () => {
    const list = await (await fetch(`${node.apiUrl}/v1/models`)).json()
    expect(list).toMatchObject({ data: [{ id: 'smollm2-135m-instruct' }, { id: model, dimensions: 384 }] })
    expect(logged).toEqual([])
    const { status, headers, body } = await embed('a cat')
    expect(status).toBe(503)
    expect(body.error?.message).toContain('could not be loaded')
    expect(body.error?.message).not.toContain(folder)
    expect(Number(headers.get('retry-after'))).toBeGreaterThan(0)
    expect(logged[0]).toBe('node.embedder-failed')
  })

  test('is loaded by the first who asks once it is there, and gives vectors of meaning', async () => {
    env['KWAAI_EMBEDDER_PATH'] = process.env['KWAAI_EMBEDDER_PATH'] as string
    const texts = ['The cat sat on the mat.', 'A feline rested on the rug.', 'Interest rates rose again.']
    const [all, alone] = await Promise.all([embed(texts), embed(texts[0])])
    expect(all.status).toBe(200)
    const vectors = (all.body.data ?? []).map(({ embedding }) => embedding)
    expect(vectors.map((vector) => vector.length)).toEqual([384, 384, 384])
    const [cat, feline, rates] = vectors as [number[], number[], number[]]
    expect(Math.abs(dot(cat, cat) - 1)).toBeLessThan(1e-5)
    expect(dot(cat, feline)).toBeGreaterThan(0.5)
    expect(dot(cat, rates)).toBeLessThan(0.15)
    expect(dot(cat, alone.body.data?.[0]?.embedding ?? [])).toBeGreaterThan(0.999999)
    expect(alone.body.usage?.prompt_tokens).toBe(9)
    const tooLong = await embed(['fine', 'word '.repeat(255)])
    expect(tooLong.status).toBe(400)
    expect(tooLong.body.error?.code).toBe('context_length_exceeded')
  })

  test('answers in process too, counts as an answer, and keeps no one waiting at the end', async () => {
    const running = node.embedder?.embed({ input: ['one more'] })
    expect(node.pending().answers).toBe(1)
    await running
    expect(node.pending().answers).toBe(0)
    await node.drain()
    expect((await embed('late')).status).toBe(503)
    await node.stop()
    expect(await readdir(join(folder, 'node'))).not.toContain('node.lock')
  })
})
