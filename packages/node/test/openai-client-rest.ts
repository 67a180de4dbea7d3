import OpenAI from 'openai'
import { zodTextFormat } from 'openai/helpers/zod'
import { createApi } from '@kwaai/api'
import { serveApi } from '@kwaai/api/node'
import type { LanguageModel } from '@kwaai/interface'
import { expect, test } from 'vitest'
import { z } from 'zod'
import type { Live } from './openai-client-live.ts'

const long: OpenAI.ChatCompletionMessageParam[] = [{ role: 'user', content: 'Count from one to a thousand.' }]

/** Aborts and retries: what a client does when it has had enough, and when the server has. */
export function patienceTests(live: Live, model: () => LanguageModel): void {
  test('an abort frees the session at every server within a second', async () => {
    const { client, model: id, sessions, rows } = live()
    const before = await sessions()
    const stream = await client.chat.completions.create({ model: id, messages: long, stream: true })
    let count = 0
    let duringIt = 0
    for await (const _ of stream) {
      if (++count !== 4) continue
      duringIt = await sessions()
      stream.controller.abort()
      break
    }
    expect(duringIt).toBeGreaterThan(0)
    const abortedAt = performance.now()
    await expect.poll(sessions, { timeout: 5_000, interval: 20 }).toBeLessThanOrEqual(before)
    expect(performance.now() - abortedAt).toBeLessThan(1_000)
    // Nobody computes any more.
    const still = await rows()
    await client.models.list()
    expect(await rows()).toBe(still)

    const controller = new AbortController()
    const pending = client.chat.completions.create(
      { model: id, messages: long },
      { signal: controller.signal }
    )
    await expect.poll(rows, { timeout: 5_000, interval: 20 }).toBeGreaterThan(still)
    controller.abort()
    await expect(pending).rejects.toBeInstanceOf(OpenAI.APIUserAbortError)
    await expect.poll(sessions, { timeout: 1_000, interval: 20 }).toBeLessThanOrEqual(before)
  })

  test('a client that is told to wait waits as long as retry-after-ms says, and comes again', async () => {
    const { model: id, fetch } = live()
    const api = createApi({ maxGenerations: 1, retryAfterMs: 30 }, { models: [model()] })
    await using server = await serveApi(api, { port: 0 })
    const statuses: number[] = []
    const first = new AbortController()
    const counting: typeof fetch = async (input, init) => {
      const response = await fetch(input, init)
      statuses.push(response.status)
      if (response.status !== 429) return response
      expect(response.headers.get('retry-after-ms')).toBe('30')
      expect(response.headers.get('retry-after')).toBe('1')
      // The third time there is room.
      if (statuses.filter((status) => status === 429).length === 3) first.abort()
      return response
    }
    const client = new OpenAI({
      apiKey: 'none',
      baseURL: `${server.url}/v1`,
      fetch: counting,
      maxRetries: 50
    })
    const held = await client.chat.completions.create(
      { model: id, messages: long, stream: true },
      { signal: first.signal }
    )
    await held[Symbol.asyncIterator]().next()
    const answer = await client.chat.completions.create({ model: id, messages: long, max_tokens: 2 })
    expect(answer.usage?.completion_tokens).toBe(2)
    expect(statuses[0]).toBe(200)
    expect(statuses.slice(1, 4)).toEqual([429, 429, 429])
    expect(statuses.at(-1)).toBe(200)
    await expect(
      new OpenAI({ apiKey: 'none', baseURL: `${server.url}/v1`, maxRetries: 0 }).chat.completions.create({
        model: id,
        messages: long,
        max_tokens: 1,
        temperature: 5
      })
    ).rejects.toBeInstanceOf(OpenAI.BadRequestError)
  })
}

/** Embeddings with the real model. */
export function embeddingTests(live: Live): void {
  test('vectors of length one, near where the meaning is; numbers and base64 are the same', async () => {
    const { client, embedder } = live()
    const input = ['A cat sits on the mat.', 'A kitten rests on a rug.', 'The stock market fell sharply.']
    // The client asks for base64 by itself, and for numbers where it is told to.
    const coded = await client.embeddings.create({ model: embedder, input })
    const plain = await client.embeddings.create({ model: embedder, input, encoding_format: 'float' })
    expect(coded.data.map(({ index }) => index)).toEqual([0, 1, 2])
    const [cat, kitten, market] = coded.data.map(({ embedding }) => embedding) as [
      number[],
      number[],
      number[]
    ]
    const dot = (a: number[], b: number[]): number => a.reduce((sum, x, i) => sum + x * (b[i] as number), 0)
    for (const vector of [cat, kitten, market]) {
      expect(vector).toHaveLength(384)
      expect(Math.abs(Math.sqrt(dot(vector, vector)) - 1)).toBeLessThan(1e-5)
    }
    expect(dot(cat, kitten)).toBeGreaterThan(dot(cat, market) + 0.3)
    for (const [i, { embedding }] of plain.data.entries())
      for (const [k, x] of embedding.entries())
        expect(x).toBeCloseTo(coded.data[i]?.embedding[k] as number, 6)
    expect(coded.usage.total_tokens).toBeGreaterThan(15)
    await expect(
      client.embeddings.create({ model: embedder, input: 'word '.repeat(2_000) })
    ).rejects.toMatchObject({
      status: 400
    })
  })
}

