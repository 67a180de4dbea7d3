// Rows that go from server to server: the bits of one place, whatever happens between the servers.
import { macrotask } from '@kwaai/testing'
import fc from 'fast-check'
import { afterEach, describe, expect, test } from 'vitest'
import { bytesToRows, rowsToBytes } from '../src/session/rows.ts'
import { createStepLog, type ResumedStep } from '../src/session/step-log.ts'
import {
  alone,
  answerOf,
  createStage,
  hiddenSize,
  keyOf,
  pushChain,
  puppet,
  rawCaller,
  rowsOf,
  spareServer,
  stepBody,
  type PushChain,
  type Stage
} from './session-kit.ts'

let stage: Stage
afterEach(() => stage.stop())

const cuts = [0, 2, 3, 6]
/** A prompt in two steps, single rows, and a roll-back into the prompt. */
const story = [
  { step: 1, past: 0, hidden: rowsOf(4, 1), kernel: 'tile' as const },
  { step: 2, past: 4, hidden: rowsOf(2, 2), kernel: 'tile' as const },
  { step: 3, past: 6, hidden: rowsOf(1, 3), kernel: 'vec' as const },
  { step: 4, past: 7, hidden: rowsOf(1, 4), kernel: 'vec' as const },
  { step: 5, past: 3, hidden: rowsOf(2, 5), kernel: 'vec' as const },
  { step: 6, past: 5, hidden: rowsOf(1, 6), kernel: 'vec' as const },
  { step: 7, past: 6, hidden: rowsOf(1, 7), kernel: 'vec' as const },
  { step: 8, past: 7, hidden: rowsOf(1, 8), kernel: 'vec' as const }
]
const truth = await alone(6, story)

/** Sends the steps of the story up to one, all at once or one after the other. */
async function play(chain: PushChain, from: number, to: number): Promise<void> {
  for (const step of story.slice(from, to)) {
    const frame = await chain.step(step)
    expect(frame.body.value).toMatchObject({ step: step.step })
    expect(answerOf(frame)).toEqual(truth[step.step - 1])
  }
}

/** The next frame of a link that is no result and no failure of a step. */
async function news(chain: PushChain, index: number): Promise<unknown> {
  return (await chain.links[index]!.next()).body.value
}

describe('a chain in which servers hand rows on', () => {
  test('gives the bits of one place, with a stamp of every hop', async () => {
    stage = await createStage(cuts)
    const chain = await pushChain(stage)
    await play(chain, 0, 4)
    const { body } = await chain.step(story[4]!)
    expect(body.value).toMatchObject({
      step: 5,
      past: 5,
      stamps: [
        { from: 0, to: 2 },
        { from: 2, to: 3 }
      ]
    })
    await play(chain, 5, 8)
    expect(stage.runners.map((runner) => runner.rows)).toEqual([13, 13, 13])
  })

  test('gives the same when steps overlap, and rows as they are wanted', async () => {
    stage = await createStage(cuts)
    const chain = await pushChain(stage)
    const { send, key, from, to } = chain.links[0]!
    const wanted = ['none', 'last', 'all']
    for (const [index, step] of story.entries()) {
      await send(stepBody(key, { from, to, ...step, wanted: wanted[index % 3] as string }), step.hidden)
    }
    for (const [index, rows] of truth.entries()) {
      const answer = answerOf(await chain.links[2]!.next())
      const first = [rows.length, rows.length - hiddenSize, 0][index % 3] as number
      expect(answer).toEqual(rows.slice(first))
    }
  })

  test('of several callers share the servers and give each its own', async () => {
    stage = await createStage(cuts)
    const chains = [await pushChain(stage), await pushChain(stage, stage.other, 2)]
    await Promise.all(chains.map((chain) => play(chain, 0, 8)))
  })

  test('passes on what is left of a step’s time, its trace, and the stamps', async () => {
    stage = await createStage([0, 2, 3])
    const frames = await puppet(stage.other, ({ body }) =>
      body.case === 'join' ? { case: 'joined', value: { session: body.value.session } } : undefined
    )
    const chain = await pushChain(stage, stage.client, 1, false)
    const { send, next, key } = chain.links[0]!
    const after = { peer: stage.other.peerId, from: 2, to: 3, session: keyOf(50) }
    await send({ case: 'route', value: { session: key, route: 1, after } })
    expect((await next()).body.case).toBe('routed')
    stage.runners[0]!.before = () => stage.clock.advance(300)
    const came = frames.next()
    const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
    const step = { ...story[0]!, deadlineMs: 1_000, wanted: 'last', traceparent }
    await send(stepBody(key, { from: 0, to: 2, ...step }), step.hidden)
    expect((await came).body).toMatchObject({
      case: 'step',
      value: {
        session: keyOf(50),
        step: 1,
        previous: 0,
        from: 2,
        to: 3,
        past: 0,
        rows: 4,
        kernel: 'tile',
        wanted: 'last',
        deadlineMs: 700,
        traceparent,
        stamps: [{ from: 0, to: 2, computeUs: 300_000, queueUs: 0 }]
      }
    })
  })

  test('tells its caller, and nobody else, of a step that fails, and goes on', async () => {
    stage = await createStage(cuts)
    const chain = await pushChain(stage)
    await play(chain, 0, 2)
    stage.runners[1]!.before = () => {
      throw new Error('once')
    }
    const { send, key, from, to } = chain.links[0]!
    await send(stepBody(key, { from, to, ...story[2]! }), story[2]!.hidden)
    await send(stepBody(key, { from, to, ...story[3]! }), story[3]!.hidden)
    expect(await news(chain, 1)).toMatchObject({ step: 3, code: 'ERR_SHARD_BACKEND_FAILED' })
    expect(await news(chain, 1)).toMatchObject({ step: 4, code: 'ERR_SHARD_STEP_GAP' })
    stage.runners[1]!.before = () => undefined
    // A repeat travels to where the step was lost; the first server computes nothing again.
    await play(chain, 2, 8)
    expect(stage.runners[0]!.rows).toBe(13)
  })

  test('answers probes at once, whatever is being computed', async () => {
    stage = await createStage(cuts)
    const chain = await pushChain(stage)
    await play(chain, 0, 2)
    let free = (): void => undefined
    stage.runners[1]!.before = () => new Promise<void>((resolve) => (free = resolve))
    const { send, key, from, to } = chain.links[0]!
    for (const step of story.slice(2, 4)) await send(stepBody(key, { from, to, ...step }), step.hidden)
    await macrotask()
    const reports: unknown[] = []
    for (const link of chain.links) {
      await link.send({ case: 'probe', value: { session: link.key, nonce: 7 } })
      const { body } = await link.next()
      expect(body).toMatchObject({ case: 'report', value: { nonce: 7 } })
      const { last, done, past, pending } = body.value as unknown as Record<string, number>
      reports.push([last, done, past, pending])
    }
    expect(reports).toEqual([
      [4, 4, 8, 0],
      [4, 2, 8, 2],
      [2, 2, 6, 0]
    ])
    stage.runners[1]!.before = () => undefined
    free()
    for (const number of [3, 4]) expect(answerOf(await chain.links[2]!.next())).toEqual(truth[number - 1])
  })
})

