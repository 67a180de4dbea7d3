/** Schemas and calls of functions on the default model, whose template knows no tools. */
import { Ajv2020 } from 'ajv/dist/2020.js'
import type { ChatMessage, ToolDefinition } from '@kwaai/interface'
import { createSeededRandom } from '@kwaai/testing'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createTextModel, localBlocks, type TextModel } from '../src/generate/index.ts'
import { createGgmlBackend } from '../src/ggml/index.ts'
import { fileSource, readGguf } from '../src/gguf/index.ts'
import { createGrammarEngine } from '../src/grammar/index.ts'
import { answersOf, type Answer } from './text-model-kit.ts'

const path = process.env['KWAAI_MODEL_PATH'] ?? ''
const opened: { [Symbol.asyncDispose](): PromiseLike<void> }[] = []
let source: Awaited<ReturnType<typeof fileSource>>
let model: TextModel
beforeAll(async () => {
  source = await fileSource(path)
  const file = await readGguf(source)
  const backend = createGgmlBackend()
  opened.push(backend)
  const head = await backend.loadHead(source)
  const runner = await backend.loadBlocks(source, { from: 0, to: head.shape.blockCount })
  model = createTextModel(
    { id: 'smollm2' },
    { file, head, blocks: localBlocks(runner), grammar: createGrammarEngine(), random: createSeededRandom(1) }
  )
  opened.push(head, runner, model)
})
afterAll(async () => {
  for (const one of opened.toReversed()) await one[Symbol.asyncDispose]()
  await source.close()
})

const ajv = new Ajv2020()
const weather: ToolDefinition = {
  name: 'get_weather',
  description: 'Tells the weather at a place.',
  strict: true,
  parameters: {
    type: 'object',
    properties: {
      place: { type: 'string', minLength: 1, maxLength: 16 },
      unit: { enum: ['°C', '°F'] },
      days: { type: 'array', items: { type: 'integer', minimum: 1, maximum: 7 }, minItems: 1, maxItems: 3 }
    },
    required: ['place', 'unit', 'days'],
    additionalProperties: false
  }
}
const now: ToolDefinition = { name: 'now' }
const tools = [weather, now]

/** Each call names a tool and follows its schema. */
function checkCalls({ calls }: Answer): void {
  for (const { name, arguments: text } of calls) {
    const tool = tools.find((one) => one.name === name)
    expect(tool).toBeDefined()
    const value: unknown = JSON.parse(text)
    if (tool === now) expect(value).toEqual({})
    else expect([ajv.validate(weather.parameters as object, value), value]).toEqual([true, value])
  }
}

test('required calls follow their schemas at every temperature, and their results go back', async () => {
  const messages: ChatMessage[] = [{ role: 'user', content: 'What is the weather in Köln on the 2nd day?' }]
  const asked = { messages, tools, toolChoice: 'required', maxTokens: 120 } as const
  const { answers } = await answersOf(
    model.chat({ ...asked, temperature: 1.5, seed: 3, n: 2, parallelToolCalls: false })
  )
  for (const answer of answers) {
    expect(answer).toMatchObject({ text: '', reason: 'tool_calls' })
    expect(answer.calls).toHaveLength(1)
    checkCalls(answer)
  }
  const named = await answersOf(
    model.chat({ ...asked, temperature: 0, toolChoice: { name: 'get_weather' }, caller: 'ada' })
  )
  const [answer] = named.answers as [Answer]
  expect(answer).toMatchObject({ text: '', reason: 'tool_calls', calls: [{ name: 'get_weather' }] })
  checkCalls(answer)

  const [call] = answer.calls as [{ id: string; name: string; arguments: string }]
  const turns: ChatMessage[] = [
    ...messages,
    { role: 'assistant', content: '', toolCalls: [call] },
    { role: 'tool', content: '{"sky":"clear","high":21}', toolCallId: call.id }
  ]
  const next = await answersOf(
    model.chat({ messages: turns, tools, temperature: 0, maxTokens: 6, caller: 'ada' })
  )
  // The turn that was kept is the beginning of this one.
  expect(next.usage?.cachedTokens).toBeGreaterThan(100)
  checkCalls(next.answers[0] as Answer)
})

test('text and calls mix as the model sees fit', async () => {
  const messages: ChatMessage[] = [{ role: 'user', content: 'What time is it? Call a function to find out.' }]
  const asked = { messages, tools, maxTokens: 24, seed: 11, temperature: 1, logprobs: { top: 1 } }
  const { answers } = await answersOf(model.chat({ ...asked, n: 2 }))
  for (const answer of answers) {
    expect(answer.text).not.toContain('<tool_call>')
    expect(Buffer.concat(answer.logprobs.map(({ bytes }) => bytes)).toString()).toBe(answer.text)
    if (answer.reason !== 'length') checkCalls(answer)
  }
})

test('a schema holds at temperature 1.5, its answer alone', async () => {
  const constraint = { type: 'json-schema', schema: weather.parameters, strict: true } as const
  const messages: ChatMessage[] = [{ role: 'user', content: 'Say anything.' }]
  const { answers } = await answersOf(
    model.chat({
      messages,
      constraint,
      temperature: 1.5,
      seed: 1,
      n: 3,
      maxTokens: 120,
      logprobs: { top: 0 }
    })
  )
  for (const { text, reason, logprobs } of answers) {
    expect(reason).toBe('stop')
    const value: unknown = JSON.parse(text)
    expect([ajv.validate(weather.parameters as object, value), value]).toEqual([true, value])
    expect(Buffer.concat(logprobs.map(({ bytes }) => bytes)).toString()).toBe(text)
  }
})