/** The Responses API: answers that are kept. */
export function responseTests(live: Live): void {
  test('an answer is made, kept, gone on from and deleted', async () => {
    const { client, model, token } = live()
    const first = await client.responses.create({
      model,
      instructions: 'Be brief.',
      input: 'What is a peer?',
      temperature: 0,
      max_output_tokens: 16
    })
    expect(first.output_text.length).toBeGreaterThan(0)
    expect(first.status).toBe('incomplete')
    expect(first.incomplete_details).toEqual({ reason: 'max_output_tokens' })
    const kept = await client.responses.retrieve(first.id)
    expect(kept.output_text ?? kept.output).toEqual(first.output_text ?? first.output)
    const second = await client.responses.create({
      model,
      previous_response_id: first.id,
      input: 'Go on.',
      temperature: 0,
      max_output_tokens: 16
    })
    expect(second.previous_response_id).toBe(first.id)
    // What was said before is part of what is asked now.
    expect(second.usage?.input_tokens).toBeGreaterThan((first.usage?.input_tokens ?? 0) + 16)
    const items: unknown[] = []
    for await (const item of client.responses.inputItems.list(first.id)) items.push(item)
    expect(items.length).toBeGreaterThan(0)
    // Whatever changes what is kept needs the token that only this machine's user can read.
    await expect(client.responses.delete(first.id)).rejects.toBeInstanceOf(OpenAI.AuthenticationError)
    await client.withOptions({ apiKey: await token() }).responses.delete(first.id)
    await expect(client.responses.retrieve(first.id)).rejects.toBeInstanceOf(OpenAI.NotFoundError)
  })

  test('a stream of events gives what the answer in one piece gives', async () => {
    const { client, model } = live()
    const request = { model, input: 'What is a peer?', temperature: 0, max_output_tokens: 12, store: false }
    const whole = await client.responses.create(request)
    let text = ''
    const types: string[] = []
    for await (const event of await client.responses.create({ ...request, stream: true })) {
      types.push(event.type)
      if (event.type === 'response.output_text.delta') text += event.delta
    }
    expect(text).toBe(whole.output_text)
    expect(types[0]).toBe('response.created')
    expect(types.at(-1)).toMatch(/^response\.(completed|incomplete)$/)
    const final = await client.responses.stream(request).finalResponse()
    expect(final.output_text).toBe(whole.output_text)
    await expect(client.responses.retrieve(whole.id)).rejects.toBeInstanceOf(OpenAI.NotFoundError)
  })

  test('functions and formats', async () => {
    const { client, model } = live()
    const shape = z.object({ city: z.string().max(16), degrees: z.int().min(-50).max(60) })
    const parsed = await client.responses.parse({
      model,
      input: 'Paris has 21 degrees.',
      temperature: 0,
      max_output_tokens: 60,
      text: { format: zodTextFormat(shape, 'weather') }
    })
    shape.parse(parsed.output_parsed)
    const called = await client.responses.create({
      model,
      input: 'What is the weather in Paris?',
      temperature: 0,
      max_output_tokens: 80,
      tools: [
        {
          type: 'function',
          name: 'get_weather',
          description: 'The weather',
          strict: true,
          parameters: {
            type: 'object',
            required: ['city'],
            additionalProperties: false,
            properties: { city: { type: 'string', maxLength: 16 } }
          }
        }
      ],
      tool_choice: 'required'
    })
    const call = called.output.find(({ type }) => type === 'function_call')
    if (call?.type !== 'function_call') throw new Error('There is no call')
    expect(Object.keys(JSON.parse(call.arguments))).toEqual(['city'])
    const answered = await client.responses.create({
      model,
      temperature: 0,
      max_output_tokens: 8,
      previous_response_id: called.id,
      input: [{ type: 'function_call_output', call_id: call.call_id, output: '{"degrees":21}' }]
    })
    expect(answered.output_text.length).toBeGreaterThan(0)
  })
}