describe('a server that takes a place in the chain', () => {
  interface Accident {
    /** Which server dies, after how many answers, and with how many steps on their way. */
    index: number
    answered: number
    flying: number
    /** Where the steps on their way are stuck. */
    stuck: number
    /** In which order the neighbours are told. */
    order: number[]
  }
  const accident: fc.Arbitrary<Accident> = fc.record({
    index: fc.nat(2),
    answered: fc.nat(7),
    flying: fc.nat(4),
    stuck: fc.nat(2),
    // The one after has to expect the new server before that one asks.
    order: fc.constantFrom([0, 2, 1], [2, 0, 1], [2, 1, 0])
  })

  const recover = async ({ index, answered, flying, stuck, order }: Accident): Promise<void> => {
    stage = await createStage(cuts)
    const chain = await pushChain(stage)
    const log = createStepLog({ maxOpenSteps: 16 })
    const feed = async ({ data, ...step }: ResumedStep): Promise<void> => {
      const { send, key, from, to } = chain.links[0]!
      const hidden = bytesToRows(data)
      await send(stepBody(key, { from, to, hidden, ...step }), hidden)
    }
    const stepAt = (at: number): ResumedStep => {
      const { hidden, ...step } = story[at]!
      const data = rowsToBytes(hidden)
      return { ...step, previous: at, rows: hidden.length / hiddenSize, wanted: 'all', data }
    }
    for (let at = 0; at < answered; at++) {
      log.append(stepAt(at))
      await feed(stepAt(at))
      expect(answerOf(await chain.links[2]!.next())).toEqual(truth[at])
    }
    let free = (): void => undefined
    stage.runners[stuck]!.before = () => new Promise<void>((resolve) => (free = resolve))
    const sent = Math.min(story.length, answered + flying)
    for (let at = answered; at < sent; at++) {
      log.append(stepAt(at))
      await feed(stepAt(at))
    }
    await macrotask()
    stage.hub.kill(chain.links[index]!.host.peerId)
    stage.runners[stuck]!.before = () => undefined
    free()
    await macrotask()

    const { host } = await spareServer(stage, index, 'spare')
    await chain.replace(index, host, 77)
    const neighbours = [index - 1, index, index + 1]
    for (const at of order.map((place) => neighbours[place]!).filter((one) => one >= 0 && one <= 2)) {
      // The last server of the chain and the one that was just opened as such have nothing to be told.
      if (at === 2 && index === 2) continue
      const before = at === 0 ? undefined : at - 1
      expect(await chain.route(at, { before, after: at === 2 ? undefined : at + 1, answered })).toBe('routed')
    }
    const lost = index === 0 ? log.resume({ last: 0, answered, maxRows: 3 }) : []
    for (const step of lost) await feed(step)
    for (let at = sent; at < story.length; at++) await feed(stepAt(at))

    const results = new Map<number, Float32Array | string>()
    while (results.size < story.length - answered) {
      const frame = await chain.links[2]!.next()
      const { value } = frame.body
      if ('step' in value && value.step > answered) results.set(value.step, answerOf(frame))
    }
    for (const [step, rows] of results) expect(rows).toEqual(truth[step - 1])
    await stage.stop()
  }

  test('is brought up to date by the one before it: the bits of the undisturbed run', async () => {
    await fc.assert(fc.asyncProperty(accident, recover), { numRuns: 60, seed: 1 })
  })

  test('gets the rest from a server that lost the way and found it again', async () => {
    stage = await createStage(cuts)
    const chain = await pushChain(stage)
    await play(chain, 0, 2)
    await stage.hosts[1]!.disconnect(stage.hosts[2]!.peerId)
    const lost = await chain.links[1]!.next()
    expect(lost.body).toMatchObject({
      case: 'failure',
      value: { step: 0, code: 'ERR_SHARD_NEXT_LOST', details: { peer: stage.hosts[2]!.peerId, route: '2' } }
    })
    // The session lives on: what it computes meanwhile is kept.
    const { send, key, from, to } = chain.links[0]!
    for (const step of story.slice(2, 5)) await send(stepBody(key, { from, to, ...step }), step.hidden)
    await macrotask()
    expect(stage.runners.map((runner) => runner.rows)).toEqual([10, 10, 6])
    expect(await chain.route(1, { before: 0, after: 2, answered: 2 })).toBe('routed')
    for (const at of [2, 3, 4]) expect(answerOf(await chain.links[2]!.next())).toEqual(truth[at])
    await play(chain, 5, 8)
    expect(stage.runners.map((runner) => runner.rows)).toEqual([13, 13, 13])
  })
})

