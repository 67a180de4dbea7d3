import { request as httpRequest, type IncomingMessage } from 'node:http'
import { createApi, type Api } from '@kwaai/api'
import { serveApi } from '@kwaai/api/node'
import { createSeededRandom } from '@kwaai/testing'
import { expect, test } from 'vitest'
import { createFakeModel, say } from './support/fake-model.ts'
import { chat } from './support/requests.ts'

const streams = 100
const indices = Array.from({ length: streams }, (_, index) => index)

/** An API whose model numbers its pieces, and how many it has made for each request. */
function numbered(total: number, filler: string): { api: Api; made: number[] } {
  const made = indices.map(() => 0)
  const pieces = Array.from({ length: total }, (_, i) => `${i} ${filler}`)
  const model = createFakeModel(async function* (request, signal) {
    const index = Number(request.messages[0]?.content)
    for await (const event of say(pieces)(request, signal)) {
      if (event.type === 'text') made[index] = (made[index] ?? 0) + 1
      yield event
    }
  })
  return { api: createApi({ maxGenerations: streams }, { models: [model] }), made }
}

const bodyOf = (index: number): Record<string, unknown> => ({
  stream: true,
  messages: [{ role: 'user', content: String(index) }]
})
const numbersIn = (text: string): number[] =>
  [...text.matchAll(/"content":"(\d+) /g)].map(([, number]) => Number(number))
const upTo = (total: number): number[] => Array.from({ length: total }, (_, i) => i)

test('in process: no model makes a piece before its reader asks, whoever reads when', async () => {
  const total = 200
  const { api, made } = numbered(total, '')
  const random = createSeededRandom('slow')
  const decoder = new TextDecoder()
  const readers = await Promise.all(
    indices.map(async (index) => {
      const { body } = await api.fetch(chat(bodyOf(index)))
      return {
        index,
        reader: (body as ReadableStream<Uint8Array<ArrayBuffer>>).getReader(),
        text: '',
        pieces: 0
      }
    })
  )
  let ahead = 0
  const open = new Set(readers)
  while (open.size > 0) {
    // Some hurry, some are hardly ever there: those at the front of the list are asked more often.
    const all = [...open]
    const one = all[Math.floor(all.length * random.next() ** 3)] as (typeof readers)[number]
    const { done, value } = await one.reader.read()
    if (done) {
      open.delete(one)
      continue
    }
    const text = decoder.decode(value)
    one.text += text
    one.pieces += numbersIn(text).length
    for (const { index, pieces } of readers) ahead = Math.max(ahead, (made[index] as number) - pieces)
  }
  expect(ahead).toBe(0)
  for (const { text } of readers) {
    expect(numbersIn(text)).toEqual(upTo(total))
    expect(text.endsWith('data: [DONE]\n\n')).toBe(true)
  }
})

test('over HTTP: a hundred readers that take nothing cost what the sockets hold, and lose nothing', async () => {
  const total = 600
  const filler = 'x'.repeat(16_000)
  const { api, made } = numbered(total, filler)
  await using server = await serveApi(api, { port: 0, closeTimeoutMs: 1 })
  const before = held()
  const responses = await Promise.all(indices.map((index) => open(server.port, bodyOf(index))))
  await standstill(() => made.reduce((sum, count) => sum + count, 0))

  // Nobody has read: what is not in the system's buffers has not been made.
  for (const count of made) {
    expect(count).toBeGreaterThan(0)
    expect(count).toBeLessThan(total)
  }
  const whole = streams * total * filler.length
  expect(held() - before).toBeLessThan(whole / 10)

  // Some read on, one piece here, one piece there; the others go away.
  for (const response of responses.slice(4)) response.destroy()
  const patient = responses.slice(0, 4).map((response) => ({
    chunks: response.setEncoding('utf8')[Symbol.asyncIterator]() as AsyncIterator<string>,
    text: '',
    ended: false
  }))
  while (patient.some(({ ended }) => !ended))
    for (const one of patient) {
      const { done, value } = await one.chunks.next()
      if (done === true) one.ended = true
      else one.text += value
    }
  for (const { text } of patient) {
    expect(numbersIn(text)).toEqual(upTo(total))
    expect(text.endsWith('data: [DONE]\n\n')).toBe(true)
  }
  // Nobody computes for those who left.
  for (const count of made.slice(4)) expect(count).toBeLessThan(total)
})

function open(port: number, body: Record<string, unknown>): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const sent = httpRequest({
      port,
      host: '127.0.0.1',
      path: '/v1/chat/completions',
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      agent: false
    })
    sent.on('response', resolve).on('error', reject)
    sent.end(JSON.stringify({ model: 'fake', ...body }))
  })
}

/** Bytes this process holds, what is only waiting for the collector included. */
function held(): number {
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}

/** Waits until a count has not changed for two hundred turns of the event loop. */
async function standstill(count: () => number): Promise<void> {
  for (let still = 0, last = -1; still < 200;) {
    await new Promise((resolve) => setImmediate(resolve))
    still = count() === last ? still + 1 : 0
    last = count()
  }
}
