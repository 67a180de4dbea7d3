import type {
  ChatMessage,
  ChatRequest,
  GenerationEvent,
  LanguageModel,
  TokenLogprobs
} from '@kwaai/interface'
import { assert, assertEqual, assertRejectsWith } from './assert.ts'

/** What a model may leave out, and then has to refuse by name. `grammar` are constraints and tools. */
export type LanguageModelFeature = 'logprobs' | 'n' | 'grammar'

/** One of several answers. */
interface Answer {
  text: string
  tokens: number[]
  logprobs: TokenLogprobs[]
  calls: { id: string; name: string; arguments: string }[]
  reason: string
}

async function answersOf(
  events: AsyncIterable<GenerationEvent>
): Promise<{ answers: Answer[]; promptTokens: number; completionTokens: number }> {
  const answers: Answer[] = []
  let promptTokens = -1
  let completionTokens = -1
  for await (const event of events) {
    if (event.type === 'usage') ({ promptTokens, completionTokens } = event.usage)
    if (event.type === 'usage' || event.type === 'start') continue
    const answer = (answers[event.index] ??= { text: '', tokens: [], logprobs: [], calls: [], reason: '' })
    assertEqual(answer.reason, '', `the reason of answer ${event.index} before its end`)
    if (event.type === 'finish') answer.reason = event.reason
    else answer.tokens.push(...event.tokens)
    if (event.type === 'text') {
      answer.text += event.text
      answer.logprobs.push(...(event.logprobs ?? []))
      checkBytes(event)
    } else if (event.type === 'tool-call') {
      const { call, id, name } = event
      if (answer.calls[call] === undefined) {
        assert(id !== undefined && name !== undefined, 'the first piece of a call has no id or no name')
        answer.calls[call] = { id: id ?? '', name: name ?? '', arguments: '' }
      }
      ;(answer.calls[call] as Answer['calls'][number]).arguments += event.arguments
    }
  }
  return { answers, promptTokens, completionTokens }
}

/** The tokens told with a text have exactly its bytes. */
function checkBytes({ text, logprobs }: Extract<GenerationEvent, { type: 'text' }>): void {
  if (logprobs === undefined) return
  const bytes = logprobs.flatMap((entry) => [...entry.bytes])
  assertEqual(bytes, [...new TextEncoder().encode(text)], 'bytes of the tokens told with a text')
}

const weather = {
  name: 'get_weather',
  description: 'Tells the weather at a place.',
  parameters: {
    type: 'object',
    properties: {
      place: { type: 'string', maxLength: 12 },
      days: { type: 'integer', minimum: 1, maximum: 3 }
    },
    required: ['place', 'days'],
    additionalProperties: false
  }
}

