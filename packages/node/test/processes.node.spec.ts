import type { ChildProcess } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'
import { KwaaiError } from '@kwaai/interface'
import type { Server } from '../src/index.ts'
import { startCluster, type Cluster } from './cluster.ts'
import { endDemo } from './end-demo.ts'
import { descendants, gone } from './process-tree.ts'
import { startCli } from './run-cli.ts'

const path = process.env['KWAAI_MODEL_PATH'] as string
const timeout = 120_000
/** Nobody comes to take the place of a lost server here: a client need not wait half a minute for it. */
const client = { stepTimeoutMs: 5_000 }

describe.runIf(process.platform === 'linux')('the demonstration', () => {
  test(
    'answers, prints its result as the last line, and leaves no process',
    async () => {
      const run = startCli(['demo', '--json', '--max-tokens', '12', '--api-port', '0'])
      await run.seen(/node-3/)
      const processes = descendants(run.child.pid as number)
      // Three servers and the libraries' processes of all four.
      expect(processes.filter(({ command }) => command.includes(' up --json ')).length).toBe(3)
      const { status, stdout, stderr } = await run.ended
      expect(status, stderr).toBe(0)
      expect(JSON.parse(stdout.trim().split('\n').at(-1) as string)).toEqual({
        nodes: 3,
        spans: [
          [0, 10],
          [10, 20],
          [20, 30]
        ],
        model: 'smollm2-135m-instruct',
        ttftMs: expect.any(Number),
        tokensPerSecond: expect.any(Number),
        text: expect.stringMatching(/\w+ \w+/),
        finishReason: 'length'
      })
      expect(await gone(processes)).toEqual([])
    },
    timeout
  )

  // After SIGTERM, SIGHUP, and when npm in front of it is ended: in the deep tier.
  test('leaves no process behind after SIGKILL', () => endDemo('SIGKILL'), timeout)
})

describe('a server that dies', () => {
  let cluster: Cluster | undefined
  afterEach(async () => {
    await cluster?.[Symbol.asyncDispose]()
    cluster = undefined
  }, timeout)

  async function text(cluster: Cluster, onText: () => void = () => undefined): Promise<string> {
    let all = ''
    const messages = [{ role: 'user' as const, content: 'Count from one to fifty in words.' }]
    for await (const event of cluster.client.model.chat({ messages, temperature: 0, maxTokens: 60 })) {
      if (event.type === 'text') {
        all += event.text
        onText()
      }
    }
    return all
  }

  async function failure(work: Promise<unknown>): Promise<{ error: KwaaiError; ms: number }> {
    const started = performance.now()
    const error: unknown = await work.then(
      () => new Error('it did not fail'),
      (reason: unknown) => reason
    )
    expect(KwaaiError.is(error), String(error)).toBe(true)
    return { error: error as KwaaiError, ms: performance.now() - started }
  }

  test(
    'before the request or in the middle of it: a typed error, in time',
    async () => {
      cluster = await startCluster(path, ['0-10', '10-20', '20-30'], { api: true, client })
      const { servers } = cluster
      const { apiUrl, status } = cluster.client
      let killed = false
      const middle = await failure(
        text(cluster, () => {
          if (!killed) servers[1]?.child.kill('SIGKILL')
          killed = true
        })
      )
      expect(killed).toBe(true)
      expect(middle.error.code).toBe('ERR_MODEL_UNAVAILABLE')
      expect(middle.error.cause).toMatchObject({ code: 'ERR_SHARD_HOP_FAILED' })
      expect(middle.error.message).toContain('blocks 10 to 19')
      expect(middle.ms).toBeLessThan(15_000)

      const before = await failure(text(cluster))
      expect(before.error.code).toBe('ERR_MODEL_UNAVAILABLE')
      expect(before.error.message).toContain('blocks 10 to 19')
      expect(before.ms).toBeLessThan(15_000)

      const response = await fetch(`${apiUrl}/v1/chat/completions`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({
          model: status().model.id,
          messages: [{ role: 'user', content: 'Hello' }]
        })
      })
      expect(response.status).toBe(503)
      expect(Number(response.headers.get('retry-after'))).toBeGreaterThan(0)
    },
    timeout
  )
})

