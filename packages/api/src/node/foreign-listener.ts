import { KwaaiError, type Random } from '@kwaai/interface'
import type { Api } from '../api.ts'
import { randomId } from '../ids.ts'
import { invalidAddress } from '../refusals.ts'
import { refuse, toResponse } from '../replies.ts'
import type { Listener } from './listener.ts'

/**
 * Hands what comes to whatever else has `fetch`, such as an API with something before it: for that a `Request` has to
 * be made of each request, and its `Response` written.
 * @throws A KwaaiError `ERR_API_PACKAGE_MISSING` when `@hono/node-server` is not installed.
 */
export async function createForeignListener(api: Api, random: Random): Promise<Listener> {
  const { getRequestListener } = await import('@hono/node-server').catch((cause: unknown) => {
    throw new KwaaiError(
      'ERR_API_PACKAGE_MISSING',
      'Cannot serve the API: the package @hono/node-server is not installed; run npm install @hono/node-server',
      { cause }
    )
  })
  const listener = getRequestListener((request) => api.fetch(request), {
    // Other code of the process keeps its own Request and Response.
    overrideGlobalObjects: false,
    // Only a request that is none gets here: a Host that is no host, a target that is no URL.
    errorHandler: () => {
      const reply = refuse(invalidAddress)
      reply.headers['x-request-id'] = randomId('req_', random)
      return toResponse(reply)
    }
  })
  return (incoming, outgoing, closed) => {
    outgoing.on('close', closed)
    listener(incoming, outgoing).catch(() => outgoing.destroy())
  }
}
