import type { Clock } from '@kwaai/interface'
import { systemClock } from '@kwaai/interface/memory'
import type { DidDocument, DidMethods, DidResolutionResult } from './did-document.ts'
import { failedResolution } from './did-url.ts'
import { parseJson } from './json.ts'
import { orAborted } from './or-aborted.ts'
import { shown } from './shown.ts'

/** How a document is asked for; `globalThis.fetch` is one. */
export type DidFetch = (
  url: string,
  init: { headers: Record<string, string>; redirect: 'error'; signal: AbortSignal }
) => Promise<Response>

/** How did:web is resolved. */
export interface DidWebInit {
  fetch: DidFetch
  /** Largest document in bytes. Default 64 KiB. */
  maxBytes?: number
  /** How long a document is used again without asking, in milliseconds. Default 300 000; 0 asks always. */
  maxAgeMs?: number
  /** Most documents kept. Default 256. */
  maxDocuments?: number
  /** How long one question may take, in milliseconds. Default 10 000. */
  timeoutMs?: number
}

/** What resolving did:web needs. */
export interface DidWebComponents {
  /** Default: the system's clock. */
  clock?: Clock
}

// Own choices, like every default here: documents have some kilobytes.
const defaults = { maxBytes: 65_536, maxAgeMs: 300_000, maxDocuments: 256, timeoutMs: 10_000 }

const mediaTypes: ReadonlySet<string> = new Set([
  'application/did',
  'application/did+json',
  'application/did+ld+json',
  'application/json',
  'application/ld+json'
])

// A name of at least two labels, the last of which begins with a letter: did:web allows no IP addresses, and names
// without a dot, or under "localhost" (RFC 6761, section 6.3), are those of one's own machine or network.
const hostName =
  /^(?=.{1,253}$)(?:[a-z\d](?:[a-z\d-]{0,61}[a-z\d])?\.)+(?!localhost$)[a-z](?:[a-z\d-]{0,61}[a-z\d])?$/i
const portNumber = /^[1-9]\d{0,4}$/

/**
 * Where the document of a did:web is (the did:web method, read), or `undefined` when the DID is none: its host has to
 * be a domain name, and its path may not leave its place.
 */
export function didWebUrl(did: string): string | undefined {
  if (!did.startsWith('did:web:') || did.length > 2048) return undefined
  const [authority = '', ...path] = did.slice('did:web:'.length).split(':')
  const [host = '', port, ...rest] = authority.split(/%3a/i)
  if (!hostName.test(host) || rest.length > 0) return undefined
  if (port !== undefined && (!portNumber.test(port) || Number(port) > 65_535)) return undefined
  if (!path.every(isSegment)) return undefined
  const file = path.length === 0 ? '/.well-known/did.json' : `/${path.join('/')}/did.json`
  // As fetch will write it: without the port that is HTTPS's own.
  return new URL(`https://${host}${port === undefined ? '' : `:${port}`}${file}`).href
}

