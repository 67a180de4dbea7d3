// Rows go only to a server that confirmed the session, and come only from the one the caller named.
import { createIdentity } from '@kwaai/identity'
import type { Network } from '@kwaai/interface'
import { createMemoryNetwork } from '@kwaai/interface/memory'
import { createSeededRandom, macrotask } from '@kwaai/testing'
import { afterEach, describe, expect, test } from 'vitest'
import { createBlockServer, encodeFrame, type FrameInit } from '../src/session/index.ts'
import {
  alone,
  answerOf,
  createFakeRunner,
  createStage,
  hiddenSize,
  keyOf,
  modelHash,
  numericsClass,
  protocol,
  pushChain,
  puppet,
  rawCaller,
  rawPusher,
  rowsOf,
  stepBody,
  type Puppet,
  type RawCaller,
  type Stage
} from './session-kit.ts'

let stage: Stage
afterEach(() => stage.stop())

const cuts = [0, 2, 3]
const story = [
  { step: 1, past: 0, hidden: rowsOf(3, 1), kernel: 'vec' as const },
  { step: 2, past: 3, hidden: rowsOf(1, 2), kernel: 'vec' as const },
  { step: 3, past: 4, hidden: rowsOf(1, 3), kernel: 'vec' as const }
]
const truth = await alone(3, story)

/** The code of the first frame of a channel that asks to hand in rows. */
async function joinCode(from: Network, key: Uint8Array): Promise<unknown> {
  const pusher = await rawPusher(from, stage.hosts[1]!, key)
  pusher.channel.abort()
  return answerOf(pusher.first)
}

