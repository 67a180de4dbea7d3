// A hundred thousand frames that are not quite right, at the decoder and at a live server: typed refusals, and
// never more memory than the frames themselves have.
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { KwaaiError, type Channel, type Random } from '@kwaai/interface'
import { createSeededRandom, macrotask } from '@kwaai/testing'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { shardErrors } from '../src/errors.ts'
import { decodeFrame, encodeFrame, type FrameInit } from '../src/session/index.ts'
import { bytesOf, joined, samples } from './frame-samples.ts'
import {
  alone,
  answerOf,
  createStage,
  hiddenSize,
  keyOf,
  maxFrameBytes,
  modelHash,
  protocol,
  rawCaller,
  rowsOf,
  stepBody
} from './session-kit.ts'
import { hexToBytes } from '@noble/hashes/utils.js'

const count = 100_000
/** What may be held above what was held before, in bytes: some frames, and garbage that was not collected. */
const maxGrowth = 48 * 1024 * 1024

const collect = ((): (() => void) => {
  setFlagsFromString('--expose-gc')
  return runInNewContext('gc') as () => void
})()
const escaped: unknown[] = []
const escape = (error: unknown): void => void escaped.push(error)
beforeAll(() => {
  process.on('uncaughtException', escape)
  process.on('unhandledRejection', escape)
})
afterAll(() => {
  process.off('uncaughtException', escape)
  process.off('unhandledRejection', escape)
})

function integer(random: Random, below: number): number {
  return Math.floor(below * random.next())
}
function oneOf<T>(random: Random, values: readonly T[]): T {
  return values[integer(random, values.length)] as T
}

const numbers = [0, 1, 2, 63, 64, 255, 65_535, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1]
const words = ['', 'x', '\u0000', '../..', '\ud800', 'f16', 'vec', 'none', 'ERR_X', 'y'.repeat(300)]

/** A well-formed message with values nobody expects. */
function distort(random: Random, body: FrameInit): FrameInit {
  const change = (value: unknown): unknown => {
    if (typeof value === 'number') return oneOf(random, numbers)
    if (typeof value === 'boolean') return !value
    if (typeof value === 'string') return oneOf(random, words)
    if (value instanceof Uint8Array) return random.bytes(oneOf(random, [0, 1, 15, 16, 17, 32, 300]))
    if (Array.isArray(value)) return Array.from({ length: integer(random, 300) }, () => value[0] as unknown)
    if (typeof value !== 'object' || value === null) return value
    const keys = Object.keys(value)
    const key = oneOf(random, keys)
    return { ...value, [key]: change((value as Record<string, unknown>)[key]) }
  }
  return { ...body, value: change(body.value) } as FrameInit
}

/** Bits, bytes, lengths and pieces of a frame, changed as a bad line, a bug or an enemy would. */
function damage(random: Random, frame: Uint8Array, others: readonly Uint8Array[]): Uint8Array {
  const bytes = frame.slice()
  const at = integer(random, bytes.length)
  switch (integer(random, 7)) {
    case 0:
      for (let flips = 1 + integer(random, 8); flips > 0; flips--) {
        const place = integer(random, bytes.length)
        bytes[place] = (bytes[place] as number) ^ (1 << integer(random, 8))
      }
      return bytes
    case 1:
      return bytes.subarray(0, at)
    case 2: {
      const other = oneOf(random, others)
      return Uint8Array.from([...bytes.subarray(0, at), ...other.subarray(integer(random, other.length))])
    }
    case 3:
      // The length of the header.
      bytes[0] = integer(random, 256)
      bytes[1] = integer(random, 256)
      return bytes
    case 4:
      // A length or a number inside it that claims four billion.
      return Uint8Array.from([
        ...bytes.subarray(0, at),
        0xff,
        0xff,
        0xff,
        0xff,
        0x0f,
        ...bytes.subarray(at + 1 + integer(random, 5))
      ])
    case 5:
      return Uint8Array.from([...bytes, ...random.bytes(integer(random, 200))])
    default:
      return Uint8Array.from([...bytes.subarray(0, at), ...bytes.subarray(at >> 1)])
  }
}

