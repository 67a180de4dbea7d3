import type { ChatRequest, GenerationEvent, GenerationOptions, LanguageModel, Usage } from '@kwaai/interface'
import { answeringTests, type LanguageModelFeature } from './language-model-answers.ts'
import { assert, assertEqual, assertRejectsWith, type TestFunction } from './assert.ts'

/** How a suite gets the model it tests. */
export interface LanguageModelSuiteFactory {
  /** A model that is ready. Its answers may say anything, but have to be longer than eight tokens. */
  create(): Promise<LanguageModel>
  /** Called after each test. */
  destroy?(model: LanguageModel): Promise<void>
  /** True where the model chooses who computes. Default false: it has to refuse `route`. */
  routes?: boolean
  /** What it does of what a model may leave out. Default: nothing. */
  supports?: readonly LanguageModelFeature[]
}

interface Answer {
  text: string
  tokens: number[]
  promptTokens: number
  reason: string
  usage: Usage
  types: string[]
}

const question: ChatRequest = { messages: [{ role: 'user', content: 'Count from one to a hundred.' }] }
const greedy: GenerationOptions = { temperature: 0, maxTokens: 8 }

async function answerOf(events: AsyncIterable<GenerationEvent>): Promise<Answer> {
  const usage: Usage = { promptTokens: -1, completionTokens: -1, cachedTokens: -1 }
  const answer: Answer = { text: '', tokens: [], promptTokens: -1, reason: '', usage, types: [] }
  for await (const event of events) {
    if (answer.types.at(-1) !== event.type) answer.types.push(event.type)
    if (event.type === 'start') answer.promptTokens = event.promptTokens
    else if (event.type === 'usage') answer.usage = event.usage
    else if (event.type === 'finish') answer.reason = event.reason
    else {
      answer.text += event.type === 'text' ? event.text : event.arguments
      answer.tokens.push(...event.tokens)
    }
  }
  return answer
}

const drain = async (events: AsyncIterable<GenerationEvent>): Promise<void> => void (await answerOf(events))

