/** What is kept of one request for the next: for whom, how long, and that it changes no bit. */
import {
  KwaaiError,
  type BlockRunner,
  type ChatMessage,
  type CompletionRequest,
  type HeadRunner
} from '@kwaai/interface'
import { createFakeClock, macrotask } from '@kwaai/testing'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  createChatTemplate,
  createTextModel,
  createTokenizer,
  localBlocks,
  type BlockPipelineSource,
  type TextModelInit
} from '../src/generate/index.ts'
import { bytesSource, readGguf } from '../src/gguf/index.ts'
import { createReferenceBackend } from '../src/reference/index.ts'
import {
  countingHead,
  outcomeOf,
  scriptedBlocks,
  scriptedHead,
  type Outcome,
  type ScriptOptions
} from './text-model-kit.ts'
import { toyModel } from './toy-model.ts'

const bytes = toyModel()
const file = await readGguf(bytesSource(bytes))
const tokenizer = createTokenizer(file)
const template = createChatTemplate(file, { tokenizer })
const contextLength = 8_192
const [letter] = tokenizer.encode('a') as [number]

interface Setup extends ScriptOptions {
  init?: Partial<TextModelInit>
}

/** A model that says `aaaa`, over made-up blocks. */
function setUp({ init, ...options }: Setup = {}) {
  const { blocks, trace } = scriptedBlocks(options)
  const clock = createFakeClock()
  const head = scriptedHead(tokenizer, [letter], contextLength)
  const model = createTextModel({ id: 'toy', ...init }, { tokenizer, template, head, blocks, clock })
  const complete = (prompt: string, more: Partial<CompletionRequest> = {}, signal?: AbortSignal) =>
    outcomeOf(
      model.complete(
        { prompt, temperature: 0, maxTokens: 4, caller: 'ada', ...more },
        signal === undefined ? {} : { signal }
      )
    )
  const cached = async (...args: Parameters<typeof complete>): Promise<number | undefined> =>
    (await complete(...args)).usage?.cachedTokens
  return { model, trace, clock, complete, cached }
}

const x = (count: number): string => 'x'.repeat(count)
const codeOf = async (run: Promise<unknown>): Promise<string> => {
  const error: unknown = await run.then(
    () => undefined,
    (reason: unknown) => reason
  )
  return KwaaiError.is(error) ? error.code : String(error)
}

test('the next prompt computes what it does not share, and the rest is counted as cached', async () => {
  const { cached, trace } = setUp()
  expect(await cached(x(100))).toBe(0)
  trace.steps.length = 0
  expect(await cached(`${x(100)}${'y'.repeat(50)}`)).toBe(100)
  expect(trace.steps.slice(0, 2)).toEqual([
    { past: 100, kernel: 'tile', result: 'last', rows: 50 },
    { past: 150, kernel: 'vec', result: 'last', rows: 1 }
  ])
  // The same again: its last row is computed all the same, for the first token is chosen from it.
  expect(await cached(`${x(100)}${'y'.repeat(50)}`)).toBe(149)
  expect(trace).toMatchObject({ opened: [2_048], closed: 0 })
})

test.each([
  // What was generated is vec, and a long prompt is tile.
  [100, 130, 100],
  // Short prompts are vec like the answer; the last token of an answer was never run.
  [30, 50, 33],
  [30, 63, 33],
  [30, 64, 0],
  [64, 63, 0],
  [100, 40, 0],
  // Fewer than sixteen are not worth it.
  [12, 50, 0],
  [13, 50, 16]
])('after a prompt of %i tokens, one of %i that goes on finds %i', async (first, second, found) => {
  const { cached } = setUp()
  await cached(x(first))
  expect(
    await cached(`${x(first)}${'a'.repeat(second - first > 0 ? second - first : 0)}`.slice(0, second))
  ).toBe(found)
})

test('rows are kept for one caller under one set of constraints', async () => {
  const { cached, trace } = setUp({ routes: true })
  await cached(x(100), { caller: 'ada', route: { region: 'eu', minScore: 0.5 } })
  for (const other of [
    { caller: 'bob', route: { region: 'eu', minScore: 0.5 } },
    { caller: 'ada', route: { region: 'eu' } },
    { caller: 'ada' },
    { route: { region: 'eu', minScore: 0.5 }, caller: '' }
  ]) {
    expect(await cached(x(100), other)).toBe(0)
  }
  expect(await cached(x(100), { caller: 'ada', route: { minScore: 0.5, region: 'eu' } })).toBe(99)
  expect(trace.constraints.slice(0, 4)).toEqual([
    { region: 'eu', minScore: 0.5 },
    { region: 'eu', minScore: 0.5 },
    { region: 'eu' },
    undefined
  ])
})

