import { Resolver } from 'did-resolver'
import type { ResolverRegistry } from 'did-resolver'
import { expect, test } from 'vitest'
import {
  createIdentity,
  type DidDocument,
  type DidMethods,
  type DidResolver,
  didKeyDocument,
  didKeyMethods
} from '../src/index.ts'
import { createDidResolver, createDidWebMethods, resolveVerificationMethod } from '../src/vc/index.ts'

const { did } = createIdentity({ seed: new Uint8Array(32).fill(7) })
const organisation = 'did:web:example.org'
const fetch = async () =>
  new Response(
    JSON.stringify({
      id: organisation,
      verificationMethod: [
        {
          id: `${organisation}#k`,
          type: 'JsonWebKey',
          controller: organisation,
          publicKeyJwk: { kty: 'OKP', crv: 'Ed25519', x: '11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo' }
        }
      ],
      assertionMethod: ['#k']
    }),
    { headers: { 'content-type': 'application/json' } }
  )

test('our methods plug into the package did-resolver, and its resolver is one of ours', async () => {
  const theirs = new Resolver({ ...didKeyMethods, ...createDidWebMethods({ fetch }) })
  expect((await theirs.resolve(did)).didDocument).toEqual(didKeyDocument(did))
  expect((await theirs.resolve('did:web:localhost')).didResolutionMetadata.error).toBe('invalidDid')
  const resolver: DidResolver = theirs
  const key = await resolveVerificationMethod(`${organisation}#k`, 'assertionMethod', { resolver, now: 0 })
  expect(key).toMatchObject({ ok: true, controller: organisation, key: { type: 'Ed25519' } })
})

test('its methods plug into ours', async () => {
  const registry: ResolverRegistry = {
    example: async (name, parsed) => ({
      didResolutionMetadata: {},
      didDocument: { id: name, alsoKnownAs: [parsed.id] },
      didDocumentMetadata: {}
    })
  }
  const methods: DidMethods = registry
  const resolver = createDidResolver({ methods })
  const expected: DidDocument = { id: 'did:example:a:b', alsoKnownAs: ['a:b'] }
  expect((await resolver.resolve('did:example:a:b/path?query#fragment')).didDocument).toEqual(expected)
})

test('what cannot be resolved says why, and did:key stays did:key', async () => {
  const resolver = createDidResolver({
    methods: {
      broken: () => Promise.reject(new Error('no luck')),
      key: () => Promise.reject(new Error('not this one'))
    }
  })
  const errorOf = async (name: string) => (await resolver.resolve(name)).didResolutionMetadata.error
  expect(await errorOf(did)).toBeUndefined()
  expect(await errorOf('did:broken:a')).toBe('internalError')
  expect(await errorOf(organisation)).toBe('unsupportedDidMethod')
  expect(await errorOf('did:constructor:a')).toBe('unsupportedDidMethod')
  for (const bad of [
    '',
    'did:',
    'did:key:',
    'did:KEY:a',
    'did:a:b c',
    'example',
    `did:a:${'b'.repeat(3000)}`,
    7 as never
  ])
    expect(await errorOf(bad)).toBe('invalidDid')
})
