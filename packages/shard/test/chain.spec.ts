import { macrotask, createSeededRandom } from '@kwaai/testing'
import { KwaaiError } from '@kwaai/interface'
import { afterEach, describe, expect, test } from 'vitest'
import { openChain, type ChainOptions, type ShardChain } from '../src/session/index.ts'
import { alone, codeOf, createStage, hiddenSize, rowsOf, type Stage } from './session-kit.ts'

let stage: Stage
afterEach(() => stage.stop())

const chainOf = (options: Partial<ChainOptions> = {}): Promise<ShardChain> =>
  openChain(
    stage.plan,
    { network: stage.client, clock: stage.clock, random: createSeededRandom('client') },
    { maxTokens: 64, hiddenSize, ...options }
  )

const steps = [
  { past: 0, hidden: rowsOf(5, 1), kernel: 'tile' as const },
  { past: 5, hidden: rowsOf(3, 2), kernel: 'tile' as const },
  { past: 8, hidden: rowsOf(1, 3), kernel: 'vec' as const },
  { past: 9, hidden: rowsOf(1, 4), kernel: 'vec' as const },
  // A roll-back, then on.
  { past: 6, hidden: rowsOf(2, 5), kernel: 'vec' as const },
  { past: 8, hidden: rowsOf(1, 6), kernel: 'vec' as const }
]