describe('a server that is asked to end', () => {
  const messages = [{ role: 'user' as const, content: 'Count from one to fifty in words.' }]
  let cluster: Cluster | undefined
  let folder: string | undefined
  afterEach(async () => {
    await cluster?.[Symbol.asyncDispose]()
    cluster = undefined
    if (folder !== undefined) await rm(folder, { recursive: true, force: true })
    folder = undefined
  }, timeout)

  /** The tokens of an answer. */
  async function answer(
    { client: asker }: Cluster,
    maxTokens: number,
    onText: (count: number) => void = () => undefined
  ): Promise<number[]> {
    const tokens: number[] = []
    let count = 0
    for await (const event of asker.model.chat({ messages, temperature: 0, maxTokens })) {
      if (event.type !== 'text') continue
      tokens.push(...event.tokens)
      onText(++count)
    }
    return tokens
  }

  function exit(child: ChildProcess): Promise<{ status: number | null; ms: number }> {
    const started = performance.now()
    return new Promise((resolve) => {
      child.once('exit', (status) => resolve({ status, ms: performance.now() - started }))
    })
  }

  test(
    'hands what runs to its twin; without one finishes it, takes nothing new, and ends with status 0',
    async () => {
      cluster = await startCluster(path, ['0-15', '15-30', '15-30'], { client })
      const { servers } = cluster
      const last = (): string | undefined => cluster?.client.lastChain().at(-1)?.peer
      const undisturbed = await answer(cluster, 60)
      let ended: ReturnType<typeof exit> | undefined
      let told = ''
      /** Asks the server of the last blocks to end. */
      const endLast = (): string | undefined => {
        const peer = last()
        const { child } = servers.find(({ status }) => status.peerId === peer) as Server
        told = ''
        child.stdout?.on('data', (text: string) => (told += text))
        ended = exit(child)
        child.kill('SIGTERM')
        return peer
      }

      let first: string | undefined
      const moved = await answer(cluster, 60, (count) => {
        if (count === 4) first = endLast()
      })
      expect(moved).toEqual(undisturbed)
      expect(servers.slice(1).map(({ status }) => status.peerId)).toContain(last())
      expect(last()).not.toBe(first)
      expect((await ended)?.status).toBe(0)

      const finished = await answer(cluster, 24, (count) => {
        if (count === 4) endLast()
      })
      expect(finished).toEqual(undisturbed.slice(0, 24))
      const end = await ended
      expect(end?.status).toBe(0)
      expect(end?.ms).toBeLessThan(30_000)
      const events = told.trim().split('\n')
      expect(events.map((line) => JSON.parse(line))).toEqual([
        { event: 'draining', sessions: 1, answers: 0, timeoutMs: 20_000 },
        { event: 'drained', sessions: 0, answers: 0 }
      ])
      await expect(answer(cluster, 4)).rejects.toMatchObject({ code: 'ERR_MODEL_UNAVAILABLE' })
    },
    timeout
  )

  test(
    'ends at once when it is asked twice',
    async () => {
      cluster = await startCluster(path, ['0-30'], { client })
      const { child } = cluster.servers[0] as Server
      child.stdout?.on('data', (text: string) => {
        if (text.includes('"draining"')) child.kill('SIGTERM')
      })
      const ended = exit(child)
      const broken = answer(cluster, 1_000, (count) => {
        if (count === 2) child.kill('SIGTERM')
      })
      await expect(broken).rejects.toMatchObject({ code: 'ERR_MODEL_UNAVAILABLE' })
      expect((await ended).status).toBe(143)
    },
    timeout
  )

  test(
    'lets an answer of its API end, and refuses the next',
    async () => {
      folder = await mkdtemp(join(tmpdir(), 'kwaai-drain-'))
      const run = startCli(['up', '--json', '--api-port', '0', '--data-dir', folder])
      const { api, model } = JSON.parse(await run.seen(/\n/)) as { api: string; model: { id: string } }
      const post = (maxTokens: number): Promise<Response> =>
        fetch(`${api}/v1/chat/completions`, {
          method: 'POST',
          headers: { 'content-type': 'application/json' },
          body: JSON.stringify({
            model: model.id,
            stream: true,
            max_tokens: maxTokens,
            temperature: 0,
            messages
          })
        })
      const running = await post(60)
      const reader = running.body?.pipeThrough(new TextDecoderStream()).getReader()
      let streamed = (await reader?.read())?.value ?? ''
      run.child.kill('SIGTERM')
      await run.seen(/"draining"/)
      const refused = await post(4)
      expect(refused.status).toBe(503)
      await refused.body?.cancel()
      for (let part = await reader?.read(); part?.done === false; part = await reader?.read()) {
        streamed += part.value
      }
      expect(streamed).toContain('"finish_reason":"length"')
      expect(streamed.trimEnd().endsWith('[DONE]')).toBe(true)
      const { status, stdout } = await run.ended
      expect(status).toBe(0)
      expect(stdout).toContain('{"event":"draining","sessions":0,"answers":1,"timeoutMs":20000}')
    },
    timeout
  )
})