/** What every `LanguageModel` has to do. */
export function languageModelSuite(test: TestFunction, factory: LanguageModelSuiteFactory): void {
  const withModel = (name: string, run: (model: LanguageModel) => Promise<void>): void => {
    test(`language model: ${name}`, async () => {
      const model = await factory.create()
      try {
        await run(model)
      } finally {
        await factory.destroy?.(model)
      }
    })
  }

  withModel('names its contract and describes itself', async (model) => {
    assertEqual<string>(model.specification, 'kwaai.language-model/1', 'specification')
    const description = await model.describe()
    assert(description.id !== '', 'the id is empty')
    assert(Number.isInteger(description.created), 'created is no whole number of seconds')
    assert(description.contextLength > 0, 'the context has no length')
    assert(description.ready, 'the model is not ready')
  })

  withModel('tells start, text, finish and usage in this order, and counts truly', async (model) => {
    const answer = await answerOf(model.chat({ ...question, ...greedy }))
    assertEqual(answer.types, ['start', 'text', 'finish', 'usage'], 'order of events')
    assertEqual(answer.usage.promptTokens, answer.promptTokens, 'prompt tokens')
    assertEqual(answer.usage.completionTokens, answer.tokens.length, 'completion tokens')
    assert(answer.usage.cachedTokens >= 0, 'cached tokens are below zero')
    assert(answer.usage.cachedTokens <= answer.promptTokens, 'more tokens are cached than there are')
  })

  withModel('meets maxTokens exactly', async (model) => {
    for (const maxTokens of [1, 2, 5]) {
      const answer = await answerOf(model.chat({ ...question, temperature: 0, maxTokens }))
      assertEqual(answer.usage.completionTokens, maxTokens, 'completion tokens')
      assertEqual(answer.reason, 'length', 'reason')
    }
  })

  withModel('says the same at temperature 0 and for one seed', async (model) => {
    for (const options of [greedy, { temperature: 1, seed: 42, maxTokens: 8 }]) {
      const first = await answerOf(model.chat({ ...question, ...options }))
      const second = await answerOf(model.chat({ ...question, ...options }))
      assertEqual(second.tokens, first.tokens, 'tokens')
      assertEqual(second.text, first.text, 'text')
    }
  })

  withModel('continues a text', async (model) => {
    const answer = await answerOf(model.complete({ prompt: 'One, two, three,', ...greedy }))
    assertEqual(answer.types, ['start', 'text', 'finish', 'usage'], 'order of events')
    assert(answer.promptTokens > 0, 'the prompt has no tokens')
  })

  withModel('ends at a stop string and shows none of it', async (model) => {
    const whole = (await answerOf(model.chat({ ...question, ...greedy }))).text
    const characters = [...whole]
    assert(characters.length > 3, 'the answer is too short for the suite')
    const middle = Math.floor(characters.length / 2)
    const stop = characters.slice(middle, middle + 2).join('')
    const answer = await answerOf(model.chat({ ...question, ...greedy, stop: [stop] }))
    assertEqual(answer.text, whole.slice(0, whole.indexOf(stop)), 'text before the stop string')
    assertEqual(answer.reason, 'stop', 'reason')
  })

  withModel('answers several at once as it does one by one', async (model) => {
    const ask = (content: string): Promise<Answer> =>
      answerOf(model.chat({ messages: [{ role: 'user', content }], ...greedy }))
    const alone = [await ask('one'), await ask('two')]
    const together = await Promise.all([ask('one'), ask('two')])
    assertEqual(
      together.map(({ tokens }) => tokens),
      alone.map(({ tokens }) => tokens),
      'tokens'
    )
  })

  withModel('refuses values out of range by name', async (model) => {
    const wrong: Record<string, GenerationOptions> = {
      temperature: { temperature: -1 },
      topP: { topP: 2 },
      maxTokens: { maxTokens: -1 },
      stop: { stop: ['a', 'b', 'c', 'd', 'e'] }
    }
    for (const [param, options] of Object.entries(wrong)) {
      const error = await assertRejectsWith(
        drain(model.chat({ ...question, ...options })),
        'ERR_MODEL_INVALID_REQUEST',
        param
      )
      assertEqual(error.details['param'], param, 'details.param')
    }
    await assertRejectsWith(drain(model.chat({ messages: [] })), 'ERR_MODEL_INVALID_REQUEST', 'no messages')
  })

  withModel('serves what it kept to the caller it kept it for, and to nobody else', async (model) => {
    const asked = { ...question, ...greedy }
    const first = await answerOf(model.chat(asked))
    const runs = {
      'a caller': await answerOf(model.chat({ ...asked, caller: 'a' })),
      'the same caller': await answerOf(model.chat({ ...asked, caller: 'a' })),
      'another caller': await answerOf(model.chat({ ...asked, caller: 'b' })),
      'nobody by name': await answerOf(model.chat(asked))
    }
    for (const [who, answer] of Object.entries(runs)) {
      assertEqual(answer.tokens, first.tokens, `tokens of ${who}`)
      const { cachedTokens, promptTokens } = answer.usage
      if (who === 'the same caller') assert(cachedTokens < promptTokens, 'no row was left to compute')
      else assertEqual(cachedTokens, 0, `cached tokens of ${who}`)
    }
  })

  withModel('never ignores who may compute', async (model) => {
    const asked = drain(model.chat({ ...question, ...greedy, route: { allowPeers: [] } }))
    if (factory.routes === true) await assertRejectsWith(asked, 'ERR_MODEL_UNAVAILABLE', 'nobody is allowed')
    else {
      const error = await assertRejectsWith(asked, 'ERR_MODEL_UNSUPPORTED', 'route')
      assertEqual(error.details['param'], 'route', 'details.param')
    }
  })

  withModel('refuses a prompt that fills the context, with its counts', async (model) => {
    const { contextLength } = await model.describe()
    const prompt = 'one two '.repeat(contextLength)
    const error = await assertRejectsWith(
      drain(model.complete({ prompt })),
      'ERR_MODEL_CONTEXT_EXCEEDED',
      'a long prompt'
    )
    assertEqual(error.details['contextLength'], contextLength, 'details.contextLength')
    assert(Number(error.details['promptTokens']) >= contextLength, 'the prompt would have fitted')
  })

  withModel('ends with the signal’s reason', async (model) => {
    const controller = new AbortController()
    const reason = new Error('enough')
    let caught: unknown
    try {
      for await (const event of model.chat({ ...question, temperature: 0 }, { signal: controller.signal })) {
        if (event.type === 'text') controller.abort(reason)
      }
    } catch (error) {
      caught = error
    }
    assert(caught === reason, 'the run did not end with the reason')
    assertEqual(
      (await answerOf(model.chat({ ...question, ...greedy }))).types.at(-1),
      'usage',
      'the run after it'
    )
  })

  withModel('can be left in the middle', async (model) => {
    for (let run = 0; run < 20; run++) {
      for await (const event of model.chat({ ...question, ...greedy })) if (event.type === 'text') break
    }
    assertEqual(
      (await answerOf(model.chat({ ...question, ...greedy }))).types.at(-1),
      'usage',
      'the run after them'
    )
  })

  answeringTests(withModel, question, factory.supports ?? [])
}