describe('a chain', () => {
  test.each([[[0, 6]], [[0, 2, 6]], [[0, 2, 3, 6]], [[0, 1, 2, 3, 4, 5, 6]]])(
    'cut at %j gives the bits of one runner',
    async (cuts) => {
      stage = await createStage(cuts)
      const chain = await chainOf()
      const expected = await alone(6, steps)
      const results: Float32Array[] = []
      for (const step of steps) results.push(await chain.forward({ ...step, result: 'all' }))
      expect(results).toEqual(expected)
    }
  )

  test('gives the same when its steps overlap on the hops', async () => {
    stage = await createStage([0, 2, 4, 6])
    stage.faults.settings.latencyMs = 1
    const opening = chainOf()
    await stage.clock.advance(10)
    const chain = await opening
    const results = Promise.all(steps.map((step) => chain.forward({ ...step, result: 'all' })))
    let done = false
    void results.then(() => (done = true))
    // One after the other they take three round trips of 2 ms each: 36 ms.
    await stage.clock.advance(18)
    expect(done).toBe(true)
    expect(await results).toEqual(await alone(6, steps))
  })

  test('hands back the rows that are asked for', async () => {
    stage = await createStage([0, 3, 6])
    const chain = await chainOf()
    const [all] = await alone(6, steps)
    expect(await chain.forward({ ...steps[0]!, result: 'none' })).toEqual(new Float32Array(0))
    expect(await chain.forward({ ...steps[0]!, result: 'last' })).toEqual(all?.slice(-hiddenSize))
    expect(await chain.forward({ ...steps[0]!, result: 'all' })).toEqual(all)
  })

  test('names who computes what, and says when classes are mixed', async () => {
    stage = await createStage([0, 3, 6])
    const chain = await chainOf()
    expect(chain.chain).toEqual(stage.plan.hops.map((hop) => ({ ...hop, numericsClass: 'fake/1' })))
    expect(chain.mixed).toBe(false)
    await chain.forward({ ...steps[0]!, result: 'none' })
    expect(chain.stats()).toMatchObject([
      { peer: 'peer-2', steps: 1, rows: 5 },
      { peer: 'peer-3', steps: 1, rows: 5 }
    ])
  })

  test('frees the sessions at all hops when it is closed', async () => {
    stage = await createStage([0, 3, 6])
    const chain = await chainOf()
    await chain.forward({ ...steps[0]!, result: 'none' })
    expect(stage.servers.map((server) => server.stats().sessions)).toEqual([1, 1])
    await chain[Symbol.asyncDispose]()
    await macrotask()
    expect(stage.servers.map((server) => server.stats().sessions)).toEqual([0, 0])
    expect(stage.runners.map((runner) => runner.openSessions)).toEqual([0, 0])
    expect(await codeOf(chain.forward({ ...steps[0]!, result: 'none' }))).toBe('ERR_SHARD_CHAIN_CLOSED')
  })

  test('ends in time when it is closed and a server hangs', async () => {
    stage = await createStage([0, 3, 6])
    const chain = await chainOf()
    stage.faults.stall('peer-3')
    let closed = false
    void chain[Symbol.asyncDispose]().then(() => (closed = true))
    await stage.clock.advance(2000)
    expect(closed).toBe(true)
    stage.faults.resume('peer-3')
    await macrotask()
    expect(stage.servers.map((server) => server.stats().sessions)).toEqual([0, 0])
  })

  test('refuses what no chain can run, and goes on', async () => {
    stage = await createStage([0, 3, 6])
    const chain = await chainOf({ maxTokens: 6 })
    const run = (past: number, hidden: Float32Array): Promise<string> =>
      codeOf(chain.forward({ past, hidden, kernel: 'vec', result: 'all' }))
    expect(await run(1, rowsOf(1, 1))).toBe('ERR_SHARD_STEP_GAP')
    expect(await run(0, rowsOf(7, 1))).toBe('ERR_SHARD_CONTEXT_EXCEEDED')
    expect(await run(0, new Float32Array(hiddenSize + 1))).toBe('ERR_SHARD_INVALID_STEP')
    expect(await run(0, new Float32Array(0))).toBe('ERR_SHARD_INVALID_STEP')
    expect(await run(0.5, rowsOf(1, 1))).toBe('ERR_SHARD_INVALID_STEP')
    expect(await run(0, rowsOf(1, 1).fill(NaN, 3, 4))).toBe('ERR_SHARD_INVALID_VALUES')
    expect(await run(0, rowsOf(1, 1).fill(-2e8, 3, 4))).toBe('ERR_SHARD_INVALID_VALUES')
    expect(await run(0, rowsOf(5, 1))).toBe('no error')
  })

  test('needs a plan that covers all blocks, each once', async () => {
    stage = await createStage([0, 3, 6])
    const { plan } = stage
    const open = async (hops: typeof plan.hops): Promise<string> => {
      stage.plan = { ...plan, hops }
      return codeOf(chainOf())
    }
    const [first, second] = plan.hops as [(typeof plan.hops)[0], (typeof plan.hops)[0]]
    expect(await open([first])).toBe('ERR_SHARD_INVALID_INIT')
    expect(await open([second])).toBe('ERR_SHARD_INVALID_INIT')
    expect(await open([first, { ...second, from: 2 }])).toBe('ERR_SHARD_INVALID_INIT')
    expect(await open([])).toBe('ERR_SHARD_INVALID_INIT')
    // The plan is sound and the server is not what it says: overlapping ranges never run.
    expect(
      await open([
        { ...first, to: 2 },
        { ...second, from: 2 }
      ])
    ).toBe('ERR_SHARD_RANGE_MISMATCH')
    expect(stage.runners.map((runner) => runner.rows)).toEqual([0, 0])
  })
})

