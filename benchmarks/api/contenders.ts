import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createApi } from '@kwaai/api'
import { serveApi } from '@kwaai/api/node'
import fastify, { type FastifyInstance } from 'fastify'
import { model } from './model.ts'
import { answerFrames, answerSchema, askedSchema, wholeAnswer, type Asked, type Head } from './shapes.ts'

/** Starts a server on a free port of loopback and tells the port. */
export const contenders: Readonly<Record<string, () => Promise<number>>> = {
  /** Ours as it is: guard, limits, validation, request ids, back-pressure, aborts. */
  async kwaai() {
    const server = await serveApi(createApi({}, { models: [model] }), { port: 0 })
    return server.port
  },

  /** Fastify with a schema for what comes in and one for what goes out. */
  fastify: () => startFastify(false),

  /** The same, with the duties that ours has besides. */
  'fastify-checks': () => startFastify(true),

  /** Node.js alone: it parses and answers, and checks nothing. */
  async node() {
    const server = createServer((incoming, outgoing) => {
      const parts: Buffer[] = []
      incoming.on('data', (part: Buffer) => parts.push(part))
      incoming.on('end', () => {
        const asked = JSON.parse(Buffer.concat(parts).toString('utf8')) as Asked
        const id = `req_${hex()}`
        const done =
          asked.stream === true
            ? stream(outgoing, asked, id)
            : wholeAnswer(model, asked, headOf(asked)).then((answer) => {
                const body = JSON.stringify(answer)
                outgoing.writeHead(200, {
                  ...common(id),
                  'content-type': 'application/json',
                  'content-length': Buffer.byteLength(body)
                })
                outgoing.end(body)
              })
        done.catch(() => outgoing.destroy())
      })
    }).listen(0, '127.0.0.1')
    await once(server, 'listening')
    return (server.address() as AddressInfo).port
  }
}

async function startFastify(duties: boolean): Promise<number> {
  const app = fastify({ genReqId: () => `req_${hex()}`, bodyLimit: 8 * 1024 * 1024 })
  app.setErrorHandler((error: Error & { statusCode?: number }, _, reply) =>
    reply.status(error.statusCode ?? 500).send({
      error: { message: error.message, type: 'invalid_request_error', param: null, code: 'invalid_value' }
    })
  )
  const watch = duties ? watchRequests(app) : undefined
  app.post<{ Body: Asked }>(
    '/v1/chat/completions',
    { schema: { body: askedSchema, response: { 200: answerSchema } } },
    async (request, reply) => {
      const asked = request.body
      const signal = watch?.(reply.raw)
      if (asked.stream === true) {
        reply.hijack()
        await stream(reply.raw, asked, request.id, signal)
        return reply
      }
      reply.headers({ ...common(request.id), 'content-type': 'application/json' })
      return wholeAnswer(model, asked, headOf(asked), signal)
    }
  )
  await app.listen({ port: 0, host: '127.0.0.1' })
  return (app.server.address() as AddressInfo).port
}

/**
 * What ours does with every request: Host and Origin are looked at, the client's own request id is taken, answers are
 * limited and counted, and one whose client has gone is given up.
 */
function watchRequests(app: FastifyInstance): (outgoing: ServerResponse) => AbortSignal {
  const counts = new Map<string, number>()
  let running = 0
  app.addHook('onRequest', async ({ headers, raw }, reply) => {
    const host = new URL(`http://${headers.host}`)
    if (!/^(localhost|127(\.\d{1,3}){3}|\[::1\])$/.test(host.hostname)) return reply.status(403).send()
    const { origin } = headers
    if (origin !== undefined && new URL(origin).host !== host.host) return reply.status(403).send()
    if (headers['sec-fetch-site'] === 'cross-site') return reply.status(403).send()
    if (headers['content-type']?.split(';', 1)[0] !== 'application/json') return reply.status(415).send()
    if (running >= 64) return reply.status(429).send()
    const given = raw.headers['x-request-id']
    if (typeof given === 'string' && /^[\w.:-]{1,128}$/.test(given)) reply.request.id = given
    running++
  })
  app.addHook('onResponse', async ({ method, routeOptions }, reply) => {
    running--
    const name = `${method} ${routeOptions.url} ${reply.statusCode}`
    counts.set(name, (counts.get(name) ?? 0) + 1)
  })
  return (outgoing) => {
    const controller = new AbortController()
    outgoing.once('close', () => {
      if (!outgoing.writableFinished) controller.abort()
    })
    return controller.signal
  }
}

/** What ours says with every answer. */
function common(id: string): Record<string, string> {
  return { 'x-request-id': id, 'cache-control': 'no-store', 'x-content-type-options': 'nosniff' }
}

function headOf(asked: Asked): Head {
  return { id: `chatcmpl-${hex()}`, created: Math.floor(Date.now() / 1000), model: asked.model }
}

function hex(): string {
  return randomBytes(16).toString('hex')
}

/** Writes frames as they come, and waits where the socket is full. */
async function stream(
  outgoing: ServerResponse,
  asked: Asked,
  id: string,
  signal?: AbortSignal
): Promise<void> {
  outgoing.writeHead(200, {
    ...common(id),
    'content-type': 'text/event-stream; charset=utf-8',
    'x-accel-buffering': 'no'
  })
  for await (const frame of answerFrames(model, asked, headOf(asked), signal)) {
    if (outgoing.destroyed) return
    if (!outgoing.write(frame)) await once(outgoing, 'drain')
  }
  outgoing.end()
}