test('nothing is kept for a request without a caller, and it takes no more room than it needs', async () => {
  const { model, trace } = setUp()
  const request = { prompt: x(100), temperature: 0, maxTokens: 4 }
  for (let i = 1; i <= 2; i++) {
    expect((await outcomeOf(model.complete(request))).usage?.cachedTokens).toBe(0)
    expect(trace).toMatchObject({ opened: Array.from({ length: i }, () => 103), closed: i })
  }
})

test.each([{ route: { colour: 'red' } }, { route: { minScore: 2 } }, { route: { relax: ['colour'] } }])(
  'a constraint nobody knows is not taken for one that is met: %j',
  async (more) => {
    const { complete, trace } = setUp({ routes: true })
    expect(await codeOf(complete(x(20), JSON.parse(JSON.stringify(more))))).toBe('ERR_MODEL_INVALID_REQUEST')
    expect(trace.opened).toEqual([])
  }
)

test('two requests at once never share a session', async () => {
  const { cached, trace } = setUp({ before: macrotask })
  await cached(x(100))
  expect(await Promise.all([cached(x(100)), cached(x(100)), cached(x(100))])).toEqual([99, 0, 0])
  expect(trace.opened).toHaveLength(3)
  expect(await Promise.all([cached(x(100)), cached(x(100)), cached(x(100))])).toEqual([99, 99, 99])
})

test('the longest common beginning is taken, and a new chat leaves the rows of others alone', async () => {
  const { cached, trace } = setUp()
  const opening = x(40)
  await cached(`${opening}${'b'.repeat(200)}`)
  expect(await cached(`${opening}${'c'.repeat(200)}`)).toBe(0)
  expect(trace.opened).toHaveLength(2)
  expect(await cached(`${opening}${'c'.repeat(200)}${'d'.repeat(20)}`)).toBe(240)
  expect(await cached(`${opening}${'b'.repeat(200)}${'d'.repeat(20)}`)).toBe(240)
  // An edit in the middle of it goes back there.
  expect(await cached(`${opening}${'b'.repeat(150)}${'e'.repeat(70)}`)).toBe(190)
  expect(trace).toMatchObject({ closed: 0 })
})

test('the least recently used is closed first: beyond the number, and beyond the room', async () => {
  for (const init of [{ maxPrefixes: 2 }, { maxPrefixTokens: 4_096 }]) {
    const { cached, trace } = setUp({ init })
    for (const name of ['b', 'c', 'b', 'd']) await cached(name.repeat(100))
    expect(trace.closed).toBe(1)
    expect(await cached('b'.repeat(100))).toBe(99)
    expect(await cached('c'.repeat(100))).toBe(0)
  }
  for (const init of [{ maxPrefixes: 0 }, { maxPrefixTokens: 2_000 }]) {
    const { cached, trace } = setUp({ init })
    expect([await cached(x(100)), await cached(x(100))]).toEqual([0, 0])
    expect(trace.closed).toBe(2)
  }
})

test('what nobody asks for is closed after its time', async () => {
  const { cached, trace, clock } = setUp({ init: { prefixTtlMs: 60_000 } })
  await cached(x(100))
  await clock.advance(59_999)
  expect(await cached(x(100))).toBe(99)
  await clock.advance(59_999)
  expect(trace.closed).toBe(0)
  await clock.advance(1)
  expect(trace.closed).toBe(1)
  expect(await cached(x(100))).toBe(0)
  expect(clock.sleeping).toBe(1)
})

test('a session that fails while nobody uses it is forgotten without a word', async () => {
  const { cached, trace, clock } = setUp()
  await cached(x(100))
  trace.fail(0)
  await macrotask()
  expect(clock.sleeping).toBe(0)
  expect(await cached(x(100))).toBe(0)
  expect(trace.opened).toHaveLength(2)
})

test('a session whose step failed is not kept', async () => {
  let broken = true
  const { cached, trace, complete } = setUp({
    before: () => {
      if (broken && trace.steps.length === 3) throw new KwaaiError('ERR_SHARD_HOP_FAILED', 'dead')
    }
  })
  expect(await codeOf(complete(x(100)))).toBe('ERR_SHARD_HOP_FAILED')
  broken = false
  expect(trace.closed).toBe(1)
  expect(await cached(x(100))).toBe(0)
})

test('a reader who leaves between two steps keeps the rows, an abort gives them back at once', async () => {
  for (const how of ['leave', 'abort', 'abort and never come back'] as const) {
    const { model, cached, trace } = setUp()
    const controller = new AbortController()
    const request = { prompt: x(100), caller: 'ada', temperature: 0, maxTokens: 100 }
    const events = model.complete(request, { signal: controller.signal })[Symbol.asyncIterator]()
    for (let i = 0; i < 4; i++) await events.next()
    if (how === 'leave') await events.return?.()
    else controller.abort(new Error('enough'))
    if (how === 'abort') expect(await codeOf(events.next())).toBe('Error: enough')
    expect(trace.closed).toBe(how === 'leave' ? 0 : 1)
    expect(await cached(`${x(100)}${'y'.repeat(20)}`)).toBe(how === 'leave' ? 100 : 0)
  }
})

