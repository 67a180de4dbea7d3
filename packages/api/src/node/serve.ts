import { createServer, type Server } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { KwaaiError, type CallOptions, type Clock, type Random } from '@kwaai/interface'
import { systemClock, systemRandom } from '@kwaai/interface/memory'
import type { Api } from '../api.ts'
import {
  DEFAULT_CLOSE_TIMEOUT_MS,
  DEFAULT_HOST,
  DEFAULT_MAX_CONNECTIONS,
  DEFAULT_MAX_HEADER_BYTES,
  DEFAULT_REQUEST_TIMEOUT_MS
} from '../constants.ts'
import { errorObject } from '../refusals.ts'
import { randomId } from '../ids.ts'
import { answerOf } from '../replies.ts'
import { createForeignListener } from './foreign-listener.ts'
import { createListener } from './listener.ts'

/** Where and how {@link serveApi} listens. */
export interface ServeApiOptions extends CallOptions {
  /** 0 takes any free port. */
  port: number
  /** Default `127.0.0.1`: this machine alone. For others to reach it, name the address and `allowedHosts`. */
  host?: string
  /** How long open requests may go on after `close`. Default 2 s. */
  closeTimeoutMs?: number
  /** Connections held at most; further ones are dropped. Default 512. */
  maxConnections?: number
  /** Bytes of a request's header at most; larger ones are refused with 431. Default 16 KiB. */
  maxHeaderBytes?: number
  /** How long a request may take to arrive, its body included; a slower one is refused with 408. Default 60 s. */
  requestTimeoutMs?: number
  /** Default: the machine's clock. */
  clock?: Clock
  /** Default: the machine's randomness. */
  random?: Random
}

/** A listening server. */
export interface ApiServer extends AsyncDisposable {
  /** `http://127.0.0.1:11435` */
  readonly url: string
  readonly port: number
  /** Takes no more connections, lets open requests end for `closeTimeoutMs`, then cuts them. May be called twice. */
  close(): Promise<void>
}

/**
 * Puts the API behind an HTTP server. When `options.signal` aborts, the server closes.
 * @throws A KwaaiError `ERR_API_PORT_IN_USE` when another program listens there, `ERR_API_LISTEN_FAILED` when the
 * system refuses for another reason, `ERR_API_PACKAGE_MISSING` when it is not of `createApi` and `@hono/node-server` is
 * not installed.
 */
export async function serveApi(api: Api, options: ServeApiOptions): Promise<ApiServer> {
  const { port, host = DEFAULT_HOST, signal, clock = systemClock, random = systemRandom } = options
  const { closeTimeoutMs = DEFAULT_CLOSE_TIMEOUT_MS, maxConnections = DEFAULT_MAX_CONNECTIONS } = options
  const { maxHeaderBytes = DEFAULT_MAX_HEADER_BYTES, requestTimeoutMs = DEFAULT_REQUEST_TIMEOUT_MS } = options
  signal?.throwIfAborted()
  const answer = answerOf(api)
  const listener =
    answer === undefined ? await createForeignListener(api, random) : createListener(answer, clock)
  // Without a Host the listener refuses in JSON; Node.js itself would in nothing.
  const server = createServer(
    {
      requireHostHeader: false,
      maxHeaderSize: maxHeaderBytes,
      requestTimeout: requestTimeoutMs,
      headersTimeout: requestTimeoutMs,
      // How often Node.js looks whose time is up.
      connectionsCheckingInterval: Math.max(1, Math.floor(requestTimeoutMs / 4))
    },
    (incoming, outgoing) => listener(incoming, outgoing, closed)
  )
  // A kept connection would hold `close` up until the client lets go of it.
  const closed = (): void => {
    if (!server.listening) server.closeIdleConnections()
  }
  server.maxConnections = maxConnections
  // Node.js would answer in nothing; who expects what there is not gets the answer he would get without.
  server.on('checkExpectation', (incoming, outgoing) => server.emit('request', incoming, outgoing))
  server.on('clientError', (error: NodeJS.ErrnoException, socket: Socket) => {
    refuseRaw(error, socket, randomId('req_', random))
  })

  await listen(server, port, host)
  // What comes after listening concerns single connections.
  server.on('error', () => undefined)

  let closing: Promise<void> | undefined
  const close = (): Promise<void> => {
    closing ??= shut(server, clock, closeTimeoutMs)
    return closing
  }
  if (signal !== undefined) {
    const onAbort = (): void => void close()
    signal.addEventListener('abort', onAbort, { once: true })
    server.once('close', () => signal.removeEventListener('abort', onAbort))
    if (signal.aborted) {
      await close()
      throw signal.reason
    }
  }
  const address = addressOf(server)
  const name = address.family === 'IPv6' ? `[${address.address}]` : address.address
  return { url: `http://${name}:${address.port}`, port: address.port, close, [Symbol.asyncDispose]: close }
}

function listen(server: Server, port: number, host: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const fail = (cause: NodeJS.ErrnoException): void => {
      reject(
        cause.code === 'EADDRINUSE'
          ? new KwaaiError(
              'ERR_API_PORT_IN_USE',
              `Cannot serve the API: port ${port} on ${host} is taken by another program; choose another port, or 0 for any free one`,
              { cause, details: { port, host } }
            )
          : listenFailed(host, port, cause)
      )
    }
    server.once('error', fail)
    try {
      server.listen({ port, host }, () => {
        server.off('error', fail)
        resolve()
      })
    } catch (cause) {
      reject(listenFailed(host, port, cause))
    }
  })
}

function listenFailed(host: string, port: number, cause: unknown): KwaaiError {
  const why = cause instanceof Error ? cause.message : String(cause)
  return new KwaaiError('ERR_API_LISTEN_FAILED', `Cannot serve the API on ${host}, port ${port}: ${why}`, {
    cause,
    details: { port, host }
  })
}

async function shut(server: Server, clock: Clock, closeTimeoutMs: number): Promise<void> {
  const closed = new AbortController()
  const ended = new Promise<void>((resolve) => {
    server.close(() => {
      closed.abort()
      resolve()
    })
  })
  server.closeIdleConnections()
  clock.sleep(closeTimeoutMs, { signal: closed.signal }).then(
    () => server.closeAllConnections(),
    () => undefined
  )
  await ended
}

function addressOf(server: Server): AddressInfo {
  const address = server.address()
  if (address !== null && typeof address === 'object') return address
  throw new KwaaiError('ERR_API_LISTEN_FAILED', 'Cannot serve the API: the server has no address')
}

/** What is not HTTP never becomes a Request; it is answered on the bare socket, in JSON like all the rest. */
function refuseRaw(error: NodeJS.ErrnoException, socket: Socket, requestId: string): void {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy()
    return
  }
  const [status, reason, code, message] =
    error.code === 'HPE_HEADER_OVERFLOW'
      ? [
          431,
          'Request Header Fields Too Large',
          'headers_too_large',
          'The header of the request is too large'
        ]
      : error.code === 'ERR_HTTP_REQUEST_TIMEOUT'
        ? [408, 'Request Timeout', 'request_timeout', 'The request took too long to arrive']
        : [400, 'Bad Request', 'invalid_request', 'This is not HTTP']
  const body = JSON.stringify(
    errorObject({ status: Number(status), code: String(code), message: String(message) })
  )
  socket.end(
    `HTTP/1.1 ${status} ${reason}\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\n` +
      `X-Request-Id: ${requestId}\r\nConnection: close\r\n\r\n${body}`
  )
}
