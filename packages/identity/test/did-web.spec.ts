import { createFakeClock } from '@kwaai/testing'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { createDidResolver, type DidFetch, didWebUrl, type DidWebInit } from '../src/vc/index.ts'

const did = 'did:web:example.org'
const document = { id: did, verificationMethod: [], assertionMethod: [] }
const json = { 'content-type': 'application/did+json; charset=utf-8' }

/** A resolver over answers that a test gives, and what was asked. */
function web(
  answer: (url: string, signal: AbortSignal) => Response | Promise<Response>,
  init: Partial<DidWebInit> = {}
) {
  const asked: string[] = []
  const clock = createFakeClock()
  const fetch: DidFetch = async (url, { signal, redirect }) => {
    expect(redirect).toBe('error')
    asked.push(url)
    return answer(url, signal)
  }
  return { asked, clock, resolver: createDidResolver({ web: { fetch, ...init } }, { clock }) }
}

const good = () => new Response(JSON.stringify(document), { headers: json })

test.each([
  ['did:web:example.org', 'https://example.org/.well-known/did.json'],
  ['did:web:Example.org', 'https://example.org/.well-known/did.json'],
  ['did:web:w3c-ccg.github.io:user:alice', 'https://w3c-ccg.github.io/user/alice/did.json'],
  ['did:web:example.org%3A443', 'https://example.org/.well-known/did.json'],
  ['did:web:xn--bcher-kva.example', 'https://xn--bcher-kva.example/.well-known/did.json'],
  ['did:web:example.com%3A3000', 'https://example.com:3000/.well-known/did.json'],
  ['did:web:example.org%3a8443:a:b', 'https://example.org:8443/a/b/did.json'],
  ['did:web:example.org:a%20b:..c', 'https://example.org/a%20b/..c/did.json']
])('%s is at %s', (name, url) => {
  expect(didWebUrl(name)).toBe(url)
})

test.each([
  'did:web:',
  'did:web:localhost',
  'did:web:127.0.0.1',
  'did:web:2130706433',
  'did:web:0x7f.1',
  'did:web:1.0x7f',
  'did:web:a.localhost',
  'did:web:%5B%3A%3A1%5D',
  'did:web:example.org%3A',
  'did:web:example.org%3A0443',
  'did:web:example.org%3A65536',
  'did:web:example.org%3A1%3A2',
  'did:web:example.org%2Fpath',
  'did:web:user%40example.org',
  'did:web:-example.org',
  'did:web:example.org.',
  'did:web:example.org:',
  'did:web:example.org::a',
  'did:web:example.org:..',
  'did:web:example.org:%2e%2E:a',
  'did:web:example.org:.',
  'did:web:example.org:a%2Fb',
  'did:web:example.org:a%5Cb',
  'did:web:example.org:a%252e',
  'did:web:example.org:a%3Fb',
  'did:web:example.org:a%00',
  'did:web:example.org:%ff',
  'did:web:example.org/a',
  'did:key:example.org',
  `did:web:${'a.'.repeat(200)}org`
])('%s is no did:web, and nobody is asked', async (name) => {
  expect(didWebUrl(name)).toBeUndefined()
  const { resolver, asked } = web(good)
  const { didDocument } = await resolver.resolve(name.includes('/') ? 'did:web:/' : name)
  expect(didDocument).toBeNull()
  expect(asked).toEqual([])
})

test('property: whatever the name, the address stays at its host and in its folder', () => {
  const piece = fc.oneof(
    fc.constantFrom('..', '.', '%2e', '%2F', '%5c', '%23', '@', '%40', ':'),
    fc.string({ maxLength: 6 })
  )
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 8 }), (pieces) => {
      const url = didWebUrl(`did:web:example.org:team:${pieces.join('')}`)
      if (url === undefined) return
      const { origin, pathname, href } = new URL(url)
      expect(href).toBe(url)
      expect(origin).toBe('https://example.org')
      expect(pathname).toMatch(/^\/team\/.+\/did\.json$/)
    })
  )
})

