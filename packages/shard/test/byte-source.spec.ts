import { KwaaiError, type ByteSource } from '@kwaai/interface'
import { describe, expect, test } from 'vitest'
import { blobSource, bytesSource, httpSource, readGguf } from '../src/gguf/index.ts'
import { toyModel } from './toy-model.ts'

const bytes = Uint8Array.from({ length: 1000 }, (_, i) => (i * 7) & 255)

async function codeOf(promise: Promise<unknown>): Promise<string> {
  const error = await promise.then(
    () => undefined,
    (reason: unknown) => reason
  )
  return KwaaiError.is(error) ? error.code : String(error)
}

interface Server {
  fetch: typeof globalThis.fetch
  ranges: string[]
}

/** A server of one file, as `fetch` sees it; `change` spoils its answers from the n-th request on. */
function serve(file: Uint8Array, change: (response: Response, n: number) => Response = (r) => r): Server {
  const ranges: string[] = []
  return {
    ranges,
    async fetch(_url, init) {
      init?.signal?.throwIfAborted()
      const headers = new Headers(init?.headers)
      const range = headers.get('range') ?? ''
      ranges.push(range)
      const [, first, last] = /^bytes=(\d+)-(\d+)$/.exec(range) ?? []
      const [from, to] = [Number(first), Number(last)]
      const answer = new Response(file.slice(from, to + 1), {
        status: 206,
        headers: { 'content-range': `bytes ${from}-${to}/${file.length}`, etag: '"v1"' }
      })
      return change(answer, ranges.length)
    }
  }
}

const url = 'https://models.example/toy.gguf'
const edit = (response: Response, status: number, headers: Record<string, string>): Response =>
  new Response(response.body, { status, headers: { ...Object.fromEntries(response.headers), ...headers } })

async function check(source: ByteSource): Promise<void> {
  expect(source.size).toBe(1000)
  expect(await source.read(0, 1000)).toEqual(bytes)
  expect(await source.read(997, 3)).toEqual(bytes.slice(997))
  expect(await source.read(500, 0)).toEqual(new Uint8Array(0))
  const own = await source.read(0, 4)
  own.fill(0)
  expect(await source.read(0, 4)).toEqual(bytes.slice(0, 4))
  const wrong = [
    [0, 1001],
    [1000, 1],
    [-1, 2],
    [0.5, 1],
    [0, -1],
    [0, 1.5],
    [Number.NaN, 1],
    [2 ** 53, 1]
  ]
  for (const [offset, length] of wrong as [number, number][])
    expect(await codeOf(source.read(offset, length))).toBe('ERR_SOURCE_OUT_OF_BOUNDS')
  const reason = new Error('enough')
  await expect(source.read(0, 1, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason)
}

describe('byte sources', () => {
  test('memory', () => check(bytesSource(bytes)))
  test('a Blob', () => check(blobSource(new Blob([bytes]))))
  test('HTTP ranges', async () => check(await httpSource(url, { fetch: serve(bytes).fetch })))

  test('a header over HTTP needs a fraction of the file', async () => {
    const toy = toyModel({ type: 'Q8_0' })
    const server = serve(toy)
    const file = await readGguf(await httpSource(url, { fetch: server.fetch }), { readBytes: 4096 })
    expect(file.tensors.size).toBe(29)
    expect(server.ranges[0]).toBe('bytes=0-0')
    expect(server.ranges.length).toBeLessThan(8)
  })
})

describe('an HTTP server that does not do as asked', () => {
  const open = async (change: (response: Response, n: number) => Response): Promise<unknown> => {
    const source = await httpSource(url, { fetch: serve(bytes, change).fetch })
    return source.read(10, 10)
  }
  const later = (change: (response: Response) => Response) => (response: Response, n: number) =>
    n === 1 ? response : change(response)

  const cases: Record<string, [code: string, change: (response: Response, n: number) => Response]> = {
    'sends the whole file': ['ERR_SOURCE_RANGES_UNSUPPORTED', () => new Response(bytes, { status: 200 })],
    'leaves out Content-Range': [
      'ERR_SOURCE_RANGES_UNSUPPORTED',
      (r) => new Response(r.body, { status: 206 })
    ],
    'does not know its size': [
      'ERR_SOURCE_RANGES_UNSUPPORTED',
      (r) => edit(r, 206, { 'content-range': 'bytes 0-0/*' })
    ],
    'has no such file': ['ERR_SOURCE_UNREACHABLE', () => new Response('no', { status: 404 })],
    'fails later': ['ERR_SOURCE_UNREACHABLE', later(() => new Response('no', { status: 503 }))],
    'sends another range': [
      'ERR_SOURCE_CHANGED',
      later((r) => edit(r, 206, { 'content-range': 'bytes 9-18/1000' }))
    ],
    'has a file of another size': [
      'ERR_SOURCE_CHANGED',
      later((r) => edit(r, 206, { 'content-range': 'bytes 10-19/1001' }))
    ],
    'has another entity tag': ['ERR_SOURCE_CHANGED', later((r) => edit(r, 206, { etag: '"v2"' }))],
    'sends the changed file whole': ['ERR_SOURCE_CHANGED', later(() => new Response(bytes, { status: 200 }))],
    'sends too few bytes': [
      'ERR_SOURCE_CHANGED',
      later((r) => new Response(bytes.slice(10, 19), { status: 206, headers: r.headers }))
    ],
    'sends too many bytes': [
      'ERR_SOURCE_CHANGED',
      later((r) => new Response(bytes, { status: 206, headers: r.headers }))
    ],
    'sends no body': [
      'ERR_SOURCE_CHANGED',
      later((r) => new Response(null, { status: 206, headers: r.headers }))
    ],
    'breaks off': [
      'ERR_SOURCE_UNREACHABLE',
      later(
        (r) =>
          new Response(new ReadableStream({ pull: (c) => c.error(new TypeError('terminated')) }), {
            status: 206,
            headers: r.headers
          })
      )
    ]
  }
  for (const [name, [code, change]] of Object.entries(cases))
    test(`${name}: ${code}`, async () => {
      expect(await codeOf(open(change))).toBe(code)
    })

  test('is not there: ERR_SOURCE_UNREACHABLE', async () => {
    const fetch = async (): Promise<Response> => {
      throw new TypeError('fetch failed')
    }
    expect(await codeOf(httpSource(url, { fetch }))).toBe('ERR_SOURCE_UNREACHABLE')
  })

  test('reads no further than asked', async () => {
    let pulled = 0
    const endless = new ReadableStream<Uint8Array>({
      pull(controller) {
        pulled++
        controller.enqueue(new Uint8Array(8))
      }
    })
    const change = later((r) => new Response(endless, { status: 206, headers: r.headers }))
    expect(await codeOf(open(change))).toBe('ERR_SOURCE_CHANGED')
    expect(pulled).toBeLessThan(6)
  })
})
