import OpenAI from 'openai'
import { LengthFinishReasonError } from 'openai/error'
import { zodFunction, zodResponseFormat } from 'openai/helpers/zod'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { generateStrictly } from './strict-schema.ts'
import type { Live } from './openai-client-live.ts'

const question: OpenAI.ChatCompletionMessageParam[] = [
  { role: 'user', content: 'What is a peer-to-peer network?' }
]
// Every text ends: a model of 135 million parameters would write on for ever.
const weather = z.object({ city: z.string().max(16), unit: z.enum(['celsius', 'fahrenheit']) })

/** Chats, by every means the official client has for them. */
export function chatTests(live: Live): void {
  test('lists its models, the chat model at the head', async () => {
    const { client, model } = live()
    const ids: string[] = []
    for await (const { id } of client.models.list()) ids.push(id)
    expect(ids[0]).toBe(model)
    expect((await client.models.retrieve(model)).owned_by).toBe('kwaai')
    await expect(client.models.retrieve('nobody')).rejects.toBeInstanceOf(OpenAI.NotFoundError)
  })

  test('answers; a stream says the same', async () => {
    const { client, model } = live()
    const request = { model, messages: question, temperature: 0, max_tokens: 24 }
    const { data: whole, response } = await client.chat.completions.create(request).withResponse()
    expect(whole.choices[0]?.finish_reason).toBe('length')
    expect(whole.usage?.completion_tokens).toBe(24)
    expect(response.headers.get('x-kwaai-chain')).toMatch(/0-10.*10-20.*20-30/)
    let text = ''
    const reasons: string[] = []
    let usage: unknown
    for await (const chunk of await client.chat.completions.create({
      ...request,
      stream: true,
      stream_options: { include_usage: true }
    })) {
      text += chunk.choices[0]?.delta.content ?? ''
      if (chunk.choices[0]?.finish_reason) reasons.push(chunk.choices[0].finish_reason)
      usage = chunk.usage ?? usage
    }
    expect(text).toBe(whole.choices[0]?.message.content)
    expect(reasons).toEqual(['length'])
    expect(usage).toMatchObject({ completion_tokens: 24, prompt_tokens: whole.usage?.prompt_tokens })
  })

  test('several answers, seeded, with the probabilities of their tokens', async () => {
    const { client, model } = live()
    const ask = (): Promise<OpenAI.ChatCompletion> =>
      client.chat.completions.create({
        model,
        messages: question,
        max_tokens: 8,
        temperature: 1,
        seed: 5,
        n: 2,
        logprobs: true,
        top_logprobs: 3
      })
    const [first, second] = [await ask(), await ask()]
    expect(first.choices.map(({ index }) => index)).toEqual([0, 1])
    expect(second.choices.map(({ message }) => message.content)).toEqual(
      first.choices.map(({ message }) => message.content)
    )
    expect(second.system_fingerprint).toBe(first.system_fingerprint)
    for (const { logprobs, message } of first.choices) {
      const tokens = logprobs?.content ?? []
      const bytes = tokens.flatMap((token) => token.bytes ?? [])
      expect(new TextDecoder().decode(new Uint8Array(bytes))).toBe(message.content)
      for (const { logprob, top_logprobs: top } of tokens) {
        expect(logprob).toBeLessThanOrEqual(0)
        expect(top).toHaveLength(3)
      }
    }
  })

  test('a stop text never shows; a biased token always does; legacy completions', async () => {
    const { client, model } = live()
    const request = { model, messages: question, temperature: 0, max_tokens: 24 }
    const free = (await client.chat.completions.create(request)).choices[0]?.message.content ?? ''
    const stop = free.split(' ')[3] as string
    const cut = (await client.chat.completions.create({ ...request, stop: [stop] })).choices[0]
    expect(cut?.finish_reason).toBe('stop')
    expect(cut?.message.content).toBe(free.slice(0, free.indexOf(stop)))
    const forced = await client.chat.completions.create({
      ...request,
      max_tokens: 3,
      logit_bias: { '42': 100 }
    })
    expect(new Set(forced.choices[0]?.message.content).size).toBe(1)
    const text = await client.completions.create({
      model,
      prompt: 'Once upon a',
      temperature: 0,
      max_tokens: 4
    })
    expect(text.choices[0]?.text).toMatch(/^ time/)
    let streamed = ''
    for await (const chunk of await client.completions.create({
      model,
      prompt: 'Once upon a',
      temperature: 0,
      max_tokens: 4,
      stream: true
    }))
      streamed += chunk.choices[0]?.text ?? ''
    expect(streamed).toBe(text.choices[0]?.text)
  })

  test('the streaming helper collects what comes', async () => {
    const { client, model } = live()
    const helper = client.chat.completions.stream({
      model,
      messages: question,
      temperature: 0,
      max_tokens: 16,
      stream_options: { include_usage: true }
    })
    let text = ''
    helper.on('content', (delta) => (text += delta))
    expect(await helper.finalContent()).toBe(text)
    expect((await helper.totalUsage()).completion_tokens).toBe(16)
  })

  test('tools: a call that is required comes, with arguments that are valid', async () => {
    const { client, model } = live()
    const tools = [
      zodFunction({ name: 'get_weather', description: 'The weather of a city', parameters: weather })
    ]
    const request = {
      model,
      temperature: 0,
      max_tokens: 80,
      tools,
      tool_choice: 'required' as const,
      messages: [{ role: 'user' as const, content: 'What is the weather in Paris?' }]
    }
    const whole = await client.chat.completions.create(request)
    expect(whole.choices[0]?.finish_reason).toBe('tool_calls')
    const call = whole.choices[0]?.message.tool_calls?.[0]
    if (call?.type !== 'function') throw new Error('There is no call')
    expect(call.function.name).toBe('get_weather')
    weather.parse(JSON.parse(call.function.arguments))

    const parsed = await client.chat.completions.parse(request)
    const [first] = parsed.choices[0]?.message.tool_calls ?? []
    if (first?.type !== 'function') throw new Error('There is no call')
    expect(first.function.parsed_arguments).toEqual(JSON.parse(call.function.arguments))

    const streamed = await client.chat.completions.stream(request).finalChatCompletion()
    expect(streamed.choices[0]?.message.tool_calls?.[0]).toMatchObject({
      type: 'function',
      function: { name: 'get_weather', arguments: call.function.arguments }
    })

    const none = await client.chat.completions.create({ ...request, tool_choice: 'none', max_tokens: 8 })
    expect(none.choices[0]?.message.tool_calls).toBeUndefined()
  })

  test('tools: what was called is run, its result told, and the model answers', async () => {
    const { client, model } = live()
    const asked: unknown[] = []
    const runner = client.chat.completions.runTools(
      {
        model,
        temperature: 0,
        max_tokens: 80,
        tool_choice: { type: 'function', function: { name: 'get_weather' } },
        messages: [{ role: 'user', content: 'What is the weather in Paris?' }],
        tools: [
          zodFunction({
            name: 'get_weather',
            description: 'The weather of a city',
            parameters: weather,
            function: (args) => {
              asked.push(args)
              return { degrees: 21 }
            }
          })
        ]
      },
      { maxChatCompletions: 2 }
    )
    await runner.done()
    expect(asked.length).toBeGreaterThan(0)
    for (const args of asked) weather.parse(args)
    expect(runner.messages.map(({ role }) => role).slice(0, 3)).toEqual(['user', 'assistant', 'tool'])
  })

  test('parses what it asked for with zod', async () => {
    const { client, model } = live()
    const shape = z.object({
      name: z.string().max(20),
      kind: z.enum(['centralised', 'decentralised']),
      peers: z.int().min(0).max(99),
      tags: z.array(z.string().max(10)).max(2)
    })
    const request = {
      model,
      messages: question,
      temperature: 0,
      max_tokens: 120,
      response_format: zodResponseFormat(shape, 'network')
    }
    const answer = await client.chat.completions.parse(request)
    expect(answer.choices[0]?.finish_reason).toBe('stop')
    const value = shape.parse(answer.choices[0]?.message.parsed)
    const streamed = await client.chat.completions.stream(request).finalChatCompletion()
    expect(streamed.choices[0]?.message.parsed).toEqual(value)
    // Cut off in the middle it is said to be so, and taken for nothing whole.
    await expect(client.chat.completions.parse({ ...request, max_tokens: 5 })).rejects.toBeInstanceOf(
      LengthFinishReasonError
    )
    const json = await client.chat.completions.create({
      model,
      messages: question,
      temperature: 1.5,
      seed: 3,
      max_tokens: 64,
      response_format: { type: 'json_object' }
    })
    if (json.choices[0]?.finish_reason === 'stop') JSON.parse(json.choices[0].message.content ?? '')
  })

  test('eight objects under strict schemas of their own, as wild as they come', async () => {
    const { client, model } = live()
    const { finished, cut, invalid } = await generateStrictly(client, model, 8, 'eight')
    expect(invalid).toEqual([])
    expect(finished + cut).toBe(8)
    expect(cut).toBeLessThanOrEqual(1)
  })

  test('errors are what the client knows', async () => {
    const { client, model } = live()
    const ask = (more: object): Promise<unknown> =>
      client.chat.completions.create({ model, messages: question, max_tokens: 1, ...more })
    await expect(ask({ temperature: 3 })).rejects.toMatchObject({ status: 400, param: 'temperature' })
    await expect(ask({ model: 'nobody' })).rejects.toMatchObject({ status: 404, code: 'model_not_found' })
    await expect(ask({ audio: { voice: 'x', format: 'mp3' } })).rejects.toMatchObject({
      status: 400,
      param: 'audio'
    })
    await expect(
      ask({ messages: [{ role: 'user', content: 'word '.repeat(20_000) }] })
    ).rejects.toMatchObject({ status: 400, code: 'context_length_exceeded' })
    await expect(ask({ kwaai: { region: 'nowhere' } })).rejects.toMatchObject({ status: 503 })
  })
}