test('a document is fetched, kept for its time and frozen', async () => {
  const { resolver, asked, clock } = web(good, { maxAgeMs: 1000 })
  const first = await resolver.resolve(`${did}#key-1`)
  expect(first.didDocument).toEqual(document)
  expect(first.didResolutionMetadata.contentType).toBe('application/did+json')
  expect(Object.isFrozen(first.didDocument?.verificationMethod)).toBe(true)
  await clock.advance(999)
  expect((await resolver.resolve(did)).didDocument).toEqual(document)
  expect(asked).toEqual(['https://example.org/.well-known/did.json'])
  await clock.advance(1)
  await resolver.resolve(did)
  expect(asked.length).toBe(2)
  expect(clock.sleeping).toBe(0)
})

test('many who ask at once ask once; failures are not kept; the oldest document makes room', async () => {
  let status = 404
  const { resolver, asked } = web(
    (url) =>
      new Response(JSON.stringify({ id: url.replace('https://', 'did:web:').split('/')[0] }), {
        status,
        headers: json
      }),
    { maxDocuments: 2 }
  )
  const results = await Promise.all([1, 2, 3].map(async () => resolver.resolve(did)))
  expect(results.map(({ didResolutionMetadata }) => didResolutionMetadata.error)).toEqual(
    Array(3).fill('notFound')
  )
  expect(asked.length).toBe(1)
  status = 200
  for (const host of ['a', 'b', 'c', 'b', 'a']) await resolver.resolve(`did:web:${host}.example.org`)
  expect(asked.slice(1).map((url) => url[8])).toEqual(['a', 'b', 'c', 'a'])
})

const endless = () =>
  new Response(
    new ReadableStream<Uint8Array>({
      pull: (controller) => controller.enqueue(new TextEncoder().encode(' '.repeat(1000)))
    }),
    { headers: json }
  )

test.each<[string, () => Response, string]>([
  [
    'of another DID',
    () => new Response('{"id":"did:web:example.com"}', { headers: json }),
    'invalidDidDocument'
  ],
  ['no object', () => new Response('null', { headers: json }), 'invalidDidDocument'],
  ['no JSON', () => new Response('<html>', { headers: json }), 'notFound'],
  ['with a name twice', () => new Response(`{"id":"${did}","id":"${did}"}`, { headers: json }), 'notFound'],
  ['not UTF-8', () => new Response(Uint8Array.from([0x22, 0xff, 0x22]), { headers: json }), 'notFound'],
  [
    'a page',
    () => new Response(JSON.stringify(document), { headers: { 'content-type': 'text/html' } }),
    'representationNotSupported'
  ],
  [
    'without a type',
    () => new Response(new TextEncoder().encode(JSON.stringify(document))),
    'representationNotSupported'
  ],
  ['endless', endless, 'invalidDidDocument'],
  [
    'said to be long',
    () => new Response(JSON.stringify(document), { headers: { ...json, 'content-length': '70000' } }),
    'invalidDidDocument'
  ],
  ['gone', () => new Response('', { status: 410 }), 'notFound'],
  [
    'elsewhere',
    () => Object.defineProperty(good(), 'url', { value: 'https://example.com/did.json' }),
    'notFound'
  ],
  ['behind a redirect', () => Object.defineProperty(good(), 'redirected', { value: true }), 'notFound'],
  [
    'unreachable',
    () => {
      throw new TypeError('fetch failed')
    },
    'notFound'
  ]
])('a document that is %s is refused', async (_name, answer, error) => {
  const { resolver } = web(answer)
  const result = await resolver.resolve(did)
  expect(result.didDocument).toBeNull()
  expect(result.didResolutionMetadata.error).toBe(error)
})

test('who does not answer in time is not waited for, and who asked may go earlier', async () => {
  let signal: AbortSignal | undefined
  const { resolver, clock } = web(
    (_url, given) => {
      signal = given
      return new Promise(() => {})
    },
    { timeoutMs: 500 }
  )
  const controller = new AbortController()
  const waiting = resolver.resolve(did)
  const leaving = resolver.resolve(did, { signal: controller.signal })
  const reason = new Error('enough')
  controller.abort(reason)
  await expect(leaving).rejects.toBe(reason)
  expect(signal?.aborted).toBe(false)
  await clock.advance(500)
  expect((await waiting).didResolutionMetadata.error).toBe('notFound')
  expect(signal?.aborted).toBe(true)
  await expect(resolver.resolve(did, { signal: controller.signal })).rejects.toBe(reason)
})