describe('a server takes rows', () => {
  test('of a session from nobody but the peer its caller named', async () => {
    stage = await createStage(cuts)
    const chain = await pushChain(stage)
    const key = chain.links[1]!.key
    await chain.step(story[0]!)
    // Somebody who knows the key, the caller itself, and a session that is not there: one answer for all.
    const answers = [
      await rawPusher(stage.other, stage.hosts[1]!, key),
      await rawPusher(stage.client, stage.hosts[1]!, key),
      await rawPusher(stage.other, stage.hosts[1]!, keyOf(999))
    ]
    for (const { first } of answers) {
      expect(first.body.value).toMatchObject({
        step: 0,
        code: 'ERR_SHARD_PUSH_REFUSED',
        message: 'Cannot take rows: no session here expects them from this peer',
        details: {}
      })
    }
    // A step without a word before is no better.
    const channel = await stage.other.open(stage.hosts[1]!.peerId, protocol)
    const injected = stepBody(key, { from: 2, to: 3, step: 2, past: 3, hidden: rowsOf(1, 66) })
    await channel.send(encodeFrame(injected, new Uint8Array(rowsOf(1, 66).buffer)))
    const refusal = new TextDecoder().decode(await channel.receive())
    expect(refusal).toContain('ERR_SHARD_SESSION_FOREIGN')
    for (const at of [1, 2]) expect(answerOf(await chain.step(story[at]!))).toEqual(truth[at])
  })

  test('not from a server that belongs to another session of the same caller', async () => {
    stage = await createStage(cuts)
    const chain = await pushChain(stage)
    // `other` may hand in rows of this session, not of that one.
    const before = { peer: stage.other.peerId, from: 0, to: 2 }
    await rawCaller(stage.client, stage.hosts[1]!, { from: 2, to: 3, session: keyOf(9), before })
    const pusher = await rawPusher(stage.other, stage.hosts[1]!, keyOf(9))
    expect(pusher.first.body).toMatchObject({ case: 'joined', value: { last: 0, past: 0 } })
    expect(await joinCode(stage.other, chain.links[1]!.key)).toBe('ERR_SHARD_PUSH_REFUSED')
    const foreign = stepBody(chain.links[1]!.key, { from: 2, to: 3, ...story[0]! })
    await pusher.send(foreign, story[0]!.hidden)
    expect(answerOf(await pusher.next())).toBe('ERR_SHARD_SESSION_FOREIGN')
    expect(await pusher.channel.receive()).toBeUndefined()
    for (const at of [0, 1, 2]) expect(answerOf(await chain.step(story[at]!))).toEqual(truth[at])
  })

  test('from one side at a time', async () => {
    stage = await createStage(cuts)
    const chain = await pushChain(stage)
    const second = chain.links[1]!
    await chain.step(story[0]!)
    // The caller's own steps have no place while another server is named…
    const own = { ...story[1]!, session: second.key }
    expect(answerOf(await second.step(own))).toBe('ERR_SHARD_PUSH_REFUSED')
    expect(answerOf(await chain.step(story[1]!))).toEqual(truth[1])
    // …and those of that server have none once the caller carries the rows itself.
    expect(await chain.route(1, {})).toBe('routed')
    await macrotask()
    expect((await chain.links[0]!.next()).body.value).toMatchObject({ step: 0, code: 'ERR_SHARD_NEXT_LOST' })
    expect(await joinCode(stage.hosts[0]!, second.key)).toBe('ERR_SHARD_PUSH_REFUSED')
    const hidden = (await alone(2, story))[2]!
    expect(answerOf(await second.step({ ...story[2]!, session: second.key, hidden }))).toEqual(truth[2])
  })

  test('on one channel at a time: a new one from the right peer takes the place', async () => {
    stage = await createStage(cuts)
    const before = { peer: stage.other.peerId, from: 0, to: 2 }
    const open = { from: 2, to: 3, session: keyOf(9), before }
    const caller = await rawCaller(stage.client, stage.hosts[1]!, open)
    const first = await rawPusher(stage.other, stage.hosts[1]!, keyOf(9))
    const step = stepBody(keyOf(9), { from: 2, to: 3, ...story[0]! })
    await first.send(step, story[0]!.hidden)
    expect((await caller.next()).body.value).toMatchObject({ step: 1, rows: 3 })
    const second = await rawPusher(stage.other, stage.hosts[1]!, keyOf(9))
    expect(second.first.body.value).toMatchObject({ last: 1, past: 3 })
    expect(answerOf(await first.next())).toBe('ERR_SHARD_PUSH_REFUSED')
    await second.send(stepBody(keyOf(9), { from: 2, to: 3, ...story[1]! }), story[1]!.hidden)
    expect((await caller.next()).body.value).toMatchObject({ step: 2, rows: 1 })
  })

  test('and refuses bad ones without harm to others in the batch; the caller learns who sent them', async () => {
    stage = await createStage([0, 2, 6])
    const [good, bad] = [await pushChain(stage), keyOf(9)]
    const accused: unknown[] = []
    const { peerId } = createIdentity({ seed: new Uint8Array(32).fill(1) })
    const liar = createMemoryNetwork(stage.hub, { peerId })
    await liar.start()
    const runner = createFakeRunner({ from: 2, to: 6, blockCount: 6 })
    const server = createBlockServer(
      { modelHash, numericsClass, measure: false },
      {
        network: stage.other,
        runner,
        clock: stage.clock,
        random: createSeededRandom(1),
        evidence: { record: (outcome) => accused.push(outcome) }
      }
    )
    await server.start()
    const caller = await rawCaller(stage.client, stage.other, {
      from: 2,
      to: 6,
      session: bad,
      before: { peer: peerId, from: 0, to: 2 }
    })
    const honest = await rawCaller(stage.client, stage.other, { from: 2, to: 6, session: keyOf(10) })
    const pusher = await rawPusher(liar, stage.other, bad)
    const expected = await alone(6, story)
    const middle = await alone(2, story)
    for (const [at, value] of [NaN, -Infinity, 1e9].entries()) {
      const step = { ...story[at]!, step: 1, past: 0, hidden: middle[at]!.slice().fill(value, 2, 3) }
      await pusher.send(stepBody(bad, { from: 2, to: 6, ...step }), step.hidden)
      // In the same turn of the server.
      const answer = honest.step({ ...story[at]!, session: keyOf(10), hidden: middle[at]! })
      expect((await caller.next()).body.value).toMatchObject({
        step: 1,
        code: 'ERR_SHARD_INVALID_VALUES',
        details: { row: '0', sender: peerId }
      })
      expect((await answer).body.case).toBe('result')
      expect(answerOf(await good.step(story[at]!))).toEqual(expected[at])
    }
    expect(accused.length).toBe(3)
    // Nothing has changed: the right rows run.
    await pusher.send(stepBody(bad, { from: 2, to: 6, ...story[0]!, hidden: middle[0]! }), middle[0]!)
    expect((await caller.next()).body.value).toMatchObject({ step: 1, past: 3 })
    await server.stop()
  })

  test('no faster than it computes: what is too much waits unread', async () => {
    stage = await createStage(cuts, { maxPendingSteps: 2 })
    const before = { peer: stage.other.peerId, from: 0, to: 2 }
    const caller = await rawCaller(stage.client, stage.hosts[1]!, {
      from: 2,
      to: 3,
      session: keyOf(9),
      before
    })
    const pusher = await rawPusher(stage.other, stage.hosts[1]!, keyOf(9))
    let free = (): void => undefined
    stage.runners[1]!.before = () => new Promise<void>((resolve) => (free = resolve))
    for (let step = 1; step <= 20; step++) {
      const hidden = rowsOf(1, step)
      await pusher.send(stepBody(keyOf(9), { from: 2, to: 3, step, past: step - 1, hidden }), hidden)
    }
    await macrotask()
    expect(stage.servers[1]!.stats().queuedSteps).toBe(1)
    stage.runners[1]!.before = () => undefined
    free()
    for (let step = 1; step <= 20; step++) {
      expect((await caller.next()).body).toMatchObject({ case: 'result', value: { step } })
    }
  })

  test('and is not shut to others by a flood of questions', async () => {
    stage = await createStage(cuts, { maxSessions: 8, maxSessionsPerPeer: 4 })
    const chain = await pushChain(stage)
    const more = createMemoryNetwork(stage.hub, { peerId: 'more' })
    await more.start()
    const channels = await Promise.all(
      Array.from({ length: 100 }, (_, index) =>
        (index < 50 ? stage.other : more).open(stage.hosts[1]!.peerId, protocol)
      )
    )
    // Silent ones, which would hold their place, and ones that ask for sessions that are not there.
    for (const [index, channel] of channels.entries()) {
      if (index % 2 === 0) continue
      await channel
        .send(encodeFrame({ case: 'join', value: { session: keyOf(index) } }))
        .catch(() => undefined)
    }
    await macrotask()
    for (const at of [0, 1, 2]) expect(answerOf(await chain.step(story[at]!))).toEqual(truth[at])
    const late = await rawCaller(stage.client, stage.hosts[1]!, { from: 2, to: 3, session: keyOf(7) })
    expect(late.first.body.case).toBe('opened')
    await stage.clock.advance(10_000)
    expect(await joinCode(stage.other, keyOf(1))).toBe('ERR_SHARD_PUSH_REFUSED')
  })
})

