import { KwaaiError, type ChatRequest, type CompletionRequest } from '@kwaai/interface'
import { createFakeClock, createSeededRandom, languageModelSuite, macrotask } from '@kwaai/testing'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  createChatTemplate,
  createTextModel,
  createTokenizer,
  localBlocks,
  type TextModelInit
} from '../src/generate/index.ts'
import { bytesSource, readGguf } from '../src/gguf/index.ts'
import { createGrammarEngine } from '../src/grammar/index.ts'
import { createReferenceBackend } from '../src/reference/index.ts'
import {
  countingHead,
  outcomeOf,
  scriptedBlocks,
  scriptedHead,
  type ScriptOptions
} from './text-model-kit.ts'
import { toyModel } from './toy-model.ts'

const bytes = toyModel()
const file = await readGguf(bytesSource(bytes))
const tokenizer = createTokenizer(file)
const template = createChatTemplate(file, { tokenizer })
const clock = createFakeClock({ now: 1_700_000_000_000 })
const end = 2

interface Setup extends ScriptOptions {
  script?: readonly number[]
  init?: Partial<TextModelInit>
  contextLength?: number
}

function setUp({ script, init, contextLength, ...options }: Setup = {}) {
  const { blocks, trace } = scriptedBlocks(options)
  const head =
    script === undefined
      ? countingHead(tokenizer, contextLength)
      : scriptedHead(tokenizer, script, contextLength)
  const components = { tokenizer, template, head, blocks, clock, random: createSeededRandom(1) }
  return { model: createTextModel({ id: 'toy', ...init }, components), trace }
}

const ask = (content: string, more: Partial<ChatRequest> = {}): ChatRequest => ({
  messages: [{ role: 'user', content }],
  temperature: 0,
  ...more
})
const say = (text: string): number[] => [...tokenizer.encode(text), end]
const codeOf = async (
  events: AsyncIterable<never> | Promise<unknown> | AsyncIterable<unknown>
): Promise<unknown> => {
  try {
    if ('then' in events) await events
    else for await (const _ of events) void _
  } catch (error) {
    return KwaaiError.is(error) ? { code: error.code, ...error.details } : error
  }
  return undefined
}

// Letters only, so that no answer ends by itself: which one follows from all tokens before.
languageModelSuite(test, {
  supports: ['logprobs', 'n', 'grammar'],
  create: async () => {
    // Room for tools, a token a byte.
    const head = countingHead(tokenizer, 2_048)
    const lettered = {
      ...head,
      logits: async (hidden: Float32Array) => {
        const letter = tokenizer.encode('a')[0] as number
        const favourite = letter + (((hidden[0] as number) * 7) % 26)
        return Float32Array.from({ length: tokenizer.vocabularySize }, (_, id) => -Math.abs(id - favourite))
      }
    }
    const { blocks } = scriptedBlocks()
    return createTextModel(
      { id: 'toy', maxConcurrent: 2 },
      { tokenizer, template, head: lettered, blocks, clock, grammar: createGrammarEngine() }
    )
  }
})

test('a model describes itself', async () => {
  let up = false
  const { model } = setUp({ ready: () => up })
  const description = { id: 'toy', created: 1_700_000_000, ownedBy: 'kwaai', contextLength: 512 }
  expect(await model.describe()).toEqual({ ...description, ready: false })
  up = true
  expect(await model.describe()).toEqual({ ...description, ready: true })
})

test('a chat starts, tells its text, ends and counts', async () => {
  const { model, trace } = setUp({ script: say('hello world') })
  const run = await outcomeOf(model.chat(ask('hi')))
  const promptTokens = template.encode([{ role: 'user', content: 'hi' }]).length
  expect(run).toMatchObject({ text: 'hello world', reason: 'stop', tokens: say('hello world') })
  expect(run.usage).toEqual({ promptTokens, completionTokens: say('hello world').length, cachedTokens: 0 })
  expect(run.types).toMatch(/^st+fu$/)
  expect(trace.closed).toBe(1)
})

test('every end token ends an answer', async () => {
  for (const token of tokenizer.endTokens) {
    const run = await outcomeOf(setUp({ script: [...tokenizer.encode('x'), token] }).model.chat(ask('hi')))
    expect(run).toMatchObject({ text: 'x', reason: 'stop' })
  }
})

