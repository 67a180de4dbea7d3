import type { ApiRequest } from './api-request.ts'
import { MAX_PREFLIGHT_HEADERS } from './constants.ts'
import { RequestRefused } from './refusals.ts'

/** Who may call besides this machine itself. */
export interface GuardInit {
  /** Host names, without port, that the server answers to besides the loopback names; `*` for any. */
  allowedHosts?: readonly string[]
  /** Origins (`https://chat.example`) whose pages may call and read the answers; `*` for any. */
  allowedOrigins?: readonly string[]
}

/** The checks made before a request is looked at. */
export interface Guard {
  /** @throws A `RequestRefused` with 403 when the request is a page's that has no business here. */
  check(request: ApiRequest): void
  /** The CORS headers of an answer; none unless the origin is on the list. */
  corsHeaders(request: ApiRequest): Record<string, string> | undefined
  /** True for the question a browser asks before a request of a page on the list. */
  isPreflight(request: ApiRequest): boolean
}

/** True for names that can only mean this machine (RFC 6761 §6.3, RFC 5735, RFC 4291). */
export function isLoopback(hostname: string): boolean {
  const name = hostname.toLowerCase().replace(/\.$/, '')
  return (
    name === 'localhost' ||
    name.endsWith('.localhost') ||
    name === '[::1]' ||
    name === '::1' ||
    /^127(\.\d{1,3}){3}$/.test(name)
  )
}

/**
 * A server on loopback is reached by every page the user opens. A page of a name that was pointed at 127.0.0.1
 * (DNS rebinding) shows in `Host`; a page of another site shows in `Origin` or `Sec-Fetch-Site`.
 */
export function createGuard(init: GuardInit): Guard {
  const hosts = new Set((init.allowedHosts ?? []).map((host) => host.toLowerCase()))
  const origins = new Set((init.allowedOrigins ?? []).map((origin) => origin.toLowerCase()))
  const listed = (origin: string): boolean => origins.has('*') || origins.has(origin.toLowerCase())

  // Nearly all requests name one host, which need not be parsed again.
  let lastHost: { text: string; host: ReturnType<typeof parse> } | undefined
  const hostOf = (text: string): ReturnType<typeof parse> => {
    if (lastHost?.text !== text) lastHost = { text, host: parse(`http://${text}`) }
    return lastHost.host
  }

  const check = (request: ApiRequest): void => {
    const host = hostOf(request.header('host') ?? new URL(request.url).host)
    if (host === undefined || !(hosts.has('*') || hosts.has(host.hostname) || isLoopback(host.hostname)))
      throw forbidden('host_not_allowed', 'This server does not answer to the name in the Host header')
    const origin = request.header('origin')
    if (origin !== null) {
      if (listed(origin)) return
      const from = parse(origin)
      if (from === undefined || !(isLoopback(from.hostname) || from.host === host.host))
        throw forbidden('origin_not_allowed', 'This server does not answer to pages of other sites')
    } else if (request.header('sec-fetch-site') === 'cross-site' && !origins.has('*')) {
      throw forbidden('origin_not_allowed', 'This server does not answer to pages of other sites')
    }
  }

  const corsHeaders = (request: ApiRequest): Record<string, string> | undefined => {
    if (origins.size === 0) return undefined
    const origin = request.header('origin')
    if (origin === null || !listed(origin)) return { vary: 'Origin' }
    const headers = {
      vary: 'Origin',
      'access-control-allow-origin': origin,
      'access-control-expose-headers': exposedHeaders
    }
    if (!isPreflight(request)) return headers
    return {
      ...headers,
      'access-control-allow-methods': 'GET, HEAD, POST, DELETE',
      'access-control-allow-headers': wantedHeaders(request),
      'access-control-max-age': '600',
      // Pages of the open network ask before they reach into a local one (WICG Private Network Access).
      ...(request.header('access-control-request-private-network') === 'true' && {
        'access-control-allow-private-network': 'true'
      })
    }
  }

  const isPreflight = (request: ApiRequest): boolean => {
    const origin = request.header('origin')
    return (
      request.method === 'OPTIONS' &&
      request.header('access-control-request-method') !== null &&
      origin !== null &&
      listed(origin)
    )
  }

  return { check, corsHeaders, isPreflight }
}

// What OpenAI's clients send from a page, and what a request here can say.
const knownHeader =
  /^(authorization|content-type|accept|x-request-id|idempotency-key|openai-(organization|project|beta)|x-stainless-[a-z-]{1,40})$/

const exposedHeaders: string = [
  'x-request-id',
  'x-kwaai-answer',
  'x-kwaai-ignored',
  'x-kwaai-chain',
  'x-kwaai-receipt',
  'retry-after',
  'retry-after-ms',
  ...['limit', 'remaining', 'reset'].flatMap((what) => [
    `x-ratelimit-${what}-requests`,
    `x-ratelimit-${what}-tokens`
  ])
].join(', ')

/** Of the headers a page wants to send those that mean something here. */
function wantedHeaders(request: ApiRequest): string {
  const wanted = (request.header('access-control-request-headers') ?? '')
    .split(',', MAX_PREFLIGHT_HEADERS)
    .map((name) => name.trim().toLowerCase())
    .filter((name) => knownHeader.test(name))
  return wanted.length === 0 ? 'authorization, content-type' : wanted.join(', ')
}

function parse(text: string): { hostname: string; host: string } | undefined {
  if (!URL.canParse(text)) return undefined
  const url = new URL(text)
  // A host is nothing but a host: a path, a query or a user name would be somebody's trick.
  if (url.hostname === '' || url.username !== '' || url.password !== '') return undefined
  if (url.pathname !== '/' || url.search !== '' || url.hash !== '') return undefined
  return { hostname: url.hostname.replace(/\.$/, ''), host: url.host }
}

function forbidden(code: string, message: string): RequestRefused {
  return new RequestRefused({ status: 403, code, message })
}
