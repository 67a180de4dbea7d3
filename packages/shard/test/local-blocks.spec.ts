import { KwaaiError, type BlockRunner, type BlockStep } from '@kwaai/interface'
import { expect, test } from 'vitest'
import { localBlocks } from '../src/generate/index.ts'

/** A runner that adds one to each value, in its own time, and keeps a diary. */
function runner(from: number, to: number, diary: string[], delays: number[] = []): BlockRunner {
  let sessions = 0
  const open = new Set<number>()
  return {
    shape: {
      architecture: 'script',
      blockCount: 4,
      hiddenSize: 2,
      headCount: 1,
      kvHeadCount: 1,
      headSize: 2,
      vocabularySize: 1,
      contextLength: 10
    },
    from,
    to,
    weightBytes: 0,
    kvBytesPerToken: 0,
    async open() {
      open.add(++sessions)
      return sessions
    },
    async forward(steps: readonly BlockStep[]) {
      const [step] = steps
      if (step === undefined || !open.has(step.session)) throw new Error('no such session')
      diary.push(`${from}:${step.past}`)
      for (let wait = delays.shift() ?? 0; wait > 0; wait--) await Promise.resolve()
      if (step.hidden[0] === -100) return [{ failure: 'not-finite', row: 0 }]
      return [step.hidden.map((value) => value + 1)]
    },
    trim: async () => undefined,
    exportKv: () => Promise.reject(new Error('unused')),
    importKv: () => Promise.reject(new Error('unused')),
    close: async (session) => {
      open.delete(session)
      diary.push(`${from} closed`)
    },
    [Symbol.asyncDispose]: async () => undefined
  }
}

const step = (past: number, values: number[], result: 'none' | 'last' | 'all' = 'all') => ({
  past,
  hidden: Float32Array.from(values),
  kernel: 'vec' as const,
  result
})

test('rows go through all runners, and only those asked for come back', async () => {
  const blocks = localBlocks([runner(0, 1, []), runner(1, 3, []), runner(3, 4, [])], {
    peer: 'p',
    numericsClass: 'c'
  })
  expect(blocks.ready()).toBe(true)
  await using pipeline = await blocks.open({ maxTokens: 8 })
  expect(pipeline.chain).toEqual([
    { peer: 'p', from: 0, to: 1, numericsClass: 'c' },
    { peer: 'p', from: 1, to: 3, numericsClass: 'c' },
    { peer: 'p', from: 3, to: 4, numericsClass: 'c' }
  ])
  expect([...(await pipeline.forward(step(0, [1, 2, 3, 4])))]).toEqual([4, 5, 6, 7])
  expect([...(await pipeline.forward(step(2, [1, 2, 3, 4], 'last')))]).toEqual([6, 7])
  expect((await pipeline.forward(step(4, [1, 2], 'none'))).length).toBe(0)
})

test('steps keep their order at every runner, however long each takes', async () => {
  const diary: string[] = []
  const blocks = localBlocks([runner(0, 2, diary, [9, 0, 5, 0]), runner(2, 4, diary, [0, 7, 0, 3])])
  await using pipeline = await blocks.open({ maxTokens: 8 })
  await Promise.all([0, 1, 2, 3].map((past) => pipeline.forward(step(past, [past, past]))))
  expect(diary.filter((line) => line.startsWith('0:'))).toEqual(['0:0', '0:1', '0:2', '0:3'])
  expect(diary.filter((line) => line.startsWith('2:'))).toEqual(['2:0', '2:1', '2:2', '2:3'])
})

test('after a bad step nothing goes on', async () => {
  const blocks = localBlocks([runner(0, 2, []), runner(2, 4, [])])
  await using pipeline = await blocks.open({ maxTokens: 8 })
  const steps = [step(0, [1, 1]), step(1, [-100, 0]), step(2, [1, 1])].map((each) => pipeline.forward(each))
  const results = await Promise.allSettled(steps)
  expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'rejected'])
  for (const result of results.slice(1)) {
    expect(result).toMatchObject({ reason: { code: 'ERR_BACKEND_NOT_FINITE', details: { row: 0 } } })
  }
})

test('closing closes every session once', async () => {
  const diary: string[] = []
  const blocks = localBlocks([runner(0, 2, diary), runner(2, 4, diary)])
  const pipeline = await blocks.open({ maxTokens: 8 })
  await pipeline[Symbol.asyncDispose]()
  await pipeline[Symbol.asyncDispose]()
  expect(diary).toEqual(['0 closed', '2 closed'])
  await expect(pipeline.forward(step(0, [1, 1]))).rejects.toMatchObject({ code: 'ERR_BACKEND_CLOSED' })
})

test('a runner that cannot open leaves none open', async () => {
  const diary: string[] = []
  const full: BlockRunner = { ...runner(2, 4, diary), open: () => Promise.reject(new Error('full')) }
  await expect(localBlocks([runner(0, 2, diary), full]).open({ maxTokens: 8 })).rejects.toThrow('full')
  expect(diary).toEqual(['0 closed'])
})

test.each([
  [[[0, 2]]],
  [[[1, 4]]],
  [
    [
      [0, 2],
      [1, 4]
    ]
  ],
  [
    [
      [0, 1],
      [2, 4]
    ]
  ],
  [[]]
])('runners have to cover the model exactly: %j', (spans) => {
  const runners = spans.map(([from, to]) => runner(from as number, to as number, []))
  expect(() => localBlocks(runners)).toThrow(expect.objectContaining({ code: 'ERR_BACKEND_INVALID_RANGE' }))
})

test('where the backend has no room, the caller is asked to come again, and nothing stays open', async () => {
  const diary: string[] = []
  const full = new KwaaiError('ERR_BACKEND_OUT_OF_MEMORY', 'Cannot open a session of 8 tokens: full')
  const second: BlockRunner = { ...runner(2, 4, diary), open: () => Promise.reject(full) }
  const blocks = localBlocks([runner(0, 2, diary), second])
  await expect(blocks.open({ maxTokens: 8 })).rejects.toMatchObject({
    code: 'ERR_MODEL_UNAVAILABLE',
    message: full.message,
    details: { retryAfterMs: 2_000 },
    cause: full
  })
  expect(diary).toEqual(['0 closed'])
})
