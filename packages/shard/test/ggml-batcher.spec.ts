import { KwaaiError } from '@kwaai/interface'
import { createFakeClock, macrotask } from '@kwaai/testing'
import { expect, it } from 'vitest'
import { createBatcher, type Batched, type Hold } from '../src/ggml/batcher.ts'

/** A batcher whose batches end when the test says so. */
function setup(maxWaiting = 10, hold?: Hold) {
  const batches: { items: number[]; wanted: boolean[]; end: (error?: Error) => void }[] = []
  const batcher = createBatcher<number, number>({
    maxWaiting,
    ...(hold && { hold }),
    fit: ({ length }) => (length >= 4 ? 4 : 1),
    run: (batch: readonly Batched<number>[]) =>
      new Promise((resolve, reject) => {
        const items = batch.map(({ item }) => item)
        const end = (error?: Error): void => {
          last.wanted = batch.map(({ wanted }) => wanted)
          if (error === undefined) resolve(items.map((item) => item * 10))
          else reject(error)
        }
        const last: (typeof batches)[number] = { items, wanted: [], end }
        batches.push(last)
      })
  })
  return { batches, batcher }
}

it('runs a call that comes alone at once, and those that waited together, in order', async () => {
  const { batches, batcher } = setup()
  const results = [1, 2, 3, 4, 5, 6].map((item) => batcher.add(item))
  for (let i = 0; i < 3; i++) {
    await macrotask()
    batches[i]?.end()
  }
  expect(await Promise.all(results)).toEqual([10, 20, 30, 40, 50, 60])
  expect(batches.map(({ items }) => items)).toEqual([[1], [2, 3, 4, 5], [6]])
})

it('fails a whole batch with its error, and goes on', async () => {
  const { batches, batcher } = setup()
  const results = [1, 2].map((item) => batcher.add(item).catch((error: Error) => error.message))
  batches[0]?.end(new Error('gone'))
  await macrotask()
  batches[1]?.end()
  expect(await Promise.all(results)).toEqual(['gone', 20])
})

it('gives up a call that waits, and tells that nobody wants one that runs', async () => {
  const { batches, batcher } = setup()
  const [running, waiting, before] = [0, 1, 2].map(() => new AbortController()) as [
    AbortController,
    AbortController,
    AbortController
  ]
  before.abort(new Error('never wanted'))
  const message = (error: Error): string => error.message
  const first = batcher.add(1, { signal: running.signal }).catch(message)
  const second = batcher.add(2, { signal: waiting.signal }).catch(message)
  const third = batcher.add(3)
  expect(await batcher.add(4, { signal: before.signal }).catch(message)).toBe('never wanted')
  running.abort(new Error('no longer'))
  waiting.abort(new Error('neither'))
  expect(await Promise.all([first, second])).toEqual(['no longer', 'neither'])
  batches[0]?.end()
  await macrotask()
  batches[1]?.end()
  expect(await third).toBe(30)
  expect(batches.map(({ items, wanted }) => [items, wanted])).toEqual([
    [[1], [false]],
    [[3], [true]]
  ])
})

it('bounds what waits', async () => {
  const { batches, batcher } = setup(2)
  const calls = [1, 2, 3, 4].map((item) => batcher.add(item))
  const error: unknown = await (calls[3] as Promise<number>).catch((reason: unknown) => reason)
  expect(KwaaiError.is(error, 'ERR_BACKEND_BUSY')).toBe(true)
  for (let i = 0; i < 3; i++) {
    batches[i]?.end()
    await macrotask()
  }
  expect(await Promise.all(calls.slice(0, 3))).toEqual([10, 20, 30])
})

it('waits a moment for as many callers as came lately, and never for callers that are not there', async () => {
  const clock = createFakeClock()
  const { batches, batcher } = setup(10, { enough: 4, maxMs: 2, clock })
  const callers = [1, 2, 3, 4, 5].map((id) => ({ id }))
  const items = (): number[][] => batches.splice(0).map((batch) => (batch.end(), batch.items))
  const come = async (...ids: number[]): Promise<void> => {
    for (const id of ids) void batcher.add(id, { caller: callers[id - 1] as object })
    await macrotask()
  }
  // One alone, or without a name, waits for nobody, however often it comes.
  for (let i = 0; i < 12; i++) {
    await (i % 2 === 0 ? come(1) : (void batcher.add(9), macrotask()))
    expect(items()).toHaveLength(1)
    await macrotask()
  }
  // Four that come one by one go together once they are known.
  const known: number[][] = []
  for (const id of [1, 2, 3, 4, 1, 2, 3, 4]) {
    await come(id)
    await clock.advance(2)
    known.push(...items())
    await macrotask()
  }
  expect(known).toEqual([1, 2, 3, 4, 1, 2, 3, 4].map((id) => [id]))
  await come(1)
  await come(2, 3)
  expect(items()).toEqual([])
  await come(4)
  expect(items()).toEqual([[1, 2, 3, 4]])
  await macrotask()
  // Of those that miss others none waits longer than the time, and that once.
  await come(1, 2)
  expect(items()).toEqual([])
  await clock.advance(2)
  expect(items()).toEqual([[1]])
  await macrotask()
  expect(items()).toEqual([[2]])
  await macrotask()
  // The others are gone: soon nobody waits for them.
  for (let i = 0; i < 8; i++) {
    await come(1)
    await clock.advance(2)
    items()
    await macrotask()
  }
  await come(1)
  expect(items()).toEqual([[1]])
})
