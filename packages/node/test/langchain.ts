import { HumanMessage, ToolMessage, type UsageMetadata } from '@langchain/core/messages'
import { tool } from '@langchain/core/tools'
import { ChatOpenAI, OpenAIEmbeddings } from '@langchain/openai'
import { expect, test } from 'vitest'
import { z } from 'zod'
import type { Live } from './openai-client-live.ts'

const question = 'What is a peer-to-peer network?'
const weather = z.object({ city: z.string().max(16), unit: z.enum(['celsius', 'fahrenheit']) })

/** LangChain's own client of OpenAI, pointed at the chain. */
export function langchainTests(live: Live): void {
  const chat = (maxTokens: number): ChatOpenAI => {
    const { model, baseURL, fetch } = live()
    return new ChatOpenAI({
      model,
      apiKey: 'none',
      temperature: 0,
      maxTokens,
      maxRetries: 0,
      configuration: { baseURL, fetch }
    })
  }

  test('an answer, and the same as a stream', async () => {
    const model = chat(16)
    const whole = await model.invoke(question)
    expect((whole.usage_metadata as UsageMetadata | undefined)?.output_tokens).toBe(16)
    expect(whole.response_metadata['finish_reason']).toBe('length')
    let text = ''
    let tokens = 0
    for await (const chunk of await model.stream(question)) {
      text += chunk.text
      tokens += (chunk.usage_metadata as UsageMetadata | undefined)?.output_tokens ?? 0
    }
    expect(text).toBe(whole.text)
    expect(tokens).toBe(16)
    const all = await model.batch([question, 'What is a server?'])
    expect(all[0]?.text).toBe(whole.text)
  })

  test('a tool that is bound is called, and its result told', async () => {
    const getWeather = tool(() => '21 degrees', {
      name: 'get_weather',
      description: 'The weather of a city',
      schema: weather
    })
    const asking = chat(80).bindTools([getWeather], { tool_choice: 'required' })
    const call = (await asking.invoke('What is the weather in Paris?')).tool_calls?.[0]
    expect(call?.name).toBe('get_weather')
    weather.parse(call?.args)
    const first = new HumanMessage('What is the weather in Paris?')
    const said = await asking.invoke([first])
    const results = (said.tool_calls ?? []).map(
      ({ id }) => new ToolMessage({ content: '21', tool_call_id: id ?? '' })
    )
    const answer = await chat(8)
      .bindTools([getWeather], { tool_choice: 'none' })
      .invoke([first, said, ...results])
    expect(answer.text.length).toBeGreaterThan(0)
  })

  test('structured output, by schema and by function', async () => {
    const shape = z.object({ kind: z.enum(['central', 'peer']), name: z.string().max(12) })
    for (const method of ['jsonSchema', 'functionCalling'] as const) {
      const value = await chat(100).withStructuredOutput(shape, { method, name: 'network' }).invoke(question)
      shape.parse(value)
    }
  })

  test('vectors', async () => {
    const { embedder, baseURL, fetch } = live()
    const embeddings = new OpenAIEmbeddings({
      model: embedder,
      apiKey: 'none',
      maxRetries: 0,
      configuration: { baseURL, fetch }
    })
    const [one, two] = await embeddings.embedDocuments(['A cat.', 'A dog.'])
    expect([one?.length, two?.length]).toEqual([384, 384])
    expect(await embeddings.embedQuery('A cat.')).toEqual(one)
  })
}
