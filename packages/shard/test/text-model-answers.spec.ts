/** Several answers to one request, probabilities, and who computed. */
import { KwaaiError, type ChatRequest, type GenerationEvent } from '@kwaai/interface'
import { createFakeClock, createSeededRandom, macrotask } from '@kwaai/testing'
import { expect, test } from 'vitest'
import {
  createTextModel,
  createTokenizer,
  parseChatTemplate,
  type TextModelInit
} from '../src/generate/index.ts'
import { bytesSource, readGguf } from '../src/gguf/index.ts'
import {
  answersOf,
  countingHead,
  scriptedBlocks,
  scriptedHead,
  type ScriptOptions
} from './text-model-kit.ts'
import { toyModel } from './toy-model.ts'

const file = await readGguf(bytesSource(toyModel()))
const tokenizer = createTokenizer(file)
// Short prompts: answers are made side by side where they may be longer than that.
const template = parseChatTemplate('{{ messages[0].content }}', { tokenizer })
const clock = createFakeClock()

function setUp({
  script,
  init,
  ...options
}: ScriptOptions & { script?: readonly number[]; init?: Partial<TextModelInit> } = {}) {
  const { blocks, trace } = scriptedBlocks(options)
  const head = script === undefined ? countingHead(tokenizer) : scriptedHead(tokenizer, script)
  const parts = { tokenizer, template, head, blocks, clock, random: createSeededRandom(1) }
  return { model: createTextModel({ id: 'toy', ...init }, parts), trace }
}
const ask = (more: Partial<ChatRequest> = {}): ChatRequest => ({
  messages: [{ role: 'user', content: 'hi' }],
  maxTokens: 12,
  ...more
})
/** More turns of the event loop than anything here takes. */
const settle = async (): Promise<void> => {
  for (let i = 0; i < 20; i++) await macrotask()
}

test('several answers are those of single requests with the seeds that follow', async () => {
  for (const maxConcurrent of [1, 2, 8, 16]) {
    const { model, trace } = setUp({ init: { maxConcurrent }, before: macrotask })
    const { answers, usage } = await answersOf(model.chat(ask({ n: 5, seed: 40, temperature: 1.3 })))
    const single = []
    for (let k = 0; k < 5; k++) {
      single.push(...(await answersOf(setUp().model.chat(ask({ seed: 40 + k, temperature: 1.3 })))).answers)
    }
    expect(answers).toEqual(single)
    const promptTokens = template.encode(ask().messages).length
    expect(usage).toEqual({
      promptTokens,
      completionTokens: single.flatMap(({ tokens }) => tokens).length,
      cachedTokens: 0
    })
    expect(trace.opened).toHaveLength(Math.min(5, Math.max(1, maxConcurrent >> 1)))
    expect(trace.closed).toBe(trace.opened.length)
  }
})

test('answers run side by side, and further ones in a session that holds the prompt already', async () => {
  const { model, trace } = setUp({ init: { maxConcurrent: 4 }, before: macrotask })
  const { order, hops } = await answersOf(model.chat(ask({ n: 4, temperature: 0, maxTokens: 3 })))
  for (const k of [0, 2]) expect(order.indexOf(k + 1)).toBeLessThan(order.lastIndexOf(k))
  expect(order.indexOf(2)).toBeGreaterThan(order.lastIndexOf(0))
  const prompts = trace.steps.filter(({ rows }) => rows > 1)
  // Two sessions run the whole prompt, the second answer of each its last row alone.
  expect(prompts).toHaveLength(2)
  expect(hops).toEqual([{ peer: 'scripted', from: 0, to: 1, numericsClass: 'script', steps: 12 }])
})

test('a request for many answers takes half of the places, and gives back what others wait for', async () => {
  const open: (() => void)[] = []
  const { model, trace } = setUp({
    init: { maxConcurrent: 4 },
    before: () => new Promise((resolve) => open.push(resolve))
  })
  const step = async (): Promise<void> => {
    for (const resolve of open.splice(0)) resolve()
    await settle()
  }
  const many = answersOf(model.chat(ask({ n: 8, temperature: 0, maxTokens: 3 })))
  await settle()
  expect(trace.opened).toHaveLength(2)
  const others = [1, 2, 3].map(() => answersOf(model.chat(ask({ temperature: 0, maxTokens: 1 }))))
  await settle()
  // Two have places; the third waits until the first answer of the many ends.
  expect(trace.opened).toHaveLength(4)
  for (let i = 0; i < 3; i++) await step()
  expect(trace.opened).toHaveLength(5)
  let ended = 0
  for (const other of others) void other.then(() => ended++)
  for (let i = 0; i < 40; i++) await step()
  expect(ended).toBe(3)
  expect((await many).answers).toHaveLength(8)
})