describe('a server that', () => {
  test('is dead gives a typed error when the chain opens', async () => {
    stage = await createStage([0, 3, 6])
    stage.hub.kill('peer-3')
    const error = await chainOf().catch((reason: unknown) => reason)
    expect(KwaaiError.is(error, 'ERR_SHARD_HOP_FAILED') && error.details).toMatchObject({
      peer: 'peer-3',
      from: 3,
      to: 6
    })
    await macrotask()
    expect(stage.servers[0]?.stats().sessions).toBe(0)
  })

  test('hangs gives a typed error at the deadline of the opening', async () => {
    stage = await createStage([0, 3, 6])
    stage.faults.stall('peer-3')
    const opening = chainOf({ openTimeoutMs: 500 })
    const code = codeOf(opening)
    await stage.clock.advance(500)
    expect(await code).toBe('ERR_SHARD_HOP_FAILED')
    expect(await opening.catch((error: Error) => error.message)).toContain('peer-3 (blocks 3 to 5)')
  })

  test('dies in the middle fails all steps under way at once', async () => {
    stage = await createStage([0, 3, 6])
    const seen: unknown[] = []
    const chain = await chainOf({ onFailure: (error) => seen.push(error) })
    await chain.forward({ ...steps[0]!, result: 'none' })
    stage.runners[1]!.before = () => new Promise(() => undefined)
    const late = Promise.all([
      codeOf(chain.forward({ ...steps[1]!, result: 'all' })),
      codeOf(chain.forward({ ...steps[2]!, result: 'all' }))
    ])
    await macrotask()
    stage.hub.kill('peer-3')
    expect(await late).toEqual(['ERR_SHARD_HOP_FAILED', 'ERR_SHARD_HOP_FAILED'])
    expect(seen).toHaveLength(1)
    expect(seen[0]).toMatchObject({ details: { peer: 'peer-3', from: 3, to: 6, step: 2 } })
    expect(await codeOf(chain.forward({ ...steps[3]!, result: 'all' }))).toBe('ERR_SHARD_HOP_FAILED')
    await macrotask()
    expect(stage.servers[0]?.stats().sessions).toBe(0)
  })

  test('hangs in the middle gives a typed error at the deadline, not before', async () => {
    stage = await createStage([0, 3, 6])
    const chain = await chainOf({ stepTimeoutMs: 1000, rowTimeoutMs: 10 })
    stage.faults.stall('peer-2')
    let code = ''
    void codeOf(chain.forward({ ...steps[0]!, result: 'all' })).then((got) => (code = got))
    await stage.clock.advance(1049)
    expect(code).toBe('')
    await stage.clock.advance(1)
    expect(code).toBe('ERR_SHARD_HOP_FAILED')
  })

  test('is stopped says so', async () => {
    stage = await createStage([0, 3, 6])
    const chain = await chainOf()
    await stage.servers[0]!.stop()
    await macrotask()
    expect(await codeOf(chain.forward({ ...steps[0]!, result: 'all' }))).toBe('ERR_SHARD_STOPPED')
    expect(await codeOf(chainOf())).toBe('ERR_SHARD_HOP_FAILED')
  })
})

describe('an abort', () => {
  test('of one step ends the chain, and the hops drop what waits', async () => {
    stage = await createStage([0, 6])
    const chain = await chainOf()
    let free = (): void => undefined
    stage.runners[0]!.before = () => new Promise<void>((resolve) => (free = resolve))
    const aborting = new AbortController()
    const late = [
      codeOf(chain.forward({ ...steps[0]!, result: 'all' })),
      codeOf(chain.forward({ ...steps[1]!, result: 'all' }, { signal: aborting.signal })),
      codeOf(chain.forward({ ...steps[2]!, result: 'all' }))
    ]
    await macrotask()
    aborting.abort(new KwaaiError('ERR_TEST', 'Enough'))
    expect(await Promise.all(late)).toEqual(['ERR_SHARD_CHAIN_CLOSED', 'ERR_TEST', 'ERR_SHARD_CHAIN_CLOSED'])
    await macrotask()
    free()
    await macrotask()
    expect(stage.runners[0]?.batches).toEqual([1])
    expect(stage.servers[0]?.stats()).toMatchObject({ sessions: 0, queuedSteps: 0 })
    expect(stage.runners[0]?.openSessions).toBe(0)
  })

  test('of the opening leaves nothing open', async () => {
    stage = await createStage([0, 3, 6])
    stage.faults.stall('peer-3')
    const aborting = new AbortController()
    const code = codeOf(chainOf({ signal: aborting.signal }))
    await macrotask()
    aborting.abort(new KwaaiError('ERR_TEST', 'Enough'))
    expect(await code).toBe('ERR_TEST')
    await macrotask()
    expect(stage.servers[0]?.stats().sessions).toBe(0)
  })

  test('by closing with steps under way rejects them', async () => {
    stage = await createStage([0, 3, 6])
    const chain = await chainOf()
    const code = codeOf(chain.forward({ ...steps[0]!, result: 'all' }))
    await chain[Symbol.asyncDispose]()
    expect(await code).toBe('ERR_SHARD_CHAIN_CLOSED')
  })
})