test('maxTokens is met exactly, and nothing is run for a token nobody wants', async () => {
  for (const maxTokens of [0, 1, 2, 9]) {
    const { model, trace } = setUp({ script: tokenizer.encode('abc') })
    const run = await outcomeOf(model.chat(ask('hi', { maxTokens })))
    expect(run).toMatchObject({ reason: 'length', usage: { completionTokens: maxTokens } })
    expect(run.tokens).toHaveLength(maxTokens)
    expect(trace.steps).toHaveLength(maxTokens)
    expect(trace.closed).toBe(1)
  }
})

test('an answer ends where the context does', async () => {
  const { model } = setUp({ script: tokenizer.encode('a'), contextLength: 30 })
  const prompt = 'x'.repeat(20)
  const run = await outcomeOf(model.complete({ prompt, temperature: 0 }))
  expect(run).toMatchObject({ reason: 'length', usage: { promptTokens: 20, completionTokens: 10 } })
  const shorter = setUp({ script: tokenizer.encode('a'), init: { contextLength: 25 } })
  expect((await outcomeOf(shorter.model.complete({ prompt, temperature: 0 }))).tokens).toHaveLength(5)
})

test('a prompt without room for an answer is refused with its counts', async () => {
  const { model, trace } = setUp({ contextLength: 30 })
  expect(await codeOf(model.complete({ prompt: 'x'.repeat(30) }))).toEqual({
    code: 'ERR_MODEL_CONTEXT_EXCEEDED',
    promptTokens: 30,
    contextLength: 30
  })
  expect(trace.opened).toEqual([])
})

test.each([
  [1, 'vec', [1]],
  [63, 'vec', [63]],
  [64, 'tile', [64]],
  [65, 'tile', [64, 1]],
  [200, 'tile', [64, 64, 64, 8]]
] as const)('a prompt of %i tokens takes the kernel %s in steps of %j', async (length, kernel, steps) => {
  const { model, trace } = setUp({ script: [...tokenizer.encode('ab'), end] })
  await outcomeOf(model.complete({ prompt: 'x'.repeat(length), temperature: 0 }))
  const prompt = trace.steps.slice(0, steps.length)
  expect(prompt.map(({ rows }) => rows)).toEqual(steps)
  expect(prompt.map((step) => step.kernel)).toEqual(steps.map(() => kernel))
  expect(prompt.map(({ result }) => result)).toEqual([...steps.slice(1).map(() => 'none'), 'last'])
  expect(trace.steps.slice(steps.length)).toEqual([
    { past: length, kernel: 'vec', result: 'last', rows: 1 },
    { past: length + 1, kernel: 'vec', result: 'last', rows: 1 }
  ])
})

test('steps of a prompt overlap, as many as are allowed', async () => {
  for (const [prefillSteps, overlap] of [
    [1, 1],
    [3, 3],
    [16, 10]
  ] as const) {
    const { model, trace } = setUp({
      script: [end],
      init: { prefillRows: 10, prefillSteps },
      before: macrotask
    })
    await outcomeOf(model.complete({ prompt: 'x'.repeat(100) }))
    expect(trace.overlap).toBe(overlap)
  }
})

test('the answer does not depend on how the prompt is cut', async () => {
  const answers = []
  for (const prefillRows of [1, 7, 64, 500]) {
    answers.push(
      await outcomeOf(setUp({ init: { prefillRows } }).model.chat(ask('some words', { maxTokens: 30 })))
    )
  }
  for (const answer of answers) expect(answer).toEqual(answers[0])
})

test('stop strings end an answer and never show', async () => {
  const script = say('one two three')
  const run = await outcomeOf(setUp({ script }).model.chat(ask('hi', { stop: ['o th', 'zzz'] })))
  expect(run).toMatchObject({ text: 'one tw', reason: 'stop' })
  const half = await outcomeOf(setUp({ script }).model.chat(ask('hi', { stop: ['three!'] })))
  expect(half).toMatchObject({ text: 'one two three', reason: 'stop' })
  const cut = await outcomeOf(setUp({ script }).model.chat(ask('hi', { stop: ['e two thx'], maxTokens: 9 })))
  expect(cut.reason).toBe('length')
  expect('one two three'.startsWith(cut.text)).toBe(true)
  expect(cut.text.length).toBeGreaterThan(7)
})

