import { createIdentity } from '@kwaai/identity'
import { KwaaiError } from '@kwaai/interface'
import { createMemoryNetwork } from '@kwaai/interface/memory'
import { createSeededRandom, macrotask } from '@kwaai/testing'
import { afterEach, describe, expect, test } from 'vitest'
import { createBlockServer, encodeFrame, measureRunner } from '../src/session/index.ts'
import {
  alone,
  answerOf,
  codeOf,
  createFakeRunner,
  createStage,
  hiddenSize,
  keyOf,
  modelHash,
  numericsClass,
  protocol,
  rawCaller,
  rowsOf,
  stepBody,
  type RawCaller,
  type Stage
} from './session-kit.ts'

let stage: Stage
afterEach(() => stage.stop())

const blocks = { from: 0, to: 6 }
const open = (more: Record<string, unknown> = {}): ReturnType<typeof rawCaller> =>
  rawCaller(stage.client, stage.hosts[0]!, { ...blocks, ...more })
const openCode = async (more: Record<string, unknown>): Promise<Float32Array | string> => {
  const caller = await open(more)
  await caller.channel.close()
  return answerOf(caller.first)
}

describe('a session', () => {
  test('says what it can do when it opens', async () => {
    stage = await createStage([0, 6])
    const { first } = await open()
    expect(first.body).toMatchObject({
      case: 'opened',
      value: { numericsClass, hiddenSize, maxPendingSteps: 16, maxStepRows: 512, idleTimeoutMs: 120_000 }
    })
  })

  test('is refused by name for what the server is not', async () => {
    stage = await createStage([0, 6], { maxTokens: 100 })
    expect(await openCode({ model: new Uint8Array(32) })).toBe('ERR_SHARD_MODEL_MISMATCH')
    expect(await openCode({ from: 1, to: 6 })).toBe('ERR_SHARD_RANGE_MISMATCH')
    expect(await openCode({ from: 0, to: 5 })).toBe('ERR_SHARD_RANGE_MISMATCH')
    expect(await openCode({ from: 0, to: 7 })).toBe('ERR_SHARD_RANGE_MISMATCH')
    expect(await openCode({ numericsClass: 'other/1' })).toBe('ERR_SHARD_NUMERICS_MISMATCH')
    expect(await openCode({ numericsClass })).toBe('opened')
    expect(await openCode({ residual: 'f16' })).toBe('ERR_SHARD_RESIDUAL_UNSUPPORTED')
    expect(await openCode({ residual: '' })).toBe('ERR_SHARD_RESIDUAL_UNSUPPORTED')
    expect(await openCode({ maxTokens: 101 })).toBe('ERR_SHARD_CONTEXT_EXCEEDED')
    expect(stage.runners[0]?.openSessions).toBe(0)
  })

  test('opens only for those the authorizer lets in, and gives its reason alone', async () => {
    const asked: unknown[] = []
    stage = await createStage([0, 6], {
      authorizer: {
        specification: 'kwaai.authorizer/1',
        authorize: async (request) => {
          asked.push(request)
          if (request.capability[0] === 1) return
          if (request.capability[0] === 2)
            throw new KwaaiError('ERR_UNAUTHORIZED', 'the ticket is of yesterday')
          throw new Error('password=hunter2')
        }
      }
    })
    expect(await openCode({ authorization: Uint8Array.of(1) })).toBe('opened')
    const late = await open({ authorization: Uint8Array.of(2) })
    expect(late.first.body.value).toMatchObject({
      code: 'ERR_SHARD_UNAUTHORIZED',
      message: 'Cannot open the session: the ticket is of yesterday'
    })
    const broken = await open()
    expect(broken.first.body.value).toMatchObject({ code: 'ERR_SHARD_UNAUTHORIZED' })
    expect(JSON.stringify(broken.first.body.value)).not.toContain('hunter2')
    expect(asked[0]).toMatchObject({ peer: 'peer-0', command: 'shard/open' })
  })

  test('belongs to the caller that opened it', async () => {
    stage = await createStage([0, 6])
    const owner = await open({ session: keyOf(1) })
    await owner.step({ step: 1, past: 0, hidden: rowsOf(2, 1) })
    // The same key from another peer, and from the same peer on another channel.
    const thief = await rawCaller(stage.other, stage.hosts[0]!, { ...blocks, session: keyOf(1) })
    expect(answerOf(thief.first)).toBe('ERR_SHARD_SESSION_FOREIGN')
    expect(answerOf((await open({ session: keyOf(1) })).first)).toBe('ERR_SHARD_SESSION_FOREIGN')
    // A session of one's own does not open the door to that of another.
    const liar = await rawCaller(stage.other, stage.hosts[0]!, { ...blocks, session: keyOf(2) })
    expect(answerOf(await liar.step({ session: keyOf(1), step: 2, past: 2, hidden: rowsOf(1, 9) }))).toBe(
      'ERR_SHARD_SESSION_FOREIGN'
    )
    const [, expected] = await alone(6, [
      { past: 0, hidden: rowsOf(2, 1), kernel: 'vec' },
      { past: 2, hidden: rowsOf(1, 2), kernel: 'vec' }
    ])
    expect(answerOf(await owner.step({ step: 2, past: 2, hidden: rowsOf(1, 2) }))).toEqual(expected)
  })

  test('counts against its caller and the server, and gives its room back', async () => {
    stage = await createStage([0, 6], { maxSessions: 3, maxSessionsPerPeer: 2 })
    const first = await open({ session: keyOf(1) })
    await open({ session: keyOf(2) })
    const third = await open({ session: keyOf(3) })
    expect(third.first.body.value).toMatchObject({ code: 'ERR_SHARD_SERVER_FULL' })
    expect(third.first.body).toHaveProperty('value.retryAfterMs', expect.any(Number))
    expect((third.first.body.value as { retryAfterMs: number }).retryAfterMs).toBeGreaterThanOrEqual(1000)
    await rawCaller(stage.other, stage.hosts[0]!, { ...blocks, session: keyOf(4) })
    const fifth = await rawCaller(stage.other, stage.hosts[0]!, { ...blocks, session: keyOf(5) })
    expect(answerOf(fifth.first)).toBe('ERR_SHARD_SERVER_FULL')
    expect(stage.servers[0]?.stats()).toMatchObject({ sessions: 3, freeTokens: 0, kvBytes: 3 * 64 * 100 })
    first.channel.abort()
    await macrotask()
    expect(stage.servers[0]?.stats()).toMatchObject({ sessions: 2 })
    expect(await openCode({ session: keyOf(6) })).toBe('opened')
  })

  test('is never offered more rows than its caller may hold', async () => {
    stage = await createStage([0, 6], { maxKvBytes: 4_000, maxKvBytesPerPeer: 3_000 })
    // 100 bytes a token, and 32 of its result where that is kept to hand it on.
    expect(stage.servers[0]?.stats()).toMatchObject({ maxTokens: 22, freeTokens: 30 })
    expect(await openCode({ session: keyOf(1), maxTokens: 23 })).toBe('ERR_SHARD_CONTEXT_EXCEEDED')
    expect(await openCode({ session: keyOf(2), maxTokens: 22, forward: true })).toBe('opened')
  })

  test('needs room in the cache, of its caller and of all', async () => {
    // 100 bytes a token.
    stage = await createStage([0, 6], { maxKvBytes: 10_000, maxKvBytesPerPeer: 7_000 })
    await open({ session: keyOf(1), maxTokens: 50 })
    expect(await openCode({ session: keyOf(2), maxTokens: 21 })).toBe('ERR_SHARD_SERVER_FULL')
    expect(await openCode({ session: keyOf(3), maxTokens: 20 })).toBe('opened')
    expect(await openCode({ session: keyOf(3), maxTokens: 20, forward: true })).toBe('ERR_SHARD_SERVER_FULL')
    const other = await rawCaller(stage.other, stage.hosts[0]!, {
      ...blocks,
      session: keyOf(4),
      maxTokens: 51
    })
    expect(answerOf(other.first)).toBe('ERR_SHARD_SERVER_FULL')
    expect(stage.servers[0]?.stats()).toMatchObject({ kvBytes: 5_000, freeTokens: 37 })
  })

  test('ends when nothing is heard of it, at its time and not before', async () => {
    stage = await createStage([0, 6], { idleTimeoutMs: 1000 })
    const caller = await open()
    await stage.clock.advance(700)
    await caller.step({ step: 1, past: 0, hidden: rowsOf(1, 1) })
    await stage.clock.advance(999)
    expect(stage.servers[0]?.stats().sessions).toBe(1)
    await stage.clock.advance(1)
    expect(stage.servers[0]?.stats().sessions).toBe(0)
    expect(stage.runners[0]?.openSessions).toBe(0)
    expect(answerOf(await caller.next())).toBe('ERR_SHARD_SESSION_EXPIRED')
    expect(await caller.channel.receive()).toBeUndefined()
  })

  test('does not end while a step runs, however long that takes', async () => {
    stage = await createStage([0, 6], { idleTimeoutMs: 1000 })
    const caller = await open()
    let free = (): void => undefined
    stage.runners[0]!.before = () => new Promise<void>((resolve) => (free = resolve))
    const answer = caller.step({ step: 1, past: 0, hidden: rowsOf(1, 1) })
    await stage.clock.advance(5000)
    free()
    expect(answerOf(await answer)).toBeInstanceOf(Float32Array)
    await stage.clock.advance(999)
    expect(stage.servers[0]?.stats().sessions).toBe(1)
    await stage.clock.advance(1)
    expect(stage.servers[0]?.stats().sessions).toBe(0)
  })

  test('that never opens is cut', async () => {
    stage = await createStage([0, 6], { openTimeoutMs: 300 })
    const channel = await stage.client.open(stage.hosts[0]!.peerId, protocol)
    const end = channel.receive()
    await stage.clock.advance(300)
    expect(new TextDecoder().decode(await end)).toContain('ERR_SHARD_DEADLINE_EXCEEDED')
  })

  test('ends with a close, and what waits is dropped', async () => {
    stage = await createStage([0, 6])
    const caller = await open()
    let free = (): void => undefined
    stage.runners[0]!.before = () => new Promise<void>((resolve) => (free = resolve))
    await caller.send(stepBody(keyOf(1), { ...blocks, step: 1, past: 0, hidden: rowsOf(1, 1) }), rowsOf(1, 1))
    await caller.send(stepBody(keyOf(1), { ...blocks, step: 2, past: 1, hidden: rowsOf(1, 2) }), rowsOf(1, 2))
    await macrotask()
    expect(stage.servers[0]?.stats().queuedSteps).toBe(1)
    await caller.send({ case: 'close', value: { session: keyOf(1) } })
    expect(await caller.channel.receive()).toBeUndefined()
    expect(stage.servers[0]?.stats()).toMatchObject({ queuedSteps: 0, sessions: 0 })
    free()
    await macrotask()
    expect(stage.runners[0]?.batches).toEqual([1])
  })

  test('ends on a frame that is none, and others do not feel it', async () => {
    stage = await createStage([0, 6])
    const good = await open({ session: keyOf(1) })
    const bad = await open({ session: keyOf(2) })
    await bad.channel.send(Uint8Array.of(255, 255, 1, 2, 3))
    expect(answerOf(await bad.next())).toBe('ERR_SHARD_INVALID_FRAME')
    expect(await bad.channel.receive()).toBeUndefined()
    const opened = await open({ session: keyOf(3) })
    await opened.send({
      case: 'opened',
      value: { session: keyOf(3), hiddenSize: 1, maxPendingSteps: 1, maxStepRows: 1 }
    })
    expect(answerOf(await opened.next())).toBe('ERR_SHARD_INVALID_FRAME')
    expect(answerOf(await good.step({ step: 1, past: 0, hidden: rowsOf(1, 1) }))).toBeInstanceOf(Float32Array)
    await macrotask()
    expect(stage.servers[0]?.stats().sessions).toBe(1)
  })
})