test('in one place whoever waits goes before the next of many answers, and the line may be full', async () => {
  const done: string[] = []
  const { model } = setUp({ init: { maxConcurrent: 1, maxWaiting: 2 }, before: macrotask })
  const run = async (name: string, n: number): Promise<void> => {
    for await (const event of model.chat(ask({ n, caller: name, temperature: 0, maxTokens: 3 }))) {
      if (event.type === 'finish') done.push(`${name}${event.index}`)
    }
  }
  const many = run('a', 3)
  await macrotask()
  await Promise.all([many, run('b', 1), run('c', 2)])
  expect(done).toEqual(['a0', 'b0', 'c0', 'a1', 'c1', 'a2'])
})

test('an abort while others go first ends a request for many answers', async () => {
  const controller = new AbortController()
  const reason = new Error('gone')
  const { model, trace } = setUp({ init: { maxConcurrent: 1 }, before: macrotask })
  const many = answersOf(
    model.chat(ask({ n: 3, temperature: 0, maxTokens: 2 }), { signal: controller.signal })
  )
  await macrotask()
  const other = answersOf(model.chat(ask({ caller: 'b', temperature: 0, maxTokens: 40 })))
  while (trace.opened.length < 2) await macrotask()
  controller.abort(reason)
  await expect(many).rejects.toBe(reason)
  expect((await other).answers[0]?.tokens).toHaveLength(40)
  expect((await answersOf(model.chat(ask({ temperature: 0 })))).answers).toHaveLength(1)
})

test('two requests for many answers do not lock each other out', async () => {
  for (const maxConcurrent of [1, 2, 3]) {
    const { model } = setUp({ init: { maxConcurrent, maxWaiting: 4 }, before: macrotask })
    const runs = await Promise.all(
      ['a', 'b', 'c'].map((caller) =>
        answersOf(model.chat(ask({ n: 6, caller, temperature: 0, maxTokens: 4 })))
      )
    )
    for (const { answers } of runs)
      expect(answers.map(({ tokens }) => tokens.length)).toEqual([4, 4, 4, 4, 4, 4])
  }
})

test('where no further session is to be had, the first makes all answers', async () => {
  let opened = 0
  const { model, trace } = setUp({
    open() {
      if (opened++ > 0)
        throw new KwaaiError('ERR_MODEL_UNAVAILABLE', 'full', { details: { retryAfterMs: 5 } })
    }
  })
  const { answers } = await answersOf(model.chat(ask({ n: 3, temperature: 0 })))
  expect(answers).toHaveLength(3)
  expect(trace.opened).toHaveLength(1)
  // The two others were tried at once, and not again.
  expect(opened).toBe(3)
})

test('an abort ends all answers at once, and gives back every place', async () => {
  const controller = new AbortController()
  const reason = new Error('gone')
  const { model, trace } = setUp({
    init: { maxConcurrent: 8, maxWaiting: 0 },
    before: (_, call) =>
      trace.steps.length < 12
        ? macrotask()
        : new Promise((_, reject) =>
            call?.signal?.addEventListener('abort', () => reject(call.signal?.reason))
          )
  })
  const run = answersOf(model.chat(ask({ n: 4, temperature: 0 }), { signal: controller.signal }))
  await settle()
  expect(trace.opened).toHaveLength(4)
  controller.abort(reason)
  await expect(run).rejects.toBe(reason)
  expect(trace.closed).toBe(4)
})

test('a failure of one answer ends all, and so does leaving the loop', async () => {
  const { model, trace } = setUp({
    init: { maxWaiting: 0 },
    before: async () => {
      await macrotask()
      if (trace.steps.length === 14)
        throw new KwaaiError('ERR_SHARD_HOP_FAILED', 'dead', { details: { peer: 'p' } })
    }
  })
  await expect(answersOf(model.chat(ask({ n: 4, temperature: 0 })))).rejects.toMatchObject({
    code: 'ERR_MODEL_UNAVAILABLE'
  })
  expect(trace.closed).toBe(trace.opened.length)
  for (let i = 0; i < 5; i++) {
    for await (const event of model.chat(ask({ n: 4, temperature: 0 })))
      if (event.type === 'text' && event.index > 0) break
    expect(trace.closed).toBe(trace.opened.length)
  }
})

test('who reads slowly slows all answers down', async () => {
  const { model, trace } = setUp({ init: { maxConcurrent: 8 } })
  const events = model.chat(ask({ n: 4, temperature: 0 }))[Symbol.asyncIterator]()
  for (let i = 0; i < 3; i++) await events.next()
  await settle()
  // One event of each answer may wait, so two steps each at most are done.
  expect(trace.steps.length).toBeLessThanOrEqual(9)
  await events.return?.()
  expect(trace.closed).toBe(trace.opened.length)
})