/** One piece of a path, and one still after a server has decoded it. */
function isSegment(text: string): boolean {
  if (!/^(?:[\w.-]|%[\da-f]{2})+$/i.test(text)) return false
  let decoded: string
  try {
    decoded = decodeURIComponent(text)
  } catch {
    return false
  }
  // oxlint-disable-next-line no-control-regex -- that is what is looked for
  return decoded !== '.' && decoded !== '..' && !/[/\\%?#\u0000-\u001f\u007f]/.test(decoded)
}

/**
 * The method did:web, for {@link createDidResolver} and for the package `did-resolver`. Documents come over HTTPS, are
 * bounded, of a JSON media type, from the very address asked (no redirect is followed) and of the very DID asked for.
 */
export function createDidWebMethods(init: DidWebInit, components: DidWebComponents = {}): DidMethods {
  const { maxBytes, maxAgeMs, maxDocuments, timeoutMs } = { ...defaults, ...init }
  const clock = components.clock ?? systemClock
  const kept = new Map<string, { result: DidResolutionResult; until: number }>()
  const asked = new Map<string, Promise<DidResolutionResult>>()

  const load = async (did: string, url: string): Promise<DidResolutionResult> => {
    const question = new AbortController()
    const answered = new AbortController()
    const late = clock.sleep(timeoutMs, { signal: answered.signal }).then(
      () => {
        question.abort(new Error(`${url} did not answer within ${timeoutMs} ms`))
        return failedResolution('notFound', question.signal.reason)
      },
      () => failedResolution('notFound', 'it was answered') // The answer has won the race by then.
    )
    try {
      return await Promise.race([late, fetchDocument(did, url, init.fetch, maxBytes, question.signal)])
    } finally {
      answered.abort()
    }
  }

  const find = async (did: string): Promise<DidResolutionResult> => {
    const url = didWebUrl(did)
    if (url === undefined) return failedResolution('invalidDid', `"${shown(did)}" is not a did:web`)
    const known = kept.get(did)
    if (known !== undefined && clock.now() < known.until) return known.result
    // Who asks while somebody else does waits for the same answer.
    const pending = asked.get(did)
    if (pending !== undefined) return pending
    const question = load(did, url).finally(() => asked.delete(did))
    asked.set(did, question)
    const result = await question
    if (result.didDocument !== null && maxAgeMs > 0) {
      kept.delete(did)
      kept.set(did, { result, until: clock.now() + maxAgeMs })
      // The map remembers the order of insertion: its first is the oldest.
      for (const oldest of kept.keys()) {
        if (kept.size <= maxDocuments) break
        kept.delete(oldest)
      }
    }
    return result
  }

  return {
    web: async (did, _parsed, _resolver, options) => {
      options.signal?.throwIfAborted()
      return orAborted(find(did), options.signal)
    }
  }
}

async function fetchDocument(
  did: string,
  url: string,
  fetch: DidFetch,
  maxBytes: number,
  signal: AbortSignal
): Promise<DidResolutionResult> {
  try {
    const response = await fetch(url, {
      headers: { accept: [...mediaTypes].join(', ') },
      redirect: 'error',
      signal
    })
    // A fetch that follows redirects all the same tells where it ended.
    if (response.redirected || (response.url !== '' && response.url !== url))
      return refused(response, 'notFound', `${url} leads elsewhere`)
    if (response.status !== 200) return refused(response, 'notFound', `${url} answers ${response.status}`)
    const type = response.headers.get('content-type')?.split(';')[0]?.trim().toLowerCase() ?? ''
    if (!mediaTypes.has(type))
      return refused(response, 'representationNotSupported', `${url} is of the type "${shown(type)}"`)
    const text = await readText(response, maxBytes)
    if (text === undefined)
      return failedResolution('invalidDidDocument', `${url} has more than ${maxBytes} bytes`)
    const document: unknown = parseJson(text, { maxLength: maxBytes })
    if (!isDocumentOf(document, did))
      return failedResolution('invalidDidDocument', `${url} is not the document of ${shown(did)}`)
    return freeze({
      didResolutionMetadata: { contentType: type },
      didDocument: document,
      didDocumentMetadata: {}
    })
  } catch (error) {
    return failedResolution('notFound', error)
  }
}

/** Whether a document is that of the DID. What it holds is looked at by who uses it. */
function isDocumentOf(value: unknown, did: string): value is DidDocument {
  return typeof value === 'object' && value !== null && 'id' in value && value.id === did
}

async function refused(response: Response, error: string, why: string): Promise<DidResolutionResult> {
  await response.body?.cancel().catch(() => undefined)
  return failedResolution(error, why)
}

/** The body as text, or `undefined` as soon as it is longer than allowed. */
async function readText(response: Response, maxBytes: number): Promise<string | undefined> {
  const decoder = new TextDecoder('utf-8', { fatal: true })
  let text = ''
  let length = 0
  if (Number(response.headers.get('content-length') ?? 0) > maxBytes) {
    await response.body?.cancel().catch(() => undefined)
    return undefined
  }
  const reader = response.body?.getReader()
  if (reader === undefined) return ''
  for (;;) {
    const { done, value } = await reader.read()
    if (done) return text + decoder.decode()
    length += value.length
    if (length > maxBytes) {
      await reader.cancel().catch(() => undefined)
      return undefined
    }
    text += decoder.decode(value, { stream: true })
  }
}

/** One document is handed to many: nobody may write into it. */
function freeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null)
    for (const member of Object.values(Object.freeze(value))) freeze(member)
  return value
}