describe('a server hands rows on', () => {
  const after = (session = keyOf(50)): Record<string, unknown> => ({
    peer: stage.other.peerId,
    from: 2,
    to: 3,
    session
  })
  const open = (more: Record<string, unknown> = {}): Promise<RawCaller> =>
    rawCaller(stage.client, stage.hosts[0]!, { from: 0, to: 2, session: keyOf(1), forward: true, ...more })
  const route = (caller: RawCaller, more: Record<string, unknown> = {}): Promise<void> =>
    caller.send({
      case: 'route',
      value: { session: keyOf(1), route: 1, after: after(), ...more }
    } as FrameInit)
  const joined = (more: Record<string, unknown> = {}): FrameInit =>
    ({ case: 'joined', value: { session: keyOf(50), ...more } }) as FrameInit
  const send = (caller: RawCaller, at: number): Promise<void> =>
    caller.send(stepBody(keyOf(1), { from: 0, to: 2, ...story[at]! }), story[at]!.hidden)
  const kinds = ({ frames }: Puppet): string[] => frames.map(({ body }) => body.case)

  test('not to a victim that never opened the session: it gets one question and no rows', async () => {
    stage = await createStage(cuts)
    const victim = await puppet(stage.other, () => ({
      case: 'failure',
      value: { session: keyOf(50), code: 'ERR_SHARD_PUSH_REFUSED', message: 'Who are you?' }
    }))
    const caller = await open()
    await send(caller, 0)
    await caller.next()
    await route(caller)
    for (const at of [1, 2]) await send(caller, at)
    expect((await caller.next()).body.value).toMatchObject({
      step: 0,
      route: 1,
      code: 'ERR_SHARD_PUSH_REFUSED',
      details: { peer: stage.other.peerId, remoteCode: 'ERR_SHARD_PUSH_REFUSED' }
    })
    await macrotask()
    expect(kinds(victim)).toEqual(['join'])
    // Nor do the rows go to the caller, who did not ask for them; with a route back it gets them all.
    await route(caller, { route: 2, after: undefined, last: 1 })
    expect((await caller.next()).body.case).toBe('routed')
    const expected = await alone(2, story)
    for (const at of [1, 2]) expect(answerOf(await caller.next())).toEqual(expected[at])
  })

  test('not to a peer that is not there, hangs, or answers what cannot be', async () => {
    stage = await createStage(cuts)
    let answer: FrameInit | undefined
    const next = await puppet(stage.other, ({ body }) => (body.case === 'join' ? answer : undefined))
    const caller = await open()
    await send(caller, 0)
    await caller.next()
    let number = 0
    const refused = async (more: Record<string, unknown> = {}): Promise<void> => {
      await route(caller, { route: ++number, ...more })
      if (answer === undefined) await stage.clock.advance(5_000)
      expect((await caller.next()).body).toMatchObject({
        case: 'failure',
        value: { route: number, code: 'ERR_SHARD_PUSH_REFUSED' }
      })
    }
    await refused()
    answer = joined({ session: keyOf(51) })
    await refused()
    answer = joined({ last: 4_000_000_000, past: 5 })
    await refused()
    answer = { case: 'routed', value: { session: keyOf(50), route: 1 } }
    await refused()
    answer = { case: 'report', value: { session: keyOf(50) } }
    await refused()
    await refused({ after: { ...after(), peer: 'nobody' } })
    await refused({ after: { ...after(), peer: '/etc/passwd' } })
    expect(new Set(kinds(next))).toEqual(new Set(['join']))
    answer = joined()
    await route(caller, { route: ++number })
    expect((await caller.next()).body.case).toBe('routed')
    await macrotask()
    expect(kinds(next).at(-1)).toBe('step')
  })

  test('only where blocks follow each other, in a session that keeps them, by a new number', async () => {
    stage = await createStage(cuts)
    await puppet(stage.other, () => joined())
    const caller = await open()
    const code = async (more: Record<string, unknown>): Promise<unknown> => {
      await route(caller, more)
      return answerOf(await caller.next())
    }
    const elsewhere = { ...after(), from: 1, to: 3 }
    expect(await code({ after: elsewhere })).toBe('ERR_SHARD_RANGE_MISMATCH')
    expect(await code({ before: { peer: 'a', from: 0, to: 1 } })).toBe('ERR_SHARD_RANGE_MISMATCH')
    expect(await code({ route: 5 })).toBe('routed')
    // The same number again is the same frame again: it changes nothing, and is not answered.
    await route(caller, { route: 5, after: elsewhere })
    await route(caller, { route: 4 })
    const { body } = await caller.next()
    expect(body.value).toMatchObject({ route: 4, code: 'ERR_SHARD_PUSH_REFUSED' })
    const plain = await rawCaller(stage.client, stage.hosts[0]!, { from: 0, to: 2, session: keyOf(2) })
    await plain.send({ case: 'route', value: { session: keyOf(2), route: 1, after: after() } } as FrameInit)
    expect(answerOf(await plain.next())).toBe('ERR_SHARD_PUSH_REFUSED')
    const wrong = { peer: 'a', from: 1, to: 2 }
    const misfit = { from: 0, to: 2, session: keyOf(3), before: wrong }
    expect(answerOf((await rawCaller(stage.client, stage.hosts[0]!, misfit)).first)).toBe(
      'ERR_SHARD_RANGE_MISMATCH'
    )
  })

  test('by as many routes as recoveries need, and no more', async () => {
    stage = await createStage(cuts)
    await puppet(stage.other, () => joined())
    const caller = await open()
    for (let number = 1; number <= 66; number++) {
      await route(caller, { route: number })
      expect(answerOf(await caller.next())).toBe(number <= 64 ? 'routed' : 'ERR_SHARD_PUSH_REFUSED')
    }
    await send(caller, 0)
  })

  test('with one question under way a session, sixteen a server', async () => {
    stage = await createStage(cuts, { maxSessionsPerPeer: 20 })
    const next = await puppet(stage.other)
    const callers: RawCaller[] = []
    for (let seed = 0; seed < 17; seed++) {
      const caller = await open({ session: keyOf(seed) })
      callers.push(caller)
      const value = { session: keyOf(seed), route: 1, after: after() }
      await caller.send({ case: 'route', value } as FrameInit)
      await macrotask()
    }
    expect((await callers[16]!.next()).body.value).toMatchObject({
      route: 1,
      code: 'ERR_SHARD_OVERLOADED',
      retryAfterMs: 1_000
    })
    expect(kinds(next).length).toBe(16)
    // A later route takes the place of the one under way.
    const value = { session: keyOf(0), route: 2, after: after() }
    await callers[0]!.send({ case: 'route', value } as FrameInit)
    expect((await callers[0]!.next()).body.value).toMatchObject({ route: 1, code: 'ERR_SHARD_PUSH_REFUSED' })
    await macrotask()
    expect(kinds(next).length).toBe(17)
    // The session's end ends the question.
    callers[1]!.channel.abort()
    await macrotask()
    expect(await next.channels[1]!.receive().catch(() => 'reset')).toBe('reset')
    await stage.clock.advance(5_000)
    for (const [index, caller] of callers.entries()) {
      if (index === 1 || index === 16) continue
      expect((await caller.next()).body.value).toMatchObject({ code: 'ERR_SHARD_PUSH_REFUSED' })
    }
  })

  test.each<[string, (next: Puppet) => unknown]>([
    ['goes away', (next) => next.channels[0]!.abort()],
    ['ends its side', (next) => next.channels[0]!.close()],
    ['speaks out of turn', (next) => next.send({ case: 'close', value: { session: keyOf(50) } })],
    [
      'refuses',
      (next) =>
        next.send({
          case: 'failure',
          value: { session: keyOf(50), code: 'ERR_SHARD_SESSION_EXPIRED', message: 'too late' }
        })
    ],
    ['sends noise', (next) => next.channels[0]!.send(Uint8Array.of(1, 2, 3))]
  ])('until the next one %s: the caller is told, the session lives on', async (_, act) => {
    stage = await createStage(cuts)
    const next = await puppet(stage.other, ({ body }) => (body.case === 'join' ? joined() : undefined))
    const caller = await open()
    await route(caller)
    expect((await caller.next()).body.case).toBe('routed')
    await act(next)
    expect((await caller.next()).body.value).toMatchObject({
      step: 0,
      code: 'ERR_SHARD_NEXT_LOST',
      details: { peer: stage.other.peerId, route: '1' }
    })
    await send(caller, 0)
    await route(caller, { route: 2, after: undefined })
    expect((await caller.next()).body.case).toBe('routed')
    expect(answerOf(await caller.next())).toEqual((await alone(2, story))[0])
  })

  test('to one that does not read as far as the window goes, and holds no more than its history', async () => {
    stage = await createStage(cuts, { maxPendingSteps: 4 })
    // It reads the question and nothing after it.
    const next = await puppet(stage.other, () => joined(), 1)
    const caller = await open({ maxTokens: 200 })
    await route(caller)
    expect((await caller.next()).body.case).toBe('routed')
    let sent = 0
    let lost: unknown
    const told = caller.next().then(({ body }) => (lost = body.value))
    // Each step takes back all rows of the one before it, so that the history does not grow.
    for (let step = 1; step <= 200 && lost === undefined; step++) {
      const hidden = rowsOf(200, step)
      await caller.send(stepBody(keyOf(1), { from: 0, to: 2, step, past: 0, hidden }), hidden)
      await macrotask()
      sent++
    }
    await told
    expect(lost).toMatchObject({ step: 0, code: 'ERR_SHARD_NEXT_LOST' })
    // The channel took 256 KiB; then twice the window waited.
    const steps = Math.ceil((256 * 1024) / (200 * hiddenSize * 4))
    expect(sent).toBeLessThan(steps + 2 * 4 + 4)
    expect(next.frames.length).toBe(1)
  })

  test('and nothing of one session to the next server of another', async () => {
    stage = await createStage(cuts)
    const next = await puppet(stage.other, ({ body }) =>
      body.case === 'join' ? { case: 'joined', value: { session: body.value.session } } : undefined
    )
    const mine = await open()
    await route(mine)
    await mine.next()
    const theirs = await open({ session: keyOf(2) })
    await theirs.send(stepBody(keyOf(2), { from: 0, to: 2, ...story[0]! }), story[0]!.hidden)
    expect((await theirs.next()).body.case).toBe('result')
    await send(mine, 0)
    await macrotask()
    expect(next.frames.map(({ body }) => [body.case, body.value.session])).toEqual([
      ['join', keyOf(50)],
      ['step', keyOf(50)]
    ])
  })
})