/** Runs a task, and measures the most memory held meanwhile and what is left after it. */
async function measured(task: (look: () => void) => Promise<void>): Promise<void> {
  collect()
  const before = process.memoryUsage()
  let mostBuffers = 0
  await task(() => {
    mostBuffers = Math.max(mostBuffers, process.memoryUsage().arrayBuffers)
  })
  await macrotask()
  collect()
  const after = process.memoryUsage()
  expect(mostBuffers - before.arrayBuffers).toBeLessThan(maxGrowth)
  expect(after.arrayBuffers - before.arrayBuffers).toBeLessThan(maxGrowth / 4)
  expect(after.heapUsed - before.heapUsed).toBeLessThan(maxGrowth)
  expect(escaped).toEqual([])
}

test('the decoder reads or refuses a hundred thousand damaged frames, and copies none of them', async () => {
  const random = createSeededRandom('decoder')
  const bodies = Object.values(samples)
  const frames = bodies.map(bytesOf)
  const read = new Set<string>()
  let refused = 0
  await measured(async (look) => {
    for (let round = 0; round < count; round++) {
      const index = integer(random, frames.length)
      const frame = frames[index] as Uint8Array
      const payload = frame.subarray(2 + ((frame[0] as number) << 8) + (frame[1] as number))
      const distorted = (): Uint8Array =>
        joined(distort(random, (bodies[index] as (typeof bodies)[number]).body), payload)
      const bytes = random.next() < 0.3 ? distorted() : damage(random, frame, frames)
      try {
        const decoded = decodeFrame(bytes, { maxFrameBytes })
        read.add(decoded.body.case)
        // A view: what the frame has is what is held.
        if (decoded.payload.buffer !== bytes.buffer) throw new Error('The payload was copied')
        expect(decoded.payload.length).toBeLessThan(bytes.length)
      } catch (error) {
        refused++
        if (!KwaaiError.is(error, 'ERR_SHARD_INVALID_FRAME')) throw error
      }
      if (round % 1_000 === 0) look()
    }
  })
  expect(refused).toBeGreaterThan(count / 4)
  expect(read.size).toBe(13)
})

