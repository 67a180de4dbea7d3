import { createOpenAICompatible } from '@ai-sdk/openai-compatible'
import { embedMany, generateText, isStepCount, Output, streamText, tool } from 'ai'
import { expect, test } from 'vitest'
import { z } from 'zod'
import type { Live } from './openai-client-live.ts'

const prompt = 'What is a peer-to-peer network?'
const weather = z.object({ city: z.string().max(16), unit: z.enum(['celsius', 'fahrenheit']) })

/** The AI SDK with its provider for servers that speak as OpenAI does. */
export function aiSdkTests(live: Live): void {
  const provider = (): ReturnType<typeof createOpenAICompatible<string, string, string, string>> => {
    const { baseURL, fetch } = live()
    return createOpenAICompatible({
      name: 'kwaai',
      baseURL,
      fetch,
      includeUsage: true,
      supportsStructuredOutputs: true
    })
  }
  const chat = (): ReturnType<ReturnType<typeof provider>['chatModel']> => provider().chatModel(live().model)

  test('text, and the same text as a stream', async () => {
    const request = { model: chat(), prompt, temperature: 0, maxOutputTokens: 16, maxRetries: 0 }
    const whole = await generateText(request)
    expect(whole.text.length).toBeGreaterThan(0)
    expect(whole.finishReason).toBe('length')
    expect(whole.usage.outputTokens).toBe(16)
    const stream = streamText(request)
    let text = ''
    for await (const delta of stream.textStream) text += delta
    expect(text).toBe(whole.text)
    expect((await stream.usage).outputTokens).toBe(16)
    expect(await stream.finishReason).toBe('length')
    const legacy = await generateText({
      model: provider().completionModel(live().model),
      prompt: 'Once upon a',
      temperature: 0,
      maxOutputTokens: 4,
      maxRetries: 0
    })
    expect(legacy.usage.outputTokens).toBe(4)
  })

  test('an object of the shape that was asked for, whole and as it comes', async () => {
    const shape = z.object({
      kind: z.enum(['central', 'peer']),
      peers: z.int().min(0).max(9),
      name: z.string().max(12)
    })
    const request = {
      model: chat(),
      prompt,
      temperature: 0,
      maxOutputTokens: 100,
      maxRetries: 0,
      output: Output.object({ schema: shape })
    }
    const { output } = await generateText(request)
    shape.parse(output)
    const stream = streamText(request)
    const parts: unknown[] = []
    for await (const part of stream.partialOutputStream) parts.push(part)
    expect(await stream.output).toEqual(output)
    expect(parts.at(-1)).toEqual(output)
  })

  test('a tool is called, run and told', async () => {
    const asked: unknown[] = []
    const result = await generateText({
      model: chat(),
      prompt: 'What is the weather in Paris?',
      temperature: 0,
      maxOutputTokens: 80,
      maxRetries: 0,
      tools: {
        getWeather: tool({
          description: 'The weather of a city',
          inputSchema: weather,
          execute: async (input) => {
            asked.push(input)
            return { degrees: 21 }
          }
        })
      },
      toolChoice: 'required',
      stopWhen: isStepCount(2)
    })
    expect(asked.length).toBeGreaterThan(0)
    for (const input of asked) weather.parse(input)
    expect(result.steps[0]?.finishReason).toBe('tool-calls')
    expect(result.steps[0]?.toolCalls[0]?.toolName).toBe('getWeather')
  })

  test('vectors', async () => {
    const { embeddings, usage } = await embedMany({
      model: provider().embeddingModel(live().embedder),
      values: ['A cat.', 'A dog.'],
      maxRetries: 0
    })
    expect(embeddings.map((vector) => vector.length)).toEqual([384, 384])
    expect(usage.tokens).toBeGreaterThan(4)
  })

  test('an error is an error, in a stream too', async () => {
    const request = { model: chat(), prompt, temperature: 3, maxRetries: 0 }
    await expect(generateText(request)).rejects.toMatchObject({ statusCode: 400 })
    const errors: unknown[] = []
    const stream = streamText({ ...request, onError: ({ error }) => void errors.push(error) })
    await stream.consumeStream()
    expect(errors).toEqual([expect.objectContaining({ statusCode: 400 })])
  })
}
