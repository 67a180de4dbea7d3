import type { IncomingMessage } from 'node:http'
import { joined, type ApiRequest } from '../api-request.ts'
import { invalid } from '../refusals.ts'
import { addressOf, type Address } from './address.ts'

/** A request of Node.js as one of ours. Whoever made it says when its client is gone. */
export class NodeRequest implements ApiRequest {
  readonly method: string
  gone: boolean = false
  readonly #incoming: IncomingMessage
  #address: Address | undefined
  #headers: Headers | undefined
  #controller: AbortController | undefined
  readonly #listeners: (() => void)[] = []

  constructor(incoming: IncomingMessage) {
    this.#incoming = incoming
    this.method = incoming.method ?? 'GET'
  }

  get url(): string {
    return this.#addressed().url
  }

  get path(): string {
    return this.#addressed().path
  }

  #addressed(): Address {
    this.#address ??= addressOf(this.#incoming.url ?? '', this.header('host'))
    return this.#address
  }

  /** As `Headers` has it: of some fields that come twice Node.js keeps the first in silence. */
  header(name: string): string | null {
    const { headers, rawHeaders } = this.#incoming
    if (headers[name] === undefined) return null
    let found: string | null = null
    for (let at = 0; at < rawHeaders.length; at += 2) {
      const given = rawHeaders[at] as string
      if (given.length !== name.length || (given !== name && given.toLowerCase() !== name)) continue
      const value = rawHeaders[at + 1] as string
      found = found === null ? value : `${found}, ${value}`
    }
    return found
  }

  get headers(): Headers {
    if (this.#headers === undefined) {
      this.#headers = new Headers()
      const { rawHeaders } = this.#incoming
      for (let at = 0; at < rawHeaders.length; at += 2)
        this.#headers.append(rawHeaders[at] as string, rawHeaders[at + 1] as string)
    }
    return this.#headers
  }

  bytes(maxBytes: number): Promise<Uint8Array | undefined> {
    const incoming = this.#incoming
    return new Promise((resolve, reject) => {
      if (incoming.readableDidRead) throw invalid('The body was read before', undefined, 'invalid_body')
      const parts: Uint8Array[] = []
      let length = 0
      const take = (part: Uint8Array): void => {
        length += part.byteLength
        parts.push(part)
        if (length <= maxBytes) return
        incoming.off('data', take).pause()
        resolve(undefined)
      }
      const settle = (): void => {
        if (incoming.complete) resolve(joined(parts, length))
        else reject(new Error('The client broke off'))
      }
      incoming.on('data', take)
      incoming.on('end', settle)
      incoming.on('close', settle)
    })
  }

  get signal(): AbortSignal {
    this.#controller ??= new AbortController()
    if (this.gone) this.#controller.abort()
    return this.#controller.signal
  }

  onGone(listener: () => void): void {
    this.#listeners.push(listener)
  }

  offGone(listener: () => void): void {
    const at = this.#listeners.indexOf(listener)
    if (at >= 0) this.#listeners.splice(at, 1)
  }

  /** Says that the client is gone. */
  leave(): void {
    if (this.gone) return
    this.gone = true
    this.#controller?.abort()
    for (const listener of this.#listeners.splice(0)) listener()
  }
}