test('an abort in the middle of a step closes the session at once', async () => {
  const controller = new AbortController()
  let hang = true
  const { complete, cached, trace } = setUp({
    before: (_step, call) =>
      new Promise((resolve, reject) => {
        if (!hang) return resolve()
        call?.signal?.addEventListener('abort', () => reject(call.signal?.reason))
      })
  })
  const run = codeOf(complete(x(100), {}, controller.signal))
  await macrotask()
  controller.abort(new Error('enough'))
  expect(trace.closed).toBe(1)
  expect(await run).toBe('Error: enough')
  hang = false
  expect(await cached(x(100))).toBe(0)
})

test('sessions have room for the next turn; one that was outgrown is closed', async () => {
  const { cached, trace } = setUp()
  await cached(x(2_000), { maxTokens: 40 })
  expect(trace.opened).toEqual([2_048])
  expect(await cached(x(2_040), { maxTokens: 10 })).toBe(0)
  expect(trace).toMatchObject({ opened: [2_048, 4_096], closed: 1 })
  // Never more than the context.
  await cached('y'.repeat(7_000), { maxTokens: 1_192 })
  expect(trace.opened.at(-1)).toBe(contextLength)
})

const full = (): Error =>
  new KwaaiError('ERR_MODEL_UNAVAILABLE', 'nobody has room', {
    details: { retryAfterMs: 5 },
    cause: new KwaaiError('ERR_SHARD_SERVER_FULL', 'full')
  })

test('where servers give less room, what is needed is enough', async () => {
  for (const refusal of [
    full,
    () => new KwaaiError('ERR_MODEL_UNAVAILABLE', 'no server announces so much')
  ]) {
    const { cached, trace } = setUp({
      open: ({ maxTokens }) => {
        if (maxTokens > 300) throw refusal()
      }
    })
    expect(await cached(x(100))).toBe(0)
    expect(trace.opened).toEqual([103])
    expect(await cached(x(100))).toBe(99)
    expect(await cached(x(120))).toBe(0)
    expect(trace).toMatchObject({ opened: [103, 123], closed: 1 })
  }
})

test('who needs the room of kept sessions gets it, and an abort ends the wait for it', async () => {
  const opens: number[] = []
  const { cached, complete, trace, clock } = setUp({
    open: ({ maxTokens }) => {
      opens.push(maxTokens)
      if (trace.opened.length - trace.closed >= 2) throw full()
    }
  })
  await cached('b'.repeat(100))
  await cached('c'.repeat(100))
  const third = cached('d'.repeat(100), { caller: 'bob' })
  await clock.advance(4)
  expect(trace).toMatchObject({ closed: 2, opened: [2_048, 2_048] })
  // Full servers said when to come again.
  await clock.advance(1)
  expect(await third).toBe(0)
  expect(trace).toMatchObject({ closed: 2, opened: [2_048, 2_048, 2_048] })
  expect(opens).toEqual([2_048, 2_048, 2_048, 103, 2_048])
  await cached('e'.repeat(100), { caller: 'bob' })
  const controller = new AbortController()
  const aborted = codeOf(complete('f'.repeat(100), {}, controller.signal))
  await macrotask()
  controller.abort(new Error('enough'))
  expect(await aborted).toBe('Error: enough')
  await cached('g'.repeat(100))
  // Where nothing is kept there is nothing to close, and one refusal is enough.
  const busy = setUp({ open: () => Promise.reject(full()) })
  expect(await codeOf(busy.complete(x(100)))).toBe('ERR_MODEL_UNAVAILABLE')
  // Another reason does not cost anybody's rows.
  const kept = trace.closed
  expect(await codeOf(complete(x(100), { route: {} }))).toBe('ERR_MODEL_UNSUPPORTED')
  expect(trace.closed).toBe(kept)
})

test('disposing of the model closes what it keeps, and from then on it keeps nothing', async () => {
  const { model, cached, trace, clock } = setUp()
  await cached(x(100))
  await model[Symbol.asyncDispose]()
  expect(trace.closed).toBe(1)
  expect(clock.sleeping).toBe(0)
  await cached(x(100))
  expect(trace.closed).toBe(2)
})

/** The head, with a copy of all it says. */
function listening(head: HeadRunner, said: Float32Array[]): HeadRunner {
  return {
    ...head,
    async logits(hidden, options) {
      const logits = await head.logits(hidden, options)
      said.push(logits.slice())
      return logits
    }
  }
}

