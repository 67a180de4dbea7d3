// Servers that answer with something else than the truth: the chain ends with a typed error that names them.
import type { Channel, Network } from '@kwaai/interface'
import { createSeededRandom, macrotask, createFakeClock, startMemoryNetworks } from '@kwaai/testing'
import { createMemoryHub } from '@kwaai/interface/memory'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Step } from '../src/gen/shard_pb.ts'
import { decodeFrame, encodeFrame, openChain, type FrameInit, type ShardChain } from '../src/session/index.ts'
import {
  codeOf,
  hiddenSize,
  maxFrameBytes,
  modelHash,
  numericsClass,
  protocol,
  rowsOf
} from './session-kit.ts'

type Answer = { body: FrameInit; payload?: Uint8Array } | Uint8Array
const random = createSeededRandom(1)

const send = (channel: Channel, answer: Answer): Promise<void> =>
  channel.send(answer instanceof Uint8Array ? answer : encodeFrame(answer.body, answer.payload))

type Answers = (step: Step, payload: Uint8Array) => Answer[]

/** A chain to one server that opens as it should, or not, and answers steps by hand. */
async function against(answers: Answers, opened: Record<string, unknown> = {}): Promise<ShardChain> {
  const clock = createFakeClock()
  const [client, server] = await startMemoryNetworks(2, createMemoryHub({ clock }))
  await play(server!, answers, opened)
  return openChain(
    { modelHash, blockCount: 6, hops: [{ peer: server!.peerId, from: 0, to: 6, numericsClass }] },
    { network: client!, clock, random },
    { maxTokens: 64, hiddenSize }
  )
}

async function play(server: Network, answers: Answers, opened: Record<string, unknown> = {}): Promise<void> {
  await server.handle(
    protocol,
    {
      onChannel: async (channel) => {
        for (let bytes = await channel.receive(); bytes !== undefined; bytes = await channel.receive()) {
          const { body, payload } = decodeFrame(bytes, { maxFrameBytes })
          const { session } = body.value
          if (body.case === 'open') {
            const value = {
              session,
              numericsClass,
              hiddenSize,
              maxPendingSteps: 4,
              maxStepRows: 8,
              idleTimeoutMs: 1
            }
            await send(channel, { body: { case: 'opened', value: { ...value, ...opened } } })
          } else if (body.case === 'step') {
            for (const answer of answers(body.value, payload)) await send(channel, answer)
          }
        }
      }
    },
    { maxFrameBytes }
  )
}

const resultOf = (step: Step, payload: Uint8Array, change: Record<string, unknown> = {}): Answer => ({
  body: {
    case: 'result',
    value: {
      session: step.session,
      step: step.step,
      rows: step.rows,
      past: step.past + step.rows,
      residual: 'f32',
      ...change
    }
  },
  payload
})
const steps = [
  { past: 0, hidden: rowsOf(2, 1), kernel: 'vec' as const, result: 'all' as const },
  { past: 2, hidden: rowsOf(1, 2), kernel: 'vec' as const, result: 'all' as const }
]
const bytesOf = (rows: Float32Array): Uint8Array => new Uint8Array(rows.buffer)

describe('a server that opens as', () => {
  test.each([
    ['another session', { session: new Uint8Array(16) }],
    ['another width', { hiddenSize: 9 }],
    ['another numerics class', { numericsClass: 'other' }]
  ])('%s is refused', async (_, opened) => {
    expect(await codeOf(against(() => [], opened))).toBe('ERR_SHARD_INVALID_RESULT')
  })
})