describe('a caller that carries the rows itself again', () => {
  test('gets all rows it lacks, then those it asks for', async () => {
    stage = await createStage(cuts)
    const chain = await pushChain(stage)
    await play(chain, 0, 3)
    let free = (): void => undefined
    stage.runners[1]!.before = () => new Promise<void>((resolve) => (free = resolve))
    const { send, key, from, to } = chain.links[0]!
    // On their way when the route changes: of these, too, the caller needs all rows.
    for (const step of story.slice(3, 5)) {
      await send(stepBody(key, { from, to, ...step, wanted: 'none' }), step.hidden)
    }
    await macrotask()
    expect(await chain.route(1, { before: 0, last: 1 })).toBe('routed')
    expect(await chain.route(2, {})).toBe('routed')
    stage.runners[1]!.before = () => undefined
    free()
    const carry = async (number: number): Promise<void> => {
      const frame = await chain.links[1]!.next()
      expect(frame.body.value).toMatchObject({ step: number })
      const hidden = answerOf(frame) as Float32Array
      const step = story[number - 1]!
      expect(hidden.length).toBe(step.hidden.length)
      if (number < 4) return
      const answer = await chain.links[2]!.step({ ...step, session: chain.links[2]!.key, hidden })
      expect(answerOf(answer)).toEqual(truth[number - 1])
    }
    for (const number of [2, 3, 4, 5]) await carry(number)
    for (const step of story.slice(5)) {
      await send(stepBody(key, { from, to, ...step }), step.hidden)
      await carry(step.step)
    }
    // And back: the servers hand rows on again.
    expect(await chain.route(2, { before: 1 })).toBe('routed')
    expect(await chain.route(1, { before: 0, after: 2, answered: 8 })).toBe('routed')
    const more = { step: 9, past: 8, hidden: rowsOf(1, 9), kernel: 'vec' as const }
    expect(answerOf(await chain.step(more))).toEqual((await alone(6, [...story, more])).at(-1))
  })

  test('does not hold up the server when it does not read what it asked for', async () => {
    stage = await createStage([0, 6], { maxPendingSteps: 4 })
    const chain = await pushChain(stage, stage.client, 1, false)
    const open = { session: keyOf(9), from: 0, to: 6, forward: true, maxTokens: 256 }
    const caller = await rawCaller(stage.client, stage.hosts[0]!, open)
    const rows = rowsOf(64, 1)
    // More than a channel takes in.
    for (let step = 1; step <= 4; step++) {
      await caller.step({ session: keyOf(9), step, past: 64 * (step - 1), hidden: rows, wanted: 'none' })
    }
    for (let route = 1; route <= 64; route++) {
      await caller.send({ case: 'route', value: { session: keyOf(9), route, last: 0 } })
    }
    await macrotask()
    await play(chain, 0, 8)
  })
})