describe('a step', () => {
  const refusals = async (caller: RawCaller, more: Record<string, unknown>): Promise<Float32Array | string> =>
    answerOf(await caller.step({ step: 1, past: 0, hidden: rowsOf(2, 1), ...more }))

  test('is refused by name for what does not fit, and the session goes on', async () => {
    stage = await createStage([0, 6], { maxStepRows: 4 })
    const caller = await open({ maxTokens: 5 })
    expect(await refusals(caller, { from: 1 })).toBe('ERR_SHARD_RANGE_MISMATCH')
    expect(await refusals(caller, { to: 7 })).toBe('ERR_SHARD_RANGE_MISMATCH')
    expect(await refusals(caller, { residual: 'f16' })).toBe('ERR_SHARD_RESIDUAL_UNSUPPORTED')
    expect(await refusals(caller, { kernel: 'warp' })).toBe('ERR_SHARD_KERNEL_UNSUPPORTED')
    expect(await refusals(caller, { hidden: rowsOf(5, 1) })).toBe('ERR_SHARD_INVALID_STEP')
    expect(await refusals(caller, { past: 1 })).toBe('ERR_SHARD_STEP_GAP')
    expect(await refusals(caller, { step: 2 })).toBe('ERR_SHARD_STEP_GAP')
    expect(await refusals(caller, { hidden: rowsOf(1, 1).fill(NaN, 2, 3) })).toBe('ERR_SHARD_INVALID_VALUES')
    expect(await refusals(caller, { hidden: rowsOf(1, 1).fill(Infinity, 2, 3) })).toBe(
      'ERR_SHARD_INVALID_VALUES'
    )
    expect(await refusals(caller, { hidden: rowsOf(1, 1).fill(1.1e8, 2, 3) })).toBe(
      'ERR_SHARD_INVALID_VALUES'
    )
    expect(stage.runners[0]?.rows).toBe(0)
    expect(await refusals(caller, {})).toBeInstanceOf(Float32Array)
    expect(await refusals(caller, { step: 2, past: 2, hidden: rowsOf(4, 1) })).toBe(
      'ERR_SHARD_CONTEXT_EXCEEDED'
    )
    expect(await refusals(caller, { step: 2, past: 2, hidden: rowsOf(3, 1) })).toBeInstanceOf(Float32Array)
  })

  test('whose rows are of another width is refused', async () => {
    stage = await createStage([0, 6])
    const caller = await open()
    await caller.send(
      stepBody(keyOf(1), { ...blocks, step: 1, past: 0, hidden: rowsOf(1, 1) }),
      new Float32Array(hiddenSize + 2)
    )
    expect(answerOf(await caller.next())).toBe('ERR_SHARD_INVALID_STEP')
  })

  test('whose time is over before its turn is not computed, nor is what builds on it', async () => {
    stage = await createStage([0, 6])
    const caller = await open({ session: keyOf(1) })
    const other = await rawCaller(stage.other, stage.hosts[0]!, { ...blocks, session: keyOf(2) })
    let free = (): void => undefined
    stage.runners[0]!.before = () => new Promise<void>((resolve) => (free = resolve))
    const running = other.step({ step: 1, past: 0, hidden: rowsOf(1, 7) })
    await macrotask()
    const send = (step: number, past: number, deadlineMs: number): Promise<void> =>
      caller.send(
        stepBody(keyOf(1), { ...blocks, step, past, deadlineMs, hidden: rowsOf(1, step) }),
        rowsOf(1, step)
      )
    await send(1, 0, 50)
    await send(2, 1, 5000)
    await stage.clock.advance(50)
    stage.runners[0]!.before = () => undefined
    free()
    expect(answerOf(await running)).toBeInstanceOf(Float32Array)
    expect(answerOf(await caller.next())).toBe('ERR_SHARD_DEADLINE_EXCEEDED')
    expect(answerOf(await caller.next())).toBe('ERR_SHARD_STEP_GAP')
    expect(stage.runners[0]?.rows).toBe(1)
    // The same step again, with time: it was never done.
    const [expected] = await alone(6, [{ past: 0, hidden: rowsOf(1, 1), kernel: 'vec' }])
    expect(answerOf(await caller.step({ step: 1, past: 0, hidden: rowsOf(1, 1) }))).toEqual(expected)
  })

  test('may stand for several old ones: its number is the last of theirs', async () => {
    stage = await createStage([0, 6])
    const caller = await open()
    const rows = rowsOf(6, 1)
    const expected = await alone(6, [
      { past: 0, hidden: rows, kernel: 'vec' },
      { past: 6, hidden: rowsOf(1, 2), kernel: 'vec' }
    ])
    const merged = { step: 5, previous: 0, past: 0, hidden: rows }
    expect(answerOf(await caller.step({ ...merged, previous: 1 }))).toBe('ERR_SHARD_STEP_GAP')
    expect(answerOf(await caller.step(merged))).toEqual(expected[0])
    expect(answerOf(await caller.step(merged))).toEqual(expected[0])
    const next = { step: 9, previous: 5, past: 6, hidden: rowsOf(1, 2) }
    expect(answerOf(await caller.step({ ...next, previous: 8 }))).toBe('ERR_SHARD_STEP_GAP')
    expect(answerOf(await caller.step({ ...next, step: 4, previous: 3 }))).toBe('ERR_SHARD_STEP_STALE')
    expect(answerOf(await caller.step(next))).toEqual(expected[1])
  })

  test('too many at once are refused, not kept', async () => {
    stage = await createStage([0, 6], { maxPendingSteps: 3 })
    const caller = await open()
    let free = (): void => undefined
    stage.runners[0]!.before = () => new Promise<void>((resolve) => (free = resolve))
    for (let step = 1; step <= 5; step++) {
      await caller.send(
        stepBody(keyOf(1), { ...blocks, step, past: step - 1, hidden: rowsOf(1, step) }),
        rowsOf(1, step)
      )
    }
    expect(answerOf(await caller.next())).toBe('ERR_SHARD_OVERLOADED')
    expect(answerOf(await caller.next())).toBe('ERR_SHARD_OVERLOADED')
    stage.runners[0]!.before = () => undefined
    free()
    for (let step = 1; step <= 3; step++)
      expect((await caller.next()).body).toMatchObject({ value: { step } })
    // One after the other: two steps of one session never share a call of the runner.
    expect(stage.runners[0]?.batches).toEqual([1, 1, 1])
  })

  test('is refused when the rows of all sessions take too much memory', async () => {
    // Room for three rows.
    stage = await createStage([0, 6], { maxPendingBytes: 3 * hiddenSize * 4 })
    const first = await open({ session: keyOf(1) })
    const second = await open({ session: keyOf(2) })
    let free = (): void => undefined
    stage.runners[0]!.before = () => new Promise<void>((resolve) => (free = resolve))
    const running = first.step({ session: keyOf(1), step: 1, past: 0, hidden: rowsOf(2, 1) })
    await macrotask()
    const two = { session: keyOf(2), step: 1, past: 0, hidden: rowsOf(2, 1) }
    expect(answerOf(await second.step(two))).toBe('ERR_SHARD_OVERLOADED')
    stage.runners[0]!.before = () => undefined
    free()
    expect(answerOf(await running)).toBeInstanceOf(Float32Array)
    expect(answerOf(await second.step(two))).toBeInstanceOf(Float32Array)
  })

  test('that breaks the runner fails alone in its batch', async () => {
    stage = await createStage([0, 6])
    const good = await open({ session: keyOf(1) })
    const bad = await rawCaller(stage.other, stage.hosts[0]!, { ...blocks, session: keyOf(2) })
    const poison = rowsOf(1, 9).fill(66, 0, 1)
    stage.runners[0]!.before = (steps) => {
      if (steps.some((step) => step.hidden[0] === 66)) throw new Error('secret path /etc/shadow')
    }
    const answers = await Promise.all([
      good.step({ step: 1, past: 0, hidden: rowsOf(1, 1) }),
      bad.step({ step: 1, past: 0, hidden: poison })
    ])
    expect(stage.runners[0]?.batches).toEqual([2, 1, 1])
    expect(answerOf(answers[0]!)).toEqual(
      (await alone(6, [{ past: 0, hidden: rowsOf(1, 1), kernel: 'vec' }]))[0]
    )
    expect(answers[1]?.body.value).toMatchObject({ code: 'ERR_SHARD_BACKEND_FAILED' })
    expect(JSON.stringify(answers[1]?.body.value)).not.toContain('shadow')
    // It may be tried again.
    stage.runners[0]!.before = () => undefined
    expect(answerOf(await bad.step({ step: 1, past: 0, hidden: poison }))).toBeInstanceOf(Float32Array)
  })

  test('of many sessions goes with the others that wait, one a session, within bounds', async () => {
    stage = await createStage([0, 6], { maxBatchSteps: 3 })
    const callers = await Promise.all([1, 2, 3, 4, 5].map((seed) => open({ session: keyOf(seed) })))
    let free = (): void => undefined
    stage.runners[0]!.before = () => new Promise<void>((resolve) => (free = resolve))
    const results = callers.map((caller, index) =>
      caller.step({ session: keyOf(index + 1), step: 1, past: 0, hidden: rowsOf(1, index) })
    )
    await macrotask()
    stage.runners[0]!.before = () => undefined
    free()
    for (const [index, result] of results.entries()) {
      const [expected] = await alone(6, [{ past: 0, hidden: rowsOf(1, index), kernel: 'vec' }])
      expect(answerOf(await result)).toEqual(expected)
    }
    expect(stage.runners[0]?.batches).toEqual([3, 2])
    expect(stage.servers[0]?.stats()).toMatchObject({ tokensServed: 5, stepsServed: 5 })
  })
})