/** Turns of chats, each going on from one before, changed somewhere. */
type Move = { from: number; type: 'go on' | 'edit' | 'new'; at: number; text: string }
const moves = fc.array(
  fc.record({
    from: fc.nat(),
    type: fc.constantFrom('go on' as const, 'go on' as const, 'edit' as const, 'new' as const),
    at: fc.nat(),
    text: fc.string({ unit: fc.constantFrom(...'abc hello'), maxLength: 60 })
  }),
  { minLength: 2, maxLength: 8 }
)

/** Plays the same chats with a cache and without: logits, bit for bit, and the count of rows. */
async function compare(
  played: readonly Move[],
  head: HeadRunner,
  make: () => { blocks: BlockPipelineSource; rows: () => number }
): Promise<number> {
  const said: Record<'warm' | 'cold', Float32Array[]> = { warm: [], cold: [] }
  const sides = (['warm', 'cold'] as const).map((side) => {
    const { blocks, rows } = make()
    const parts = { tokenizer, template, head: listening(head, said[side]), blocks, clock: createFakeClock() }
    return { side, rows, model: createTextModel({ id: 'toy', maxPrefixes: 2 }, parts) }
  })
  const chats: ChatMessage[][] = [[]]
  let cachedTokens = 0
  for (const { from, type, at, text } of played) {
    const before = type === 'new' ? [] : (chats[from % chats.length] as ChatMessage[])
    // A question stands at each even place.
    const kept = type === 'edit' ? before.slice(0, 2 * (at % (before.length / 2 + 1))) : before
    const messages: ChatMessage[] = [...kept, { role: 'user', content: text }]
    const request = { messages, temperature: 0, maxTokens: 5 }
    const outcomes: Outcome[] = []
    for (const { side, rows, model } of sides) {
      const ran = rows()
      const answer = await outcomeOf(model.chat(side === 'warm' ? { ...request, caller: 'ada' } : request))
      const { promptTokens = 0, cachedTokens: had = 0, completionTokens = 0 } = answer.usage ?? {}
      expect(rows() - ran).toBe(promptTokens - had + completionTokens - 1)
      cachedTokens += had
      outcomes.push(answer)
    }
    expect(outcomes[0]?.tokens).toEqual(outcomes[1]?.tokens)
    expect(said.warm).toEqual(said.cold)
    chats.push([...messages, { role: 'assistant', content: outcomes[0]?.text ?? '' }])
  }
  for (const { model } of sides) await model[Symbol.asyncDispose]()
  return cachedTokens
}

test('with rows kept or without, every logit is the same: blocks whose kernels differ', async () => {
  const head = countingHead(tokenizer, contextLength)
  const size = tokenizer.vocabularySize
  // Says letters, so that answers are text that can be asked again.
  const lettered: HeadRunner = {
    ...head,
    logits: async (hidden) => {
      const favourite = letter + (((hidden[0] as number) * 7) % 26)
      return Float32Array.from({ length: size }, (_, id) => -Math.abs(id - favourite))
    }
  }
  let cached = 0
  await fc.assert(
    fc.asyncProperty(moves, async (played) => {
      cached += await compare(played, lettered, () => {
        const { blocks, trace } = scriptedBlocks()
        return { blocks, rows: () => trace.steps.reduce((sum, { rows }) => sum + rows, 0) }
      })
    }),
    { numRuns: 60 }
  )
  expect(cached).toBeGreaterThan(1_000)
})

test('with rows kept or without, every logit is the same: the reference model in two parts', async () => {
  await using backend = createReferenceBackend()
  const source = bytesSource(bytes)
  await using head = await backend.loadHead(source)
  await using first = await backend.loadBlocks(source, { from: 0, to: 2 })
  await using second = await backend.loadBlocks(source, { from: 2, to: 3 })
  const played: Move[] = [
    { from: 0, type: 'new', at: 0, text: 'hello world' },
    { from: 1, type: 'go on', at: 0, text: 'and then' },
    { from: 1, type: 'new', at: 0, text: 'a question that is long enough for the other kernel '.repeat(2) },
    { from: 3, type: 'go on', at: 0, text: 'why' },
    { from: 2, type: 'go on', at: 0, text: 'short' },
    { from: 4, type: 'edit', at: 1, text: 'how' }
  ]
  const cached = await compare(played, head, () => {
    let ran = 0
    const counted: BlockRunner = {
      ...first,
      forward: (steps, options) => {
        for (const { hidden } of steps) ran += hidden.length / head.shape.hiddenSize
        return first.forward(steps, options)
      }
    }
    return { blocks: localBlocks([counted, second]), rows: () => ran }
  })
  expect(cached).toBeGreaterThan(200)
})
