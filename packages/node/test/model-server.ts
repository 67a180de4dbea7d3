import { createHash } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { ModelEntry } from '../src/model/known-models.ts'

/** Bytes with no pattern a test could pass by accident. */
export function modelBytes(size: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(size)
  let state = 0x2545f491
  for (let i = 0; i < size; i++) {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    bytes[i] = state
  }
  return bytes
}

export const hex = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')

/** A catalogue entry for some bytes. */
export function entryOf(bytes: Uint8Array, url: string, pieceLength?: number): ModelEntry {
  const pieces = []
  if (pieceLength !== undefined) {
    for (let at = 0; at < bytes.length; at += pieceLength)
      pieces.push(hex(bytes.subarray(at, at + pieceLength)))
  }
  return {
    id: 'toy',
    aliases: [],
    description: 'Bytes for a test',
    license: 'MIT',
    fileName: 'toy.gguf',
    size: bytes.length,
    sha256: hex(bytes),
    ...(pieceLength === undefined ? {} : { pieces: { length: pieceLength, sha256: pieces } }),
    sources: [{ kind: 'http', label: 'the test server', url }]
  }
}

export interface ModelServer extends AsyncDisposable {
  url: string
  /** `METHOD path range` of each request. */
  requests: string[]
}

/** What a server does wrong. */
export interface Faults {
  /** Serves no ranges. */
  noRanges?: boolean
  /** Sends so many bytes, waits, and cuts the connection, once. */
  cut?: { after: number; when: Promise<unknown> }
  /** Answers the headers and nothing more. */
  silent?: boolean
  status?: number
}

/** Serves one file under any name, or files by theirs. */
export async function serveBytes(
  content: Uint8Array | Readonly<Record<string, Uint8Array>>,
  faults: Faults = {}
): Promise<ModelServer> {
  const requests: string[] = []
  let { cut } = faults
  const answer = (request: IncomingMessage, response: ServerResponse): void => {
    requests.push(`${request.method} ${request.url} ${request.headers.range ?? '-'}`)
    if (faults.status !== undefined) return void response.writeHead(faults.status).end()
    const bytes =
      content instanceof Uint8Array ? content : content[(request.url ?? '').split('/').at(-1) as string]
    if (bytes === undefined) return void response.writeHead(404).end()
    const range = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '')
    const ranged = range !== null && faults.noRanges !== true
    const from = ranged ? Number(range[1]) : 0
    const to = ranged && range[2] !== '' ? Number(range[2]) + 1 : bytes.length
    const body = bytes.subarray(from, to)
    response.writeHead(ranged ? 206 : 200, {
      'content-length': body.length,
      ...(ranged ? { 'content-range': `bytes ${from}-${to - 1}/${bytes.length}` } : {})
    })
    response.flushHeaders()
    if (faults.silent === true) return
    if (cut !== undefined && body.length > cut.after) {
      const { after, when } = cut
      cut = undefined
      response.write(body.subarray(0, after))
      void when.then(() => response.destroy())
      return
    }
    response.end(body)
  }
  const server = createServer(answer)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/toy.gguf`,
    requests,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    }
  }
}