test('a live server refuses a hundred thousand damaged frames by name, and serves others meanwhile', async () => {
  const random = createSeededRandom('server')
  const stage = await createStage([0, 6], { maxSessions: 64 })
  const [host] = stage.hosts
  const blocks = { from: 0, to: 6 }
  const honest = await rawCaller(stage.other, host!, { ...blocks, session: keyOf(1), maxTokens: 200 })
  const story = Array.from({ length: 100 }, (_, past) => ({
    past,
    hidden: rowsOf(1, past),
    kernel: 'vec' as const
  }))
  const expected = await alone(6, story)
  const codes = new Set<string>()

  /** What a caller or a server before this one may say once it has a session, with nothing wrong in it. */
  const goodBodies = (session: Uint8Array): { body: FrameInit; rows?: Float32Array }[] => {
    const hop = { peer: 'peer-0', from: 6, to: 8 }
    const rows = rowsOf(1 + integer(random, 4), 1)
    return [
      { body: stepBody(session, { ...blocks, step: 1 + integer(random, 3), past: 0, hidden: rows }), rows },
      { body: { case: 'probe', value: { session, nonce: 1 } } },
      { body: { case: 'route', value: { session, route: 1 + integer(random, 9), answered: 1, last: 1 } } },
      { body: { case: 'route', value: { session, route: 1, after: { ...hop, session: keyOf(3) } } } },
      { body: { case: 'close', value: { session } } }
    ]
  }
  const openBody = (session: Uint8Array): FrameInit => ({
    case: 'open',
    value: {
      session,
      model: hexToBytes(modelHash),
      ...blocks,
      maxTokens: 32,
      residual: 'f32',
      deadlineMs: 1_000,
      forward: random.next() < 0.5
    }
  })
  const bytesOfBody = ({ body, rows }: { body: FrameInit; rows?: Float32Array }): Uint8Array =>
    joined(body, rows === undefined ? undefined : new Uint8Array(rows.buffer))
  const bad = (good: { body: FrameInit; rows?: Float32Array }, others: readonly Uint8Array[]): Uint8Array =>
    random.next() < 0.4
      ? bytesOfBody({ ...good, body: distort(random, good.body) })
      : damage(random, bytesOfBody(good), others)

  /** Speaks on one channel until the server ends it or enough was said. @returns the frames sent. */
  const converse = async (seed: number): Promise<number> => {
    const session = keyOf(10 + seed)
    const channel: Channel = await stage.client.open(host!.peerId, protocol, { maxFrameBytes })
    let over = false
    const listening = (async () => {
      for (let bytes = await channel.receive(); bytes !== undefined; bytes = await channel.receive()) {
        const { body } = decodeFrame(bytes, { maxFrameBytes })
        if (body.case === 'failure') codes.add(body.value.code)
        else expect(['opened', 'result', 'routed', 'report']).toContain(body.case)
      }
    })()
      .catch((error: unknown) => {
        if (!KwaaiError.is(error, 'ERR_NETWORK_CHANNEL_CLOSED')) throw error
      })
      .finally(() => (over = true))
    const say = (bytes: Uint8Array): Promise<void> => channel.send(bytes).catch(() => undefined)
    const first = [
      { body: openBody(session) },
      { body: { case: 'join' as const, value: { session: oneOf(random, [keyOf(1), session]) } } }
    ]
    const others = [...first, ...goodBodies(session)].map(bytesOfBody)
    let sent = 0
    if (random.next() < 0.15) {
      await say(bad(oneOf(random, first), others))
      sent++
    } else await say(others[0] as Uint8Array)
    while (!over && sent < 40) {
      await say(bad(oneOf(random, goodBodies(session)), others))
      sent++
      await macrotask()
    }
    channel.abort()
    await listening
    return sent
  }

  await measured(async (look) => {
    let sent = 0
    for (let round = 0, at = 0; sent < count; round++) {
      const talks = await Promise.all(Array.from({ length: 8 }, (_, index) => converse(8 * round + index)))
      sent += talks.reduce((sum, one) => sum + one, 0)
      look()
      if (at < story.length && sent > (at * count) / story.length) {
        const step = story[at] as (typeof story)[number]
        const answer = await honest.step({ session: keyOf(1), step: at + 1, ...step })
        expect(answerOf(answer)).toEqual(expected[at])
        at++
      }
    }
  })
  await macrotask()
  expect(stage.servers[0]?.stats()).toMatchObject({ sessions: 1, queuedSteps: 0 })
  expect(stage.runners[0]?.openSessions).toBe(1)
  for (const code of codes) expect(Object.keys(shardErrors)).toContain(code)
  expect(codes.size).toBeGreaterThan(8)
  await stage.stop()
  await macrotask()
  expect(stage.clock.sleeping).toBe(0)
})

test('a frame that says it is larger than it is claims no memory', async () => {
  const rows = rowsOf(1, 1)
  const step = stepBody(keyOf(1), { step: 1, past: 0, from: 0, to: 6, hidden: rows })
  await measured(async (look) => {
    for (let round = 0; round < 2_000; round++) {
      const huge = { ...step, value: { ...step.value, rows: 2 ** 32 - 1, past: 2 ** 32 - 1 } } as FrameInit
      const bytes = joined(huge, new Uint8Array(hiddenSize * 4))
      expect(() => decodeFrame(bytes, { maxFrameBytes })).toThrow(
        expect.objectContaining({ code: 'ERR_SHARD_INVALID_FRAME' })
      )
      const [front] = encodeFrame(step)
      const header = Uint8Array.from([0xff, 0xff, ...(front as Uint8Array).subarray(2)])
      expect(() => decodeFrame(header, { maxFrameBytes })).toThrow(
        expect.objectContaining({ code: 'ERR_SHARD_INVALID_FRAME' })
      )
      look()
    }
  })
})