/** What a model does of what it may leave out, or refuses. */
export function answeringTests(
  withModel: (name: string, run: (model: LanguageModel) => Promise<void>) => void,
  question: ChatRequest,
  supports: readonly LanguageModelFeature[]
): void {
  const greedy = { ...question, temperature: 0, maxTokens: 8 }

  withModel('bans and forces tokens', async (model) => {
    const [plain] = (await answersOf(model.chat(greedy))).answers
    const tokens = plain?.tokens ?? []
    const first = tokens[0] as number
    const banned = await answersOf(model.chat({ ...greedy, logitBias: { [first]: -100 } }))
    assert(!banned.answers.some((answer) => answer.tokens.includes(first)), 'a banned token came')
    const other = tokens.find((token) => token !== first)
    if (other === undefined) return
    const forced = await answersOf(model.chat({ ...greedy, maxTokens: 3, logitBias: { [other]: 100 } }))
    assertEqual(forced.answers[0]?.tokens, [other, other, other], 'forced tokens')
  })

  const refuses = (name: string, requests: Readonly<Record<string, ChatRequest>>): void =>
    withModel(`refuses ${name} by name`, async (model) => {
      for (const [param, request] of Object.entries(requests)) {
        const error = await assertRejectsWith(answersOf(model.chat(request)), 'ERR_MODEL_UNSUPPORTED', param)
        assertEqual(error.details['param'], param, 'details.param')
      }
    })

  if (supports.includes('logprobs')) {
    withModel('tells how probable each token of its text was', async (model) => {
      const { answers } = await answersOf(model.chat({ ...greedy, logprobs: { top: 3 } }))
      const plain = await answersOf(model.chat(greedy))
      assertEqual(answers[0]?.text, plain.answers[0]?.text, 'text')
      const entries = answers[0]?.logprobs ?? []
      assert(entries.length > 0, 'no token was told')
      for (const { token, logprob, top } of entries) {
        assert(logprob <= 0, 'a probability is above 1')
        assertEqual(top.length, 3, 'number of likeliest tokens')
        assert(
          top.every((one, i) => i === 0 || one.logprob <= (top[i - 1]?.logprob ?? 0)),
          'the likeliest are not in falling order'
        )
        assertEqual(top[0]?.logprob, logprob, `probability of the token taken at temperature 0, ${token}`)
      }
    })
    withModel('refuses more likely tokens than there may be', async (model) => {
      const asked = answersOf(model.chat({ ...greedy, logprobs: { top: 21 } }))
      await assertRejectsWith(asked, 'ERR_MODEL_INVALID_REQUEST', 'top')
    })
  } else refuses('probabilities', { logprobs: { ...greedy, logprobs: { top: 0 } } })

  if (supports.includes('n')) {
    withModel('answers several times as it does under the seeds that follow', async (model) => {
      const asked = { ...question, temperature: 1, maxTokens: 8 }
      const together = await answersOf(model.chat({ ...asked, n: 3, seed: 7 }))
      let completionTokens = 0
      for (let k = 0; k < 3; k++) {
        const alone = await answersOf(model.chat({ ...asked, seed: 7 + k }))
        assertEqual(together.answers[k]?.tokens, alone.answers[0]?.tokens, `tokens of answer ${k}`)
        assertEqual(together.promptTokens, alone.promptTokens, 'prompt tokens, counted once')
        completionTokens += alone.completionTokens
      }
      assertEqual(together.answers.length, 3, 'number of answers')
      assertEqual(together.completionTokens, completionTokens, 'completion tokens, added up')
    })
  } else refuses('several answers', { n: { ...greedy, n: 2 } })

  if (!supports.includes('grammar')) {
    refuses('constraints and tools', {
      constraint: { ...greedy, constraint: { type: 'json' } },
      tools: { ...greedy, tools: [weather] }
    })
    return
  }

  const schema = {
    type: 'object',
    properties: { ok: { type: 'boolean' }, kind: { enum: ['a', 'ü', 3] } },
    required: ['ok', 'kind'],
    additionalProperties: false
  }
  withModel('holds an answer to a schema', async (model) => {
    for (const temperature of [0, 1.5]) {
      const constraint = { type: 'json-schema', schema, strict: true } as const
      const asked = { ...question, temperature, seed: 1, maxTokens: 64, constraint }
      const [answer] = (await answersOf(model.chat(asked))).answers
      assertEqual(answer?.reason, 'stop', 'reason')
      const value = JSON.parse(answer?.text ?? '') as Record<string, unknown>
      assertEqual(Object.keys(value).toSorted(), ['kind', 'ok'], 'properties')
      assert(typeof value['ok'] === 'boolean' && ['a', 'ü', 3].includes(value['kind'] as string), 'values')
    }
  })

  withModel('calls a function where it has to, and takes its result', async (model) => {
    const asked: ChatRequest = { ...question, temperature: 1, seed: 2, maxTokens: 200 }
    const { answers } = await answersOf(
      model.chat({ ...asked, tools: [weather], toolChoice: 'required', parallelToolCalls: false })
    )
    const [answer] = answers
    assertEqual(answer?.reason, 'tool_calls', 'reason')
    assertEqual(answer?.text, '', 'text beside the call')
    const [call] = answer?.calls ?? []
    assert(call !== undefined, 'there is no call')
    if (call === undefined) return
    assertEqual(call.name, weather.name, 'name')
    const value = JSON.parse(call.arguments) as Record<string, unknown>
    assertEqual(Object.keys(value).toSorted(), ['days', 'place'], 'arguments')
    assert(typeof value['place'] === 'string' && [1, 2, 3].includes(value['days'] as number), 'their values')
    const turns: ChatMessage[] = [
      ...question.messages,
      { role: 'assistant', content: '', toolCalls: [call] },
      { role: 'tool', content: 'Rain.', toolCallId: call.id }
    ]
    const next = await answersOf(model.chat({ ...asked, maxTokens: 4, messages: turns }))
    assert(next.promptTokens > 0, 'the next turn has no prompt')
    const stray = turns.filter(({ role }) => role !== 'assistant')
    await assertRejectsWith(
      answersOf(model.chat({ ...asked, messages: stray })),
      'ERR_MODEL_INVALID_REQUEST',
      'a result nobody asked for'
    )
  })
}
