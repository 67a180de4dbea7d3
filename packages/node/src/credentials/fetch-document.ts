import type { DocumentFetcher } from '@kwaai/identity/vc'

const timeoutMs = 10_000

/** Whether a document may be asked for: over https, or on this machine. */
function mayFetch({ protocol, hostname }: URL): boolean {
  if (protocol === 'https:') return true
  const loopback = hostname === 'localhost' || hostname === '[::1]' || /^127(\.\d{1,3}){3}$/.test(hostname)
  return protocol === 'http:' && loopback
}

/** Fetches what credentials refer to: without redirects, in 10 s, and no more bytes than are allowed. */
export const fetchDocument: DocumentFetcher = async (url, { maxBytes, signal }) => {
  if (!URL.canParse(url) || !mayFetch(new URL(url))) return undefined
  const timeout = AbortSignal.timeout(timeoutMs)
  const response = await fetch(url, {
    redirect: 'error',
    headers: { accept: 'application/vc, application/json' },
    signal: signal === undefined ? timeout : AbortSignal.any([signal, timeout])
  })
  if (!response.ok || response.body === null) {
    await response.body?.cancel()
    return undefined
  }
  const bytes = await readAtMost(response.body, maxBytes)
  const mediaType = response.headers.get('content-type')?.split(';', 1)[0]
  return { bytes, ...(mediaType === undefined ? {} : { mediaType }) }
}

/** @throws A RangeError where the body has more bytes. */
export async function readAtMost(
  body: ReadableStream<Uint8Array>,
  maxBytes: number
): Promise<Uint8Array<ArrayBuffer>> {
  const parts: Uint8Array[] = []
  let length = 0
  for await (const part of body as AsyncIterable<Uint8Array>) {
    length += part.length
    if (length > maxBytes) throw new RangeError(`The body has more than the ${maxBytes} bytes allowed`)
    parts.push(part)
  }
  return Uint8Array.from(Buffer.concat(parts))
}
