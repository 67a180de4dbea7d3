import { Agent, request } from 'node:http'
import { createApi } from '@kwaai/api'
import { bodyOf, model } from './model.ts'

const body = bodyOf(64, true)
const headers = { 'content-type': 'application/json' }

/** Milliseconds until the model, asked directly, gives its first text. */
export async function directly(): Promise<number> {
  const startedAt = performance.now()
  for await (const event of model.chat({ messages: [{ role: 'user', content: 'x' }], maxTokens: 64 }))
    if (event.type === 'text') return performance.now() - startedAt
  throw new Error('The model gave no text')
}

/** Milliseconds until the first text comes out of the API in the same process. */
export function inProcess(): () => Promise<number> {
  const api = createApi({}, { models: [model] })
  const decoder = new TextDecoder()
  return async () => {
    const startedAt = performance.now()
    const response = await api.fetch(
      new Request('http://localhost/v1/chat/completions', { method: 'POST', headers, body })
    )
    const reader = (response.body as ReadableStream<Uint8Array>).getReader()
    for (;;) {
      const { done, value } = await reader.read()
      if (done) throw new Error('The stream ended before its first text')
      if (!decoder.decode(value).includes('word')) continue
      const ms = performance.now() - startedAt
      await reader.cancel()
      return ms
    }
  }
}

/** Milliseconds until the first text comes out of a server, over a connection that is kept. */
export function overHttp(port: number, agent: Agent): Promise<number> {
  return new Promise((resolve, reject) => {
    const startedAt = performance.now()
    let ms: number | undefined
    const options = { host: '127.0.0.1', port, path: '/v1/chat/completions', method: 'POST', agent }
    const sent = request(
      { ...options, headers: { ...headers, 'content-length': Buffer.byteLength(body) } },
      (response) => {
        response.setEncoding('utf8')
        response.on('data', (text: string) => {
          if (ms === undefined && text.includes('word')) ms = performance.now() - startedAt
        })
        response.on('end', () => {
          if (ms === undefined) reject(new Error('The stream ended before its first text'))
          else resolve(ms)
        })
        response.on('error', reject)
      }
    )
    sent.on('error', reject)
    sent.end(body)
  })
}