describe('the server', () => {
  test('tells the meter who used how much', async () => {
    stage = await createStage([0, 6])
    const used: unknown[] = []
    const server = createBlockServer(
      { modelHash, numericsClass, measure: false },
      {
        network: stage.other,
        runner: createFakeRunner({ from: 2, to: 5, blockCount: 6 }),
        clock: stage.clock,
        random: createSeededRandom(1),
        meter: { add: (usage) => used.push(usage) }
      }
    )
    await server.start()
    const caller = await rawCaller(stage.client, stage.other, { from: 2, to: 5 })
    await caller.step({ step: 1, past: 0, hidden: rowsOf(4, 1) })
    // A repeat costs nothing.
    await caller.step({ step: 1, past: 0, hidden: rowsOf(4, 1) })
    expect(used).toEqual([{ account: 'peer-0', unit: 'token-blocks', amount: 12 }])
    await server.stop()
  })

  test('reports callers that break the protocol, and traces steps below the caller’s span', async () => {
    stage = await createStage([0, 6])
    const { did, peerId } = createIdentity({ seed: new Uint8Array(32).fill(1) })
    const accountable = createMemoryNetwork(stage.hub, { peerId })
    await accountable.start()
    const outcomes: unknown[] = []
    const spans: unknown[] = []
    const server = createBlockServer(
      { modelHash, numericsClass, measure: false },
      {
        network: stage.other,
        runner: createFakeRunner({ from: 0, to: 6, blockCount: 6 }),
        clock: stage.clock,
        random: createSeededRandom(1),
        evidence: { record: (outcome) => outcomes.push(outcome) },
        tracer: {
          start: (name, options) => {
            spans.push([name, options])
            return { traceparent: '', end: (fields) => spans.push(fields) }
          }
        }
      }
    )
    await server.start()
    const caller = await rawCaller(accountable, stage.other, blocks)
    await caller.step({ step: 1, past: 0, hidden: rowsOf(1, 1), traceparent: '00-ab-cd-01' })
    expect(outcomes).toEqual([])
    await caller.step({ step: 1, past: 0, hidden: rowsOf(1, 2) })
    // A gap may be anybody's bad luck.
    await caller.step({ step: 9, past: 0, hidden: rowsOf(1, 2) })
    expect(outcomes).toEqual([{ subject: did, context: 'shard/session', kind: 'violation' }])
    expect(spans).toEqual([['shard.step', { parent: '00-ab-cd-01' }], { step: 1, rows: 1, outcome: 'done' }])
    await server.stop()
    await accountable.stop()
  })

  test('is not harmed by mutated frames, and other sessions are not either', async () => {
    stage = await createStage([0, 6], { maxSessionsPerPeer: 4 })
    const random = createSeededRandom('mutations')
    const good = await rawCaller(stage.other, stage.hosts[0]!, {
      ...blocks,
      session: keyOf(1),
      maxTokens: 200
    })
    const steps = Array.from({ length: 100 }, (_, index) => ({ past: index, hidden: rowsOf(1, index) }))
    const expected = await alone(
      6,
      steps.map((step) => ({ ...step, kernel: 'vec' as const }))
    )
    for (const [index, step] of steps.entries()) {
      const bad = await open({ session: keyOf(2) })
      for (let round = 0; round < 5; round++) {
        const [front, rows] = encodeFrame(
          stepBody(keyOf(2), { ...blocks, step: 1 + round, past: round, hidden: rowsOf(1, round) }),
          new Uint8Array(rowsOf(1, round).buffer)
        ) as [Uint8Array, Uint8Array]
        const bytes = new Uint8Array([...front, ...rows])
        for (let flips = 0; flips < 3; flips++) {
          bytes[Math.floor(bytes.length * random.next())] = Math.floor(256 * random.next())
        }
        await bad.channel
          .send(bytes.subarray(0, Math.ceil(bytes.length * Math.min(1, 2 * random.next()))))
          .catch(() => undefined)
      }
      expect(answerOf(await good.step({ session: keyOf(1), step: index + 1, ...step }))).toEqual(
        expected[index]
      )
      bad.channel.abort()
      await macrotask()
    }
    expect(stage.servers[0]?.stats()).toMatchObject({ sessions: 1, queuedSteps: 0 })
  })

  test('starts and stops twice, and leaves nothing behind', async () => {
    stage = await createStage([0, 6])
    const [server] = stage.servers
    await server!.start()
    const caller = await open()
    await server!.stop()
    await server!.stop()
    expect(answerOf(await caller.next())).toBe('ERR_SHARD_STOPPED')
    expect(server!.stats().sessions).toBe(0)
    expect(await codeOf(open({ session: keyOf(2) }))).toBe('ERR_NETWORK_PROTOCOL_UNSUPPORTED')
    await server!.start()
    expect(await openCode({ session: keyOf(3) })).toBe('opened')
    await server!.stop()
    expect(stage.clock.sleeping).toBeLessThanOrEqual(1)
  })

  test('that is stopped while it starts does not start', async () => {
    stage = await createStage([0, 6])
    const [server] = stage.servers
    await server!.stop()
    const starting = codeOf(server!.start())
    await server!.stop()
    expect(await starting).toBe('ERR_SHARD_STOPPED')
    expect(await codeOf(open())).toBe('ERR_NETWORK_PROTOCOL_UNSUPPORTED')
    await server!.start()
    expect(await openCode({})).toBe('opened')
  })

  test('that drains takes no new sessions, tells the open ones, and ends those that are idle', async () => {
    stage = await createStage([0, 6])
    const [server] = stage.servers
    const idle = await open({ session: keyOf(1) })
    const busy = await open({ session: keyOf(2) })
    let free = (): void => undefined
    stage.runners[0]!.before = () => new Promise<void>((resolve) => (free = resolve))
    await busy.send(stepBody(keyOf(2), { ...blocks, step: 1, past: 0, hidden: rowsOf(1, 1) }), rowsOf(1, 1))
    let drained = false
    const draining = server!.drain({ deadlineMs: 9_000 }).then(() => (drained = true))
    for (const caller of [idle, busy]) {
      expect((await caller.next()).body).toMatchObject({
        case: 'notice',
        value: { draining: true, deadlineMs: 9_000 }
      })
    }
    expect(server!.stats().draining).toBe(true)
    expect(await openCode({ session: keyOf(3) })).toBe('ERR_SHARD_DRAINING')
    await stage.clock.advance(999)
    expect(server!.stats().sessions).toBe(2)
    await stage.clock.advance(1)
    expect(answerOf(await idle.next())).toBe('ERR_SHARD_DRAINING')
    await stage.clock.advance(3_000)
    expect(server!.stats().sessions).toBe(1)
    // What runs is done, and what comes meanwhile too.
    free()
    expect(answerOf(await busy.next())).toBeInstanceOf(Float32Array)
    stage.runners[0]!.before = () => undefined
    expect(
      answerOf(await busy.step({ session: keyOf(2), step: 2, past: 1, hidden: rowsOf(1, 2) }))
    ).toBeInstanceOf(Float32Array)
    expect(drained).toBe(false)
    await busy.send({ case: 'close', value: { session: keyOf(2) } })
    await draining
    expect(server!.stats()).toMatchObject({ sessions: 0, draining: true })
    await server!.stop()
    await server!.start()
    expect(server!.stats().draining).toBe(false)
    expect(await openCode({ session: keyOf(4) })).toBe('opened')
  })

  test('that drains waits as long as it is told, or until it is told not to', async () => {
    stage = await createStage([0, 6])
    const [server] = stage.servers
    const caller = await open()
    stage.runners[0]!.before = () => new Promise<void>(() => undefined)
    await caller.send(stepBody(keyOf(1), { ...blocks, step: 1, past: 0, hidden: rowsOf(1, 1) }), rowsOf(1, 1))
    const told = new AbortController()
    const first = codeOf(server!.drain({ signal: told.signal }))
    let over = false
    const second = server!.drain({ deadlineMs: 2_500 }).then(() => (over = true))
    told.abort(new KwaaiError('ERR_TOLD', 'Enough'))
    expect(await first).toBe('ERR_TOLD')
    await stage.clock.advance(2_499)
    expect(over).toBe(false)
    await stage.clock.advance(1)
    await second
    // A session that runs is left to `stop`.
    expect(server!.stats().sessions).toBe(1)
    const third = server!.drain()
    await server!.stop()
    await third
    expect(server!.stats().sessions).toBe(0)
  })

  test('measures its runner by time alone', async () => {
    stage = await createStage([0, 6])
    const runner = createFakeRunner({ from: 0, to: 6, blockCount: 6 })
    const times = [40, 10, 20, 12]
    let now = 0
    runner.before = () => void (now += times.shift() ?? 0)
    const clock = { ...stage.clock, monotonic: () => now }
    expect(await measureRunner(runner, clock)).toBeCloseTo(1000 / 12)
    expect(runner.openSessions).toBe(0)
  })

  test.each([
    { modelHash: 'AB'.repeat(32) },
    { maxSessions: 0 },
    { maxKvBytes: 1.5 },
    { idleTimeoutMs: -1 },
    { maxPrefillRows: Infinity }
  ])('does not take the option %j', async (option) => {
    stage = await createStage([0, 6])
    const make = async (): Promise<unknown> =>
      createBlockServer(
        { modelHash, numericsClass, ...option },
        { network: stage.other, runner: stage.runners[0]!, clock: stage.clock, random: createSeededRandom(1) }
      )
    expect(await codeOf(make())).toBe('ERR_SHARD_INVALID_INIT')
  })
})