test('characters are never cut, and an unfinished one shows as U+FFFD at the end', async () => {
  const { model } = setUp({ script: say('a😀é') })
  const run = await outcomeOf(model.chat(ask('hi')))
  expect(run.text).toBe('a😀é')
  for (const text of run.texts) expect(text).not.toMatch(/\p{Surrogate}|\ufffd/u)
  const unfinished = await outcomeOf(
    setUp({ script: say('😀').slice(0, 2) }).model.chat(ask('hi', { maxTokens: 2 }))
  )
  expect(unfinished.text).toBe('\ufffd')
})

test('control tokens a model makes do not show', async () => {
  const script = [...tokenizer.encode('a'), 1, ...say('b')]
  expect((await outcomeOf(setUp({ script }).model.chat(ask('hi')))).text).toBe('ab')
})

test('a seed repeats a text, temperature 0 needs none', async () => {
  const run = async (more: Partial<ChatRequest>) =>
    (await outcomeOf(setUp().model.chat(ask('hi', { maxTokens: 20, ...more })))).tokens
  expect(await run({ temperature: 1, seed: 4 })).toEqual(await run({ temperature: 1, seed: 4 }))
  expect(await run({ temperature: 1, seed: 4 })).not.toEqual(await run({ temperature: 1, seed: 5 }))
  expect(await run({})).toEqual(await run({}))
})

const wrong: readonly [Partial<ChatRequest>, string, 'INVALID_REQUEST' | 'UNSUPPORTED'][] = [
  [{ temperature: -0.1 }, 'temperature', 'INVALID_REQUEST'],
  [{ temperature: 2.1 }, 'temperature', 'INVALID_REQUEST'],
  [{ temperature: NaN }, 'temperature', 'INVALID_REQUEST'],
  [{ topP: 1.1 }, 'topP', 'INVALID_REQUEST'],
  [{ topK: -1 }, 'topK', 'INVALID_REQUEST'],
  [{ topK: 1.5 }, 'topK', 'INVALID_REQUEST'],
  [{ minP: 2 }, 'minP', 'INVALID_REQUEST'],
  [{ repetitionPenalty: 0 }, 'repetitionPenalty', 'INVALID_REQUEST'],
  [{ frequencyPenalty: 2.5 }, 'frequencyPenalty', 'INVALID_REQUEST'],
  [{ presencePenalty: -3 }, 'presencePenalty', 'INVALID_REQUEST'],
  [{ maxTokens: -1 }, 'maxTokens', 'INVALID_REQUEST'],
  [{ seed: 0.5 }, 'seed', 'INVALID_REQUEST'],
  [{ stop: ['a', 'b', 'c', 'd', 'e'] }, 'stop', 'INVALID_REQUEST'],
  [{ stop: [''] }, 'stop', 'INVALID_REQUEST'],
  [{ stop: ['\ud800'] }, 'stop', 'INVALID_REQUEST'],
  [{ stop: ['x'.repeat(2_000)] }, 'stop', 'INVALID_REQUEST'],
  [{ logitBias: { 5000: 1 } }, 'logitBias', 'INVALID_REQUEST'],
  [{ logitBias: { 5: 101 } }, 'logitBias', 'INVALID_REQUEST'],
  [{ n: 0 }, 'n', 'INVALID_REQUEST'],
  [{ caller: 'x'.repeat(257) }, 'caller', 'INVALID_REQUEST'],
  [{ route: { region: 'eu' } }, 'route', 'UNSUPPORTED'],
  [{ messages: [] }, 'messages', 'INVALID_REQUEST'],
  [{ messages: [{ role: 'user', content: 'x'.repeat(3_000_000) }] }, 'messages', 'INVALID_REQUEST'],
  [{ n: 17 }, 'n', 'UNSUPPORTED'],
  [{ n: 1.5 }, 'n', 'INVALID_REQUEST'],
  [{ n: 2, seed: Number.MAX_SAFE_INTEGER }, 'seed', 'INVALID_REQUEST'],
  [{ logprobs: { top: 21 } }, 'logprobs', 'INVALID_REQUEST'],
  [{ logprobs: { top: -1 } }, 'logprobs', 'INVALID_REQUEST'],
  [{ logprobs: { top: 0.5 } }, 'logprobs', 'INVALID_REQUEST'],
  [{ logprobs: true as never }, 'logprobs', 'INVALID_REQUEST'],
  [{ constraint: { type: 'json' } }, 'constraint', 'UNSUPPORTED'],
  [{ tools: [{ name: 'f', parameters: {} }] }, 'tools', 'UNSUPPORTED'],
  [{ messages: [{ role: 'tool', content: 'x' }] }, 'messages', 'INVALID_REQUEST'],
  [{ messages: [{ role: 'tool', content: 'x', toolCallId: 'a' }] }, 'messages', 'INVALID_REQUEST']
]
test.each(wrong)('%j is refused by name: %s', async (more, param, kind) => {
  const { model, trace } = setUp()
  expect(await codeOf(model.chat(ask('hi', more)))).toEqual({ code: `ERR_MODEL_${kind}`, param })
  expect(trace.opened).toEqual([])
})