test('the kept session of a caller serves its next request, further ones are not kept', async () => {
  const { model, trace } = setUp()
  const long: ChatRequest = {
    ...ask({ n: 3, temperature: 0, caller: 'ada', maxTokens: 40, logitBias: { 2: 100 } }),
    messages: [{ role: 'user', content: 'x'.repeat(40) }]
  }
  expect((await answersOf(model.chat(long))).usage?.cachedTokens).toBe(0)
  expect([trace.opened.length, trace.closed]).toEqual([3, 2])
  const { usage, hops } = await answersOf(model.chat({ ...long, n: 1 }))
  expect(usage?.cachedTokens).toBe((usage?.promptTokens ?? 0) - 1)
  // Of the kept session's steps only those of this answer count.
  expect(hops?.map(({ steps }) => steps)).toEqual([1])
  await model[Symbol.asyncDispose]()
  expect(trace.closed).toBe(trace.opened.length)
})

test('answers to a prompt that is longer than they may be come one after the other', async () => {
  const { model, trace } = setUp({ before: macrotask })
  const messages: ChatRequest['messages'] = [{ role: 'user', content: 'x'.repeat(20) }]
  const { answers, order } = await answersOf(
    model.chat(ask({ messages, n: 3, temperature: 0, maxTokens: 19 }))
  )
  expect(answers.map(({ tokens }) => tokens.length)).toEqual([19, 19, 19])
  expect(order).toEqual(order.toSorted())
  expect(trace.opened).toHaveLength(1)
})

test('no answer has tokens where none may be made', async () => {
  const { model } = setUp()
  const { answers, usage } = await answersOf(model.chat(ask({ n: 2, maxTokens: 0 })))
  expect(answers.map(({ reason, tokens }) => [reason, tokens])).toEqual([
    ['length', []],
    ['length', []]
  ])
  expect(usage?.completionTokens).toBe(0)
})

test('probabilities are the model’s own, whatever biases, penalties and temperature do', async () => {
  const letter = tokenizer.encode('x')[0] as number
  const { model } = setUp({ script: tokenizer.encode('a') })
  const { answers } = await answersOf(
    model.chat(
      ask({
        temperature: 0,
        maxTokens: 3,
        logprobs: { top: 2 },
        logitBias: { [letter]: 100 },
        frequencyPenalty: 2
      })
    )
  )
  const [answer] = answers
  expect(answer?.text).toBe('xxx')
  // One logit of 10 among 299 of 0.
  const total = Math.log(Math.exp(10) + tokenizer.vocabularySize - 1)
  for (const { token, logprob, bytes, top } of answer?.logprobs ?? []) {
    expect([token, new TextDecoder().decode(bytes)]).toEqual([letter, 'x'])
    expect(logprob).toBeCloseTo(-total, 9)
    expect(top.map((one) => one.token)).toEqual([tokenizer.encode('a')[0], 0])
    expect(top[0]?.logprob).toBeCloseTo(10 - total, 9)
  }
  expect(answer?.logprobs).toHaveLength(3)
})

test('tokens told with a text have its bytes in every event, with stop strings and cut characters', async () => {
  const script = [...tokenizer.encode('a 😀 né END of'), 2]
  for (const stop of [[], ['END'], ['é E'], ['zzz', ' né EX']]) {
    const { model } = setUp({ script })
    const events: GenerationEvent[] = []
    for await (const event of model.chat(ask({ temperature: 0, maxTokens: 60, logprobs: { top: 0 }, stop })))
      events.push(event)
    let text = ''
    for (const event of events) {
      if (event.type !== 'text') continue
      text += event.text
      const bytes = (event.logprobs ?? []).flatMap((entry) => [...entry.bytes])
      expect(bytes).toEqual([...new TextEncoder().encode(event.text)])
    }
    const cut = stop.map((one) => 'a 😀 né END of'.indexOf(one)).find((at) => at >= 0)
    expect(text).toBe('a 😀 né END of'.slice(0, cut))
  }
})

test('tokens are a prompt like any other', async () => {
  const prompt = tokenizer.encode('hello world')
  const text = await answersOf(setUp().model.complete({ prompt: 'hello world', maxTokens: 9, seed: 1 }))
  expect(await answersOf(setUp().model.complete({ prompt, maxTokens: 9, seed: 1 }))).toEqual(text)
  for (const wrong of [[-1], [1.5], [tokenizer.vocabularySize], ['a' as never], []]) {
    await expect(answersOf(setUp().model.complete({ prompt: wrong }))).rejects.toMatchObject({
      code: 'ERR_MODEL_INVALID_REQUEST',
      details: { param: 'prompt' }
    })
  }
})
