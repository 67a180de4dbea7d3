import { describe, expect, test } from 'vitest'
import { KwaaiError, type Embedder, type EmbedderDescription } from '@kwaai/interface'
import { createFakeClock } from '@kwaai/testing'
import { createLazyEmbedder } from '../src/lazy-embedder.ts'

const description: EmbedderDescription = {
  id: 'one-8-f32',
  created: 1,
  ownedBy: 'test',
  dimensions: 1,
  maxTokens: 8
}
const input = ['a']

type Loaded = Embedder & AsyncDisposable

function embedder(
  describe: EmbedderDescription = description,
  embed: Embedder['embed'] = async (request) => ({
    vectors: request.input.map(() => Float32Array.of(1)),
    usage: { promptTokens: 1, completionTokens: 0, cachedTokens: 0 }
  })
): { loaded: Loaded; closed: () => number } {
  let closed = 0
  return {
    loaded: {
      specification: 'kwaai.embedder/1',
      describe: async () => describe,
      embed,
      [Symbol.asyncDispose]: async () => void closed++
    },
    closed: () => closed
  }
}

interface Loading {
  resolve: (loaded: Loaded) => void
  reject: (error: unknown) => void
}

/** Loadings that a test ends by hand. */
function loadings(): {
  load: (options: { signal: AbortSignal }) => Promise<Loaded>
  started: Loading[]
  signals: AbortSignal[]
} {
  const started: Loading[] = []
  const signals: AbortSignal[] = []
  return {
    load: ({ signal }) =>
      new Promise((resolve, reject) => {
        signal.addEventListener('abort', () => reject(signal.reason))
        started.push({ resolve, reject })
        signals.push(signal)
      }),
    started,
    signals
  }
}

const unavailable = (message: string): unknown =>
  expect.objectContaining({
    code: 'ERR_MODEL_UNAVAILABLE',
    message: expect.stringContaining(message),
    details: { retryAfterMs: 5_000 }
  })

describe('createLazyEmbedder', () => {
  test('describes itself at once, and is loaded once by all who ask', async () => {
    const { load, started } = loadings()
    const lazy = createLazyEmbedder({ description }, { load, clock: createFakeClock() })
    expect(await lazy.describe()).toEqual(description)
    expect(started).toHaveLength(0)
    const answers = [lazy.embed({ input }), lazy.embed({ input }), lazy.embed({ input })]
    expect(started).toHaveLength(1)
    started[0]?.resolve(embedder().loaded)
    for (const { vectors } of await Promise.all(answers)) expect(vectors).toEqual([Float32Array.of(1)])
    await lazy.embed({ input })
    expect(started).toHaveLength(1)
  })

  test('goes on loading for the others when one who waits leaves', async () => {
    const { load, started } = loadings()
    const lazy = createLazyEmbedder({ description }, { load, clock: createFakeClock() })
    const leaving = new AbortController()
    const first = lazy.embed({ input }, { signal: leaving.signal })
    const second = lazy.embed({ input })
    leaving.abort(new Error('enough'))
    await expect(first).rejects.toThrow('enough')
    started[0]?.resolve(embedder().loaded)
    expect((await second).vectors).toHaveLength(1)
    await expect(lazy.embed({ input }, { signal: leaving.signal })).rejects.toThrow('enough')
  })

  test('sends away who waited long enough, and goes on loading', async () => {
    const { load, started } = loadings()
    const clock = createFakeClock()
    const lazy = createLazyEmbedder({ description, waitMs: 1_000 }, { load, clock })
    const waited = lazy.embed({ input })
    const told = expect(waited).rejects.toEqual(unavailable('being fetched'))
    await clock.advance(1_000)
    await told
    started[0]?.resolve(embedder().loaded)
    expect((await lazy.embed({ input })).vectors).toHaveLength(1)
    expect(started).toHaveLength(1)
  })

  test('tries again after a failure, and tells the log what it was', async () => {
    const { load, started } = loadings()
    const logged: unknown[] = []
    const logger = { log: (...entry: unknown[]) => logged.push(entry) }
    const lazy = createLazyEmbedder({ description }, { load, clock: createFakeClock(), logger })
    const both = [lazy.embed({ input }), lazy.embed({ input })]
    started[0]?.reject(new Error('no source'))
    for (const one of both) await expect(one).rejects.toEqual(unavailable('could not be loaded'))
    expect(logged).toEqual([['error', 'node.embedder-failed', { error: 'Error: no source' }]])
    const again = lazy.embed({ input })
    started[1]?.resolve(embedder().loaded)
    expect((await again).vectors).toHaveLength(1)
  })

  test('refuses one that is another than it said', async () => {
    const { load, started } = loadings()
    const lazy = createLazyEmbedder({ description }, { load, clock: createFakeClock() })
    const other = embedder({ ...description, id: 'one-16-f32' })
    const asked = lazy.embed({ input })
    started[0]?.resolve(other.loaded)
    await expect(asked).rejects.toEqual(unavailable('could not be loaded'))
    expect(other.closed()).toBe(1)
  })

  test('is loaded anew after a crash, and not after a request that was wrong', async () => {
    const { load, started } = loadings()
    const lazy = createLazyEmbedder({ description }, { load, clock: createFakeClock() })
    const codes = ['ERR_MODEL_CONTEXT_EXCEEDED', 'ERR_BACKEND_CRASHED']
    const failing = embedder(description, async () => {
      throw new KwaaiError(codes.shift() ?? 'none', 'it failed')
    })
    const wrong = lazy.embed({ input })
    started[0]?.resolve(failing.loaded)
    await expect(wrong).rejects.toMatchObject({ code: 'ERR_MODEL_CONTEXT_EXCEEDED' })
    await expect(lazy.embed({ input })).rejects.toMatchObject({ code: 'ERR_BACKEND_CRASHED' })
    expect(started).toHaveLength(1)
    const again = lazy.embed({ input })
    started[1]?.resolve(embedder().loaded)
    expect((await again).vectors).toHaveLength(1)
    expect(failing.closed()).toBe(1)
  })

  test('ends its loading and what it loaded with itself', async () => {
    const { load, started, signals } = loadings()
    const lazy = createLazyEmbedder({ description }, { load, clock: createFakeClock() })
    const told = expect(lazy.embed({ input })).rejects.toEqual(unavailable('could not be loaded'))
    await lazy[Symbol.asyncDispose]()
    await told
    expect(signals[0]?.aborted).toBe(true)
    await expect(lazy.embed({ input })).rejects.toEqual(unavailable('the node is ending'))

    const other = createLazyEmbedder({ description }, { load, clock: createFakeClock() })
    const { loaded, closed } = embedder()
    const asked = other.embed({ input })
    started[1]?.resolve(loaded)
    await asked
    await other[Symbol.asyncDispose]()
    expect(closed()).toBe(1)
  })
})