test('an empty prompt, a missing template, embeddings', async () => {
  const { model } = setUp()
  expect(await codeOf(model.complete({ prompt: '' }))).toEqual({
    code: 'ERR_MODEL_INVALID_REQUEST',
    param: 'prompt'
  })
  expect(await codeOf(model.embed({ input: ['x'] }))).toEqual({
    code: 'ERR_MODEL_UNSUPPORTED',
    param: 'input'
  })
  const { blocks } = scriptedBlocks()
  const bare = createTextModel(
    { id: 'x' },
    { tokenizer, template: undefined, head: countingHead(tokenizer), blocks }
  )
  expect(await codeOf(bare.chat(ask('hi')))).toEqual({ code: 'ERR_MODEL_UNSUPPORTED', param: 'messages' })
})

test('a template that refuses the messages makes the request invalid', async () => {
  const { blocks } = scriptedBlocks()
  const { parseChatTemplate } = await import('../src/generate/index.ts')
  const strict = parseChatTemplate("{{ raise_exception('no system turns') }}", { tokenizer })
  const model = createTextModel(
    { id: 'x' },
    { tokenizer, template: strict, head: countingHead(tokenizer), blocks }
  )
  expect(await codeOf(model.chat(ask('hi')))).toEqual({
    code: 'ERR_MODEL_INVALID_REQUEST',
    param: 'messages'
  })
})

test.each(['prefillRows', 'prefillSteps', 'maxConcurrent', 'contextLength', 'prefixTtlMs', 'maxWaiting'])(
  'a limit that makes no sense: %s',
  (name) => {
    expect(() => setUp({ init: { [name]: name === 'maxWaiting' ? -1 : 0 } })).toThrow(
      expect.objectContaining({ code: 'ERR_MODEL_INVALID_REQUEST' })
    )
  }
)

test('more requests than may wait are refused, and room comes back', async () => {
  let openGate = (): void => undefined
  const gate = new Promise<void>((resolve) => (openGate = resolve))
  const { model } = setUp({
    script: say('x'),
    init: { maxConcurrent: 2, maxWaiting: 0, retryAfterMs: 250 },
    before: () => gate
  })
  const first = [outcomeOf(model.chat(ask('a'))), outcomeOf(model.chat(ask('b')))]
  expect(await codeOf(model.chat(ask('c')))).toEqual({
    code: 'ERR_MODEL_UNAVAILABLE',
    queueFull: true,
    retryAfterMs: 250
  })
  openGate()
  await Promise.all(first)
  expect(await codeOf(model.chat(ask('c')))).toBe(undefined)
})

test('several answers at once do not mix', async () => {
  const alone = await Promise.all(
    ['a', 'b', 'c'].map((text) => outcomeOf(setUp().model.chat(ask(text, { maxTokens: 20 }))))
  )
  const { model } = setUp({ before: macrotask })
  const together = await Promise.all(
    ['a', 'b', 'c'].map((text) => outcomeOf(model.chat(ask(text, { maxTokens: 20 }))))
  )
  expect(together).toEqual(alone)
})