describe('a server that answers', () => {
  test('truly is believed', async () => {
    const chain = await against((step, payload) => [resultOf(step, payload)])
    expect(await chain.forward(steps[0]!)).toEqual(steps[0]!.hidden)
  })

  test('twice is heard once', async () => {
    const chain = await against((step, payload) => [
      resultOf(step, payload),
      resultOf(step, bytesOf(rowsOf(step.rows, 9)))
    ])
    expect(await Promise.all(steps.map((step) => chain.forward(step)))).toEqual(
      steps.map((step) => step.hidden)
    )
  })

  test.each<[string, (step: Step, payload: Uint8Array) => Answer]>([
    ['for another session', (step, payload) => resultOf(step, payload, { session: new Uint8Array(16) })],
    ['another step', (step, payload) => resultOf(step, payload, { step: step.step + 1 })],
    [
      'with too few rows',
      (step, payload) => resultOf(step, payload.subarray(0, hiddenSize * 4), { rows: 1 })
    ],
    ['with narrower rows', (step, payload) => resultOf(step, payload.subarray(0, payload.length / 2))],
    ['with no rows', (step) => resultOf(step, new Uint8Array(0), { rows: 0 })],
    ['from a cache of another length', (step, payload) => resultOf(step, payload, { past: step.past })],
    ['in f16', (step, payload) => resultOf(step, payload, { residual: 'f16' })],
    ['in another class', (step, payload) => resultOf(step, payload, { numericsClass: 'other' })],
    ['with NaN', (step) => resultOf(step, bytesOf(rowsOf(step.rows, 1).fill(NaN, 3, 4)))],
    ['with values no model makes', (step) => resultOf(step, bytesOf(rowsOf(step.rows, 1).fill(1e9, 3, 4)))],
    [
      'with a message that has no place here',
      (step) => ({ body: { case: 'close', value: { session: step.session } } })
    ]
  ])('%s is found out', async (_, answer) => {
    const chain = await against((step, payload) => [answer(step, payload)])
    const error = await chain.forward(steps[0]!).catch((reason: unknown) => reason)
    expect(error).toMatchObject({
      code: 'ERR_SHARD_INVALID_RESULT',
      details: { peer: 'peer-1', from: 0, to: 6, step: 1 }
    })
    expect(await codeOf(chain.forward(steps[1]!))).toBe('ERR_SHARD_INVALID_RESULT')
  })

  test('before it was asked is found out', async () => {
    const chain = await against((step, payload) => [
      resultOf(step, payload),
      resultOf(step, payload, { step: 2, past: step.past + 2 * step.rows })
    ])
    await chain.forward(steps[0]!)
    await macrotask()
    expect(await codeOf(chain.forward(steps[1]!))).toBe('ERR_SHARD_INVALID_RESULT')
  })

  test('with a code nobody knows is named, and its words are kept apart', async () => {
    const chain = await against((step) => [
      {
        body: {
          case: 'failure',
          value: { session: step.session, step: step.step, code: 'ERR_EVIL', message: '\u001b[2J' }
        }
      }
    ])
    const error = await chain.forward(steps[0]!).catch((reason: Error) => reason)
    expect(error).toMatchObject({ code: 'ERR_SHARD_HOP_FAILED', details: { remoteCode: 'ERR_EVIL' } })
    expect(error).toHaveProperty('message', expect.not.stringContaining('\u001b'))
  })

  test('with a refusal hands its code, its facts and its time on', async () => {
    const chain = await against((step) => [
      {
        body: {
          case: 'failure',
          value: {
            session: step.session,
            step: step.step,
            code: 'ERR_SHARD_OVERLOADED',
            message: 'Busy\u001b[2J',
            retryAfterMs: 70,
            details: { peer: 'liar', row: '3' }
          }
        }
      }
    ])
    expect(await chain.forward(steps[0]!).catch((reason: unknown) => reason)).toMatchObject({
      code: 'ERR_SHARD_OVERLOADED',
      message: 'Busy\ufffd[2J',
      // What the chain knows itself goes before what the server says.
      details: { peer: 'peer-1', row: '3', step: 1, retryAfterMs: 70 }
    })
  })

  test('with noise is found out, whatever the noise', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 80 }), async (noise) => {
        const chain = await against(() => [noise])
        expect(['ERR_SHARD_HOP_FAILED', 'ERR_SHARD_INVALID_RESULT']).toContain(
          await codeOf(chain.forward(steps[0]!))
        )
      }),
      { numRuns: 100, seed: 4 }
    )
  })
})

describe('a server that lies in the middle of a session', () => {
  test('is replaced by one that does not, and never asked again', async () => {
    const clock = createFakeClock()
    const [client, liar, other] = await startMemoryNetworks(3, createMemoryHub({ clock }))
    const taken: number[] = []
    const honest: Answers = (step, payload) => {
      taken.push(step.past)
      return [
        resultOf(
          step,
          payload.subarray(0, step.wanted === 'none' ? 0 : payload.length),
          step.wanted === 'none' ? { rows: 0 } : {}
        )
      ]
    }
    await play(liar!, (step, payload) => [resultOf(step, payload, step.past === 0 ? {} : { past: 99 })])
    await play(other!, honest)
    const asked: string[][] = []
    const chain = await openChain(
      { modelHash, blockCount: 6, hops: [{ peer: liar!.peerId, from: 0, to: 6, numericsClass }] },
      {
        network: client!,
        clock,
        random,
        planner: {
          failed: () => undefined,
          replace: async ({ from, to, excluded }) => {
            asked.push([...excluded])
            return { hops: [{ peer: other!.peerId, from, to }] }
          }
        }
      },
      { maxTokens: 64, hiddenSize }
    )
    expect(await chain.forward(steps[0]!)).toEqual(steps[0]!.hidden)
    expect(await chain.forward(steps[1]!)).toEqual(steps[1]!.hidden)
    expect(asked).toEqual([[liar!.peerId]])
    // The rows before the lie, then the step that was lied about.
    expect(taken).toEqual([0, 2])
  })
})
