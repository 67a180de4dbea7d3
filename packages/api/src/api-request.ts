import { invalid } from './refusals.ts'

/** What `caller` of {@link ApiInit} may look at. */
export type CallerFacts = Pick<Request, 'method' | 'url' | 'headers'>

/**
 * A request as this room sees it, wherever it came from: so much of a `Request` as is asked for here, with nothing
 * made before it is asked for.
 */
export interface ApiRequest extends CallerFacts {
  readonly method: string
  /** The whole address. @throws where it is none, as `path` does. */
  readonly url: string
  /** The path of the address, as `URL` gives it. */
  readonly path: string
  /** A field of the header, by its name in lower case; several of one name are joined, as `Headers` does it. */
  header(name: string): string | null
  /**
   * The body, once. Undefined where it is larger than `maxBytes`; no more than that is held.
   * @throws where it ends before it is complete, or was read before.
   */
  bytes(maxBytes: number): Promise<Uint8Array | undefined>
  /** True once the client is gone. */
  readonly gone: boolean
  /** Aborted when the client goes. */
  readonly signal: AbortSignal
  /** Has `listener` called when the client goes; costs less than a signal. */
  onGone(listener: () => void): void
  offGone(listener: () => void): void
}

/** A platform's `Request` as one of ours. */
export class FetchRequest implements ApiRequest {
  readonly method: string
  readonly #request: Request

  constructor(request: Request) {
    this.method = request.method
    this.#request = request
  }

  // Some servers hand over a request whose Host is none, and say so when its address is asked for.
  get url(): string {
    return this.#request.url
  }

  get path(): string {
    return new URL(this.url).pathname
  }

  get headers(): Headers {
    return this.#request.headers
  }

  header(name: string): string | null {
    return this.headers.get(name)
  }

  bytes(maxBytes: number): Promise<Uint8Array | undefined> {
    return bytesOf(this.#request, maxBytes)
  }

  get gone(): boolean {
    return this.signal.aborted
  }

  get signal(): AbortSignal {
    return this.#request.signal
  }

  onGone(listener: () => void): void {
    this.signal.addEventListener('abort', listener)
  }

  offGone(listener: () => void): void {
    this.signal.removeEventListener('abort', listener)
  }
}

/** @throws the reason of its signal where the client is gone. */
export function throwIfGone(request: ApiRequest): void {
  if (request.gone) request.signal.throwIfAborted()
}

async function bytesOf(request: Request, maxBytes: number): Promise<Uint8Array | undefined> {
  if (request.bodyUsed) throw invalid('The body was read before', undefined, 'invalid_body')
  // HTTP servers take no more than was claimed, and hand it over in one piece for a fraction of a stream's cost.
  if (Number(request.headers.get('content-length') ?? NaN) >= 0) {
    const bytes = new Uint8Array(await request.arrayBuffer())
    return bytes.byteLength > maxBytes ? undefined : bytes
  }
  if (request.body === null) return new Uint8Array(0)
  const reader = request.body.getReader()
  const parts: Uint8Array[] = []
  let length = 0
  for (;;) {
    const { done, value } = await reader.read()
    if (done) return joined(parts, length)
    length += value.byteLength
    if (length > maxBytes) {
      reader.cancel().catch(() => undefined)
      return undefined
    }
    parts.push(value)
  }
}

/** Parts in one piece. */
export function joined(parts: readonly Uint8Array[], length: number): Uint8Array {
  const [first] = parts
  if (first !== undefined && parts.length === 1) return first
  const bytes = new Uint8Array(length)
  let offset = 0
  for (const part of parts) {
    bytes.set(part, offset)
    offset += part.byteLength
  }
  return bytes
}