test('an abort closes the pipeline at once, while a step is under way', async () => {
  const controller = new AbortController()
  const { model, trace } = setUp({
    script: tokenizer.encode('a'),
    before: () => (trace.steps.length > 3 ? new Promise(() => undefined) : undefined)
  })
  const reason = new Error('gone')
  const seen: string[] = []
  const run = (async () => {
    for await (const event of model.chat(ask('hi'), { signal: controller.signal })) seen.push(event.type)
  })()
  while (trace.steps.length < 4) await macrotask()
  expect(trace.closed).toBe(0)
  controller.abort(reason)
  // The made-up step ignores the signal and never ends; the pipeline is closed all the same.
  await Promise.resolve()
  expect(trace.closed).toBe(1)
  void run
})

test('an abort ends the run with its reason', async () => {
  const controller = new AbortController()
  const waiting = (_: unknown, call?: { signal?: AbortSignal }): Promise<void> =>
    new Promise((_resolve, reject) =>
      call?.signal?.addEventListener('abort', () => reject(call.signal?.reason))
    )
  const { model, trace } = setUp({ before: waiting })
  const reason = new Error('gone')
  const run = codeOf(model.chat(ask('hi'), { signal: controller.signal }))
  await macrotask()
  controller.abort(reason)
  expect(await run).toBe(reason)
  expect(trace.closed).toBe(1)
  expect(await codeOf(model.chat(ask('hi'), { signal: controller.signal }))).toBe(reason)
})

test('leaving the loop closes the pipeline and gives the place back', async () => {
  const { model, trace } = setUp({ script: tokenizer.encode('a'), init: { maxConcurrent: 1 } })
  for (let i = 1; i <= 3; i++) {
    for await (const event of model.chat(ask('hi'))) if (event.type === 'text') break
    expect(trace.closed).toBe(i)
  }
})

test('a failure in mid-stream is thrown with a code, after the text so far', async () => {
  for (const [thrown, code] of [
    [new KwaaiError('ERR_SHARD_HOP_FAILED', 'dead', { details: { peer: 'p' } }), 'ERR_MODEL_UNAVAILABLE'],
    [new KwaaiError('ERR_SHARD_CHAIN_CLOSED', 'closed'), 'ERR_SHARD_CHAIN_CLOSED'],
    [new Error('dead'), 'ERR_GENERATE_FAILED'],
    ['dead', 'ERR_GENERATE_FAILED']
  ] as const) {
    const { model, trace } = setUp({
      script: tokenizer.encode('a'),
      before: () => {
        if (trace.steps.length === 3) throw thrown
      }
    })
    const seen: string[] = []
    const run = (async () => {
      for await (const event of model.chat(ask('hi'))) seen.push(event.type)
    })()
    await expect(run).rejects.toMatchObject({ code })
    expect(seen).toEqual(['start', 'text', 'text'])
    expect(trace.closed).toBe(1)
  }
})

test('a server that fails is told in the words of every model: come again', async () => {
  const details = { peer: 'p', from: 2, to: 4, step: 1 }
  const cause = new KwaaiError('ERR_SHARD_HOP_FAILED', 'the server of blocks 2 to 3 is gone', { details })
  for (const told of [
    cause,
    new KwaaiError(cause.code, cause.message, { details: { ...details, retryAfterMs: 9 } })
  ]) {
    const { model } = setUp({ init: { retryAfterMs: 250 }, before: () => Promise.reject(told) })
    const error: unknown = await outcomeOf(model.chat(ask('hi'))).catch((reason: unknown) => reason)
    expect(error).toMatchObject({
      code: 'ERR_MODEL_UNAVAILABLE',
      message: cause.message,
      details: { ...details, retryAfterMs: told === cause ? 250 : 9 },
      cause: told
    })
  }
})

test('a request that names no number gets the answer of the default length, and takes room for no more', async () => {
  const { model, trace } = setUp({ script: tokenizer.encode('abc'), init: { answerTokens: 5 } })
  const run = await outcomeOf(model.chat(ask('hi')))
  expect(run).toMatchObject({ reason: 'length', usage: { completionTokens: 5 } })
  const promptTokens = run.usage?.promptTokens ?? Number.NaN
  expect(trace.opened).toEqual([promptTokens + 4])
  await outcomeOf(model.chat(ask('hi', { maxTokens: 9 })))
  expect(trace.opened[1]).toBe(promptTokens + 8)
})

