import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { NodeStatus } from '../src/index.ts'
import { startCluster, type Cluster } from './cluster.ts'

// Three server processes and an HTTP client that goes away: what they say of themselves has to be empty in time.
const timeout = 120_000
/** What the whole chain has to let go of a request that nobody waits for any more. */
const freedWithinMs = 1_000
const path = process.env['KWAAI_MODEL_PATH'] as string
let cluster: Cluster

beforeAll(async () => {
  cluster = await startCluster(path, undefined, { api: true, apis: true })
}, timeout)
afterAll(() => cluster?.[Symbol.asyncDispose](), timeout)

function statuses(): Promise<NodeStatus[]> {
  return Promise.all(
    cluster.servers.map(async ({ apiUrl }) => {
      const response = await fetch(`${apiUrl}/health`)
      return (await response.json()) as NodeStatus
    })
  )
}

const holdsNothing = ({ sessions, memory }: NodeStatus): boolean => sessions === 0 && memory.kvBytes === 0
const isBusy = ({ sessions, memory }: NodeStatus): boolean => sessions > 0 && memory.kvBytes > 0

/** Asks the servers until all are as wanted. @returns the milliseconds it took. */
async function until(wanted: (status: NodeStatus) => boolean): Promise<number> {
  const since = performance.now()
  for (;;) {
    const found = await statuses()
    const took = performance.now() - since
    if (found.every(wanted)) return took
    if (took > 30_000)
      throw new Error(`Still ${JSON.stringify(found.map(({ sessions, memory }) => [sessions, memory]))}`)
  }
}

function ask(content: string, signal: AbortSignal, stream = true): Promise<Response> {
  return fetch(`${cluster.client.apiUrl}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    signal,
    body: JSON.stringify({
      model: cluster.client.status().model.id,
      messages: [{ role: 'user', content }],
      stream,
      temperature: 0,
      max_tokens: 1_500,
      // Without this the model would end by itself sooner or later.
      logit_bias: { 2: -100 }
    })
  })
}

async function expectFreed(): Promise<void> {
  expect(await until(holdsNothing)).toBeLessThan(freedWithinMs)
  expect(cluster.client.pending()).toEqual({ sessions: 0, answers: 0 })
  const served = (await statuses()).map(({ tokensServed }) => tokensServed)
  expect((await statuses()).map(({ tokensServed }) => tokensServed)).toEqual(served)
}

describe('a request that nobody waits for any more', () => {
  test(
    'in the middle of its stream: no hop works or keeps memory for it',
    async () => {
      const ending = new AbortController()
      const response = await ask('Count from one to a thousand in words.', ending.signal)
      const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader()
      let text = ''
      while (text.split('"content"').length < 8) text += (await reader?.read())?.value
      await until(isBusy)
      ending.abort()
      await expectFreed()
    },
    timeout
  )

  test(
    'whose reader lets go of the stream',
    async () => {
      const response = await ask('Count from one to a thousand in words.', new AbortController().signal)
      const reader = response.body?.getReader()
      await reader?.read()
      await until(isBusy)
      await reader?.cancel()
      await expectFreed()
    },
    timeout
  )

  test(
    'while its prompt is computed, and where it wanted the answer in one piece',
    async () => {
      for (const [prompt, stream] of [
        ['Tell me a story about a wolf and a lamb. '.repeat(300), true],
        ['Count from one to a thousand in words.', false]
      ] as const) {
        const ending = new AbortController()
        const asked = ask(prompt, ending.signal, stream)
        const failed = expect(asked).rejects.toThrow('enough')
        await until(isBusy)
        ending.abort(new Error('enough'))
        await failed
        await expectFreed()
      }
    },
    timeout
  )

  test(
    'of which eight go at once, with one that stays',
    async () => {
      const ending = new AbortController()
      const leaving = Array.from({ length: 7 }, async (_, n) => {
        const response = await ask(`Count from ${n} to a thousand in words.`, ending.signal)
        await response.body?.getReader().read()
      })
      await Promise.all(leaving)
      let stays = 0
      let ended = false
      const last: Promise<void> = (async () => {
        const asking = cluster.client.model.chat({
          messages: [{ role: 'user', content: 'Say hello.' }],
          temperature: 0,
          maxTokens: 8
        })
        for await (const event of asking) if (event.type === 'text') stays += event.tokens.length
        ended = true
      })()
      ending.abort()
      await last
      expect(stays).toBeGreaterThan(0)
      expect(ended).toBe(true)
      await expectFreed()
    },
    timeout
  )
})
