import type { BlockRunner, RowKernel } from '@kwaai/interface'
import { createFakeClock, createSeededRandom, type FakeClock } from '@kwaai/testing'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { bytesSource } from '../src/gguf/index.ts'
import { createReferenceBackend } from '../src/reference/index.ts'
import { createExecutor } from '../src/session/executor.ts'
import { createFakeRunner } from './session-kit.ts'
import { toyModel } from './toy-model.ts'

interface StoryStep {
  past: number
  hidden: Float32Array
  kernel: RowKernel
  /** Steps handed in before the one before is done. */
  ahead: boolean
}

/** A prompt in pieces, long or short; then rows one by one, and now and then back to an earlier row. */
function storyOf(seed: string, hiddenSize: number): StoryStep[] {
  const random = createSeededRandom(seed)
  const below = (n: number): number => Math.floor(n * random.next())
  const steps: StoryStep[] = []
  let length = 0
  const add = (rows: number, past: number, kernel: RowKernel, ahead: boolean): void => {
    const hidden = Float32Array.from({ length: rows * hiddenSize }, () => 2 * random.next() - 1)
    steps.push({ past, hidden, kernel, ahead })
    length = past + rows
  }
  if (random.next() < 0.5) for (let n = 1 + below(2); n > 0; n--) add(64, length, 'tile', true)
  add(1 + below(40), length, steps.length > 0 ? 'tile' : 'vec', true)
  for (let turn = 0; turn < 14; turn++) {
    const back = random.next() < 0.15
    const rows = random.next() < 0.2 ? 2 + below(6) : 1
    add(rows, back ? below(length) : length, 'vec', random.next() < 0.2)
  }
  return steps
}

type Outcome = Float32Array | string

/** The steps of each story through one executor, whoever waits with whom. */
async function together(
  runner: BlockRunner,
  stories: readonly StoryStep[][],
  clock: FakeClock,
  seed: number
): Promise<{ results: Outcome[][]; batches: number[] }> {
  const random = createSeededRandom(`order ${seed}`)
  const batches: number[] = []
  const slow: BlockRunner = {
    ...runner,
    async forward(steps) {
      batches.push(steps.length)
      const rows = steps.reduce((sum, { hidden }) => sum + hidden.length / runner.shape.hiddenSize, 0)
      await clock.sleep(2 * rows ** 0.4)
      return runner.forward(steps)
    }
  }
  const executor = createExecutor(slow, clock, {
    maxBatchSteps: 8,
    maxPrefillRows: 128,
    decodeGroups: 2,
    maxHoldMs: 10
  })
  let left = stories.length
  const all = stories.map(async (story, index): Promise<Outcome[]> => {
    const session = await runner.open({ maxTokens: 512 })
    await clock.sleep(30 * random.next())
    const waiting: Promise<Outcome>[] = []
    for (const { past, hidden, kernel, ahead } of story) {
      if (!ahead) {
        await waiting.at(-1)
        await clock.sleep(4 + random.next())
      }
      waiting.push(
        new Promise((resolve) =>
          executor.submit({
            session,
            peer: `caller ${index % 3}`,
            past,
            rows: hidden.length / runner.shape.hiddenSize,
            hidden,
            kernel,
            arrivedAt: clock.monotonic(),
            deadlineAt: Infinity,
            settle: (outcome) => resolve(outcome.type === 'done' ? outcome.hidden : String(outcome.error))
          })
        )
      )
    }
    const results = await Promise.all(waiting)
    left--
    return results
  })
  while (left > 0) await clock.advance(5)
  expect(executor).toMatchObject({ waiting: 0, bytes: 0 })
  return { results: await Promise.all(all), batches }
}

async function alone(runner: BlockRunner, story: readonly StoryStep[]): Promise<Outcome[]> {
  const session = await runner.open({ maxTokens: 512 })
  const results: Outcome[] = []
  for (const { past, hidden, kernel } of story) {
    const [result] = await runner.forward([{ session, past, hidden, kernel }])
    results.push(result as Float32Array)
  }
  await runner.close(session)
  return results
}

async function referenceRunner(): Promise<BlockRunner> {
  const model = toyModel({ hiddenSize: 32, headCount: 2, kvHeadCount: 1, feedForwardSize: 64, blockCount: 2 })
  const backend = createReferenceBackend({ sliceMs: 1e6 }, { clock: createFakeClock() })
  return backend.loadBlocks(bytesSource(model), { from: 0, to: 1 })
}

// The made-up runner's rows depend on their kernel; the reference's are those of a model.
const runners = [
  { name: 'the reference', runner: referenceRunner, numRuns: 6 },
  {
    name: 'a made-up runner',
    runner: async () => createFakeRunner({ from: 0, to: 2, blockCount: 6 }),
    numRuns: 25
  }
]

describe.each(runners)(
  'prompts, generated rows and roll-backs of three callers on $name',
  ({ runner, numRuns }) => {
    test('give each session the bits it has alone', async () => {
      const sizes: number[] = []
      await fc.assert(
        fc.asyncProperty(fc.integer({ min: 0, max: 1e6 }), async (seed) => {
          const blocks = await runner()
          const stories = Array.from({ length: 7 }, (_, index) =>
            storyOf(`${seed} ${index}`, blocks.shape.hiddenSize)
          )
          const { results, batches } = await together(blocks, stories, createFakeClock(), seed)
          sizes.push(...batches)
          for (const [index, story] of stories.entries()) {
            expect(results[index]).toEqual(await alone(blocks, story))
          }
          await blocks[Symbol.asyncDispose]()
        }),
        { numRuns, seed: 5 }
      )
      // They did share calls.
      expect(sizes.filter((size) => size > 1).length).toBeGreaterThan(10 * numRuns)
    })
  }
)
