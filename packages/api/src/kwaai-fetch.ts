import { KwaaiError } from '@kwaai/interface'
import type { Api } from './api.ts'
import { DEFAULT_BASE_URL, IN_PROCESS_ORIGIN } from './constants.ts'

/** Options of {@link createKwaaiFetch}. */
export interface KwaaiFetchInit {
  /** The address that clients are given as theirs; nothing listens there. Default `http://kwaai.local/v1`. */
  baseURL?: string
}

/** A function with the signature of WHATWG's `fetch`. */
export type FetchFunction = (input: string | URL | Request, init?: RequestInit) => Promise<Response>

/**
 * Makes a `fetch` that an OpenAI client can be handed instead of its own, so that no HTTP server exists: requests
 * to `baseURL` are answered by a node, or by whatever else has `fetch(request)`, in this process. Relative
 * addresses begin at `baseURL`. As with `fetch`, an aborted signal rejects with its reason; it ends the work too.
 *
 * ```js
 * import OpenAI from 'openai'
 * import { createApi, createKwaaiFetch } from '@kwaai/api'
 *
 * const api = createApi({}, { models: [] })
 * const client = new OpenAI({ apiKey: 'none', baseURL: 'http://kwaai.local/v1', fetch: createKwaaiFetch(api) })
 * ```
 * @throws A KwaaiError `ERR_API_INVALID_INIT` when `baseURL` is none. The function rejects with `ERR_API_FOREIGN_URL`
 * for an address of anybody else: whoever hands it over wants nothing to leave the process.
 */
export function createKwaaiFetch(node: Api, init: KwaaiFetchInit = {}): FetchFunction {
  const base = baseOf(init.baseURL ?? DEFAULT_BASE_URL)
  return async (input, options) => {
    const isRequest = typeof input === 'object' && 'url' in input
    const url = urlOf(isRequest ? input.url : String(input), base)
    // Whatever the base's path is, it is the API's /v1; beside it are /health and the like.
    const under = url.pathname.startsWith(base.pathname)
    const path = under ? `/v1/${url.pathname.slice(base.pathname.length)}` : url.pathname
    // The guard knows this machine by its loopback names.
    const address = IN_PROCESS_ORIGIN + path + url.search
    // A second Request takes over what the first one has, its body and its signal too.
    const request = isRequest
      ? new Request(new Request(address, withDuplex(input)), options)
      : new Request(address, withDuplex(options ?? {}))
    request.signal.throwIfAborted()
    return await orAborted(node.fetch(request), request.signal)
  }
}

/** As with `fetch`, the signal's reason comes first, whatever the node answers to it. */
function orAborted(pending: Promise<Response>, signal: AbortSignal): Promise<Response> {
  return new Promise((resolve, reject) => {
    const abort = (): void => reject(signal.reason)
    signal.addEventListener('abort', abort, { once: true })
    pending.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort))
  })
}

function baseOf(text: string): URL {
  if (URL.canParse(text)) {
    const url = new URL(text.endsWith('/') ? text : `${text}/`)
    if (/^https?:$/.test(url.protocol)) return url
  }
  throw new KwaaiError(
    'ERR_API_INVALID_INIT',
    `Cannot make the fetch: baseURL is '${text.slice(0, 100)}', it has to be an http address such as ${DEFAULT_BASE_URL}`
  )
}

function urlOf(text: string, base: URL): URL {
  const url = URL.canParse(text, base.href) ? new URL(text, base) : undefined
  if (url?.origin === base.origin && url.username === '' && url.password === '') return url
  throw new KwaaiError(
    'ERR_API_FOREIGN_URL',
    `Cannot fetch '${text.slice(0, 100)}': this fetch answers for ${base.href} alone; give the client this baseURL`
  )
}

/** The parts of a request that mean something in one process; a body that is a stream has to say so (Fetch §5.4). */
function withDuplex(from: RequestInit | Request): RequestInit {
  const { method, headers, body, signal } = from
  return {
    ...(method !== undefined && { method }),
    ...(headers !== undefined && { headers }),
    ...(body != null && { body, duplex: 'half' }),
    ...(signal != null && { signal })
  }
}