test('a step of the prompt that fails is told once, whichever it is', async () => {
  for (const bad of [0, 3, 9]) {
    const { model, trace } = setUp({
      init: { prefillRows: 10, prefillSteps: 4 },
      before: async (step) => {
        await macrotask()
        if (step.past === bad * 10) throw new KwaaiError('ERR_SHARD_HOP_FAILED', 'dead')
      }
    })
    expect(await codeOf(model.complete({ prompt: 'x'.repeat(100) }))).toEqual({
      code: 'ERR_SHARD_HOP_FAILED'
    })
    expect(trace.closed).toBe(1)
  }
})

test('blocks that cannot be had, and logits that are none', async () => {
  const gone = setUp({
    open: () =>
      Promise.reject(new KwaaiError('ERR_MODEL_UNAVAILABLE', 'nobody', { details: { retryAfterMs: 5 } }))
  })
  expect(await codeOf(gone.model.chat(ask('hi')))).toEqual({ code: 'ERR_MODEL_UNAVAILABLE', retryAfterMs: 5 })
  const { blocks, trace } = scriptedBlocks()
  const head = { ...countingHead(tokenizer), logits: async () => new Float32Array(300).fill(NaN) }
  const model = createTextModel({ id: 'x' }, { tokenizer, template, head, blocks })
  expect(await codeOf(model.chat(ask('hi')))).toEqual({ code: 'ERR_GENERATE_INVALID_LOGITS', token: 0 })
  expect(trace.closed).toBe(1)
})

test('any request ends with an answer that adds up, or with one of the codes of the contract', async () => {
  const value = fc.oneof(fc.double(), fc.integer({ min: -3, max: 20 }), fc.constant(undefined))
  const request = fc.record({
    prompt: fc.string({ unit: 'binary', maxLength: 40 }),
    maxTokens: fc.oneof(fc.integer({ min: -1, max: 12 }), value),
    temperature: value,
    topP: value,
    topK: value,
    minP: value,
    repetitionPenalty: value,
    frequencyPenalty: value,
    presencePenalty: value,
    seed: value,
    stop: fc.array(fc.string({ maxLength: 3 }), { maxLength: 5 })
  })
  const codes = new Set(['ERR_MODEL_INVALID_REQUEST', 'ERR_MODEL_CONTEXT_EXCEEDED'])
  await fc.assert(
    fc.asyncProperty(request, async (fields) => {
      const { model, trace } = setUp({ contextLength: 60 })
      const known = Object.fromEntries(Object.entries(fields).filter(([, field]) => field !== undefined))
      try {
        const run = await outcomeOf(model.complete(known as unknown as CompletionRequest))
        expect(run.types).toMatch(/^st*fu$/)
        expect(run.usage?.completionTokens).toBe(run.tokens.length)
        for (const stop of fields.stop) expect(run.text).not.toContain(stop)
      } catch (error) {
        if (!KwaaiError.is(error)) throw error
        expect(codes.has(error.code)).toBe(true)
      }
      expect(trace.closed).toBe(trace.opened.length)
    }),
    { numRuns: 300 }
  )
})

test('a real model, whole and in parts, says the same', async () => {
  await using backend = createReferenceBackend()
  const source = bytesSource(bytes)
  await using head = await backend.loadHead(source)
  const answers: string[] = []
  for (const cuts of [
    [0, 3],
    [0, 1, 3],
    [0, 1, 2, 3]
  ]) {
    const runners = await Promise.all(
      cuts.slice(1).map((to, i) => backend.loadBlocks(source, { from: cuts[i] as number, to }))
    )
    const blocks = localBlocks(runners, { peer: 'here', numericsClass: await backend.numericsClass() })
    const model = createTextModel({ id: 'toy' }, { file, head, blocks })
    const run = await outcomeOf(model.chat(ask('hello world', { maxTokens: 12 })))
    answers.push(run.tokens.join())
    await Promise.all(runners.map((runner) => runner[Symbol.asyncDispose]()))
  }
  expect(new Set(answers).size).toBe(1)
})
