import { base58btc } from 'multiformats/bases/base58'
import { expect, test } from 'vitest'
import type { DidDocument, DidResolver, VerificationMethod } from '../src/index.ts'
import { createIdentity, publicKeyToMultibase } from '../src/index.ts'
import { parseDateTime } from '../src/date-time.ts'
import { findVerificationMethod, publicKeyOfMethod, resolveVerificationMethod } from '../src/vc/index.ts'

const key = createIdentity({ seed: new Uint8Array(32).fill(7) })
const multibase = key.did.slice('did:key:'.length)
// The point (0, 1).
const smallOrder = base58btc.encode(Uint8Array.from([0xed, 0x01, 1, ...new Uint8Array(31)]))
const now = Date.UTC(2026, 10, 27)
const did = 'did:web:example.org'

const method: VerificationMethod = {
  id: `${did}#key-1`,
  type: 'Multikey',
  controller: did,
  publicKeyMultibase: multibase
}
const document: DidDocument = {
  id: did,
  verificationMethod: [method],
  assertionMethod: ['#key-1'],
  authentication: [{ ...method, id: `${did}#key-2` }]
}

/** Answers with one document, whatever is asked. */
function answering(didDocument: DidDocument | null, didDocumentMetadata = {}): DidResolver {
  return {
    resolve: async () => ({ didResolutionMetadata: {}, didDocument, didDocumentMetadata })
  }
}

const nobody: DidResolver = {
  resolve: () => {
    throw new Error('asked')
  }
}

test('a did:key needs nobody, and is what its id says', async () => {
  const options = { resolver: nobody, now }
  const found = await resolveVerificationMethod(`${key.did}#${multibase}`, 'assertionMethod', options)
  expect(found).toMatchObject({
    ok: true,
    controller: key.did,
    key: { type: 'Ed25519', bytes: key.publicKey }
  })
  // What a caller does to the key it got is its own affair.
  if (found.ok) found.key.bytes.fill(0)
  const again = await resolveVerificationMethod(`${key.did}#${multibase}`, 'authentication', options)
  expect(again.ok && again.key.bytes).toEqual(key.publicKey)
  if (again.ok) again.key.bytes.fill(0)
  const third = await resolveVerificationMethod(`${key.did}#${multibase}`, 'authentication', options)
  expect(third.ok && third.key.bytes).toEqual(key.publicKey)
  for (const [id, code] of [
    [`${key.did}#key-1`, 'METHOD_NOT_ALLOWED'],
    [`${key.did}#`, 'METHOD_NOT_ALLOWED'],
    [key.did, 'METHOD_UNRESOLVED'],
    [`${key.did.slice(0, -1)}#${multibase.slice(0, -1)}`, 'METHOD_UNRESOLVED'],
    ['#key-1', 'METHOD_UNRESOLVED'],
    ['https://example.org/#key', 'METHOD_UNRESOLVED'],
    [`did:key:z${'1'.repeat(3000)}#z`, 'METHOD_UNRESOLVED'],
    [`did:web:example.org#key-1`, 'METHOD_UNRESOLVED']
  ] as const) {
    expect(await resolveVerificationMethod(id, 'assertionMethod', options)).toMatchObject({ ok: false, code })
  }
  expect(await resolveVerificationMethod(`${key.did}#${multibase}`, 'keyAgreement', options)).toMatchObject({
    code: 'METHOD_NOT_ALLOWED'
  })
})

test('a document gives a method for the relationships it names, by reference or embedded', async () => {
  expect(findVerificationMethod(document, `${did}#key-1`, 'assertionMethod')).toBe(method)
  expect(findVerificationMethod(document, '#key-1', 'assertionMethod')).toBe(method)
  expect(findVerificationMethod(document, `${did}#key-2`, 'authentication')?.id).toBe(`${did}#key-2`)
  expect(findVerificationMethod(document, `${did}#key-2`, 'assertionMethod')).toBeUndefined()
  expect(findVerificationMethod(document, `${did}#key-1`, 'authentication')).toBeUndefined()
  expect(
    findVerificationMethod({ ...document, assertionMethod: 'no list' as never }, '#key-1', 'assertionMethod')
  ).toBe(undefined)
})

test.each<[string, DidDocument | null, object, string]>([
  [
    'another DID controls the method',
    { ...document, verificationMethod: [{ ...method, controller: key.did }] },
    {},
    'METHOD_NOT_ALLOWED'
  ],
  [
    'the document is that of another DID',
    { ...document, id: 'did:web:example.com' },
    {},
    'METHOD_UNRESOLVED'
  ],
  ['there is no document', null, {}, 'METHOD_UNRESOLVED'],
  ['the DID is deactivated', document, { deactivated: true }, 'METHOD_UNRESOLVED'],
  ['the relationship does not name it', { ...document, assertionMethod: [] }, {}, 'METHOD_NOT_ALLOWED'],
  [
    'it is revoked',
    { ...document, verificationMethod: [{ ...method, revoked: '2026-11-26T00:00:00Z' }] },
    {},
    'METHOD_REVOKED'
  ],
  [
    'it has expired',
    { ...document, verificationMethod: [{ ...method, expires: '2026-11-27T00:00:00Z' }] },
    {},
    'METHOD_EXPIRED'
  ],
  [
    'its expiry cannot be read',
    { ...document, verificationMethod: [{ ...method, expires: 'never' }] },
    {},
    'METHOD_EXPIRED'
  ],
  [
    'its type is unknown',
    { ...document, verificationMethod: [{ ...method, type: 'Other' }] },
    {},
    'METHOD_UNUSABLE'
  ],
  [
    'its key is of small order',
    {
      ...document,
      verificationMethod: [{ ...method, publicKeyMultibase: smallOrder }]
    },
    {},
    'METHOD_UNUSABLE'
  ],
  [
    'it has two keys',
    { ...document, verificationMethod: [{ ...method, publicKeyJwk: { kty: 'OKP' } }] },
    {},
    'METHOD_UNUSABLE'
  ]
])('refused: %s', async (_name, didDocument, metadata, code) => {
  const resolver = answering(didDocument, metadata)
  const outcome = await resolveVerificationMethod(`${did}#key-1`, 'assertionMethod', { resolver, now })
  expect(outcome).toMatchObject({ ok: false, code })
})

test('an expiry and a revocation to come change nothing yet, and an abort rejects', async () => {
  const later = { ...method, expires: '2026-11-27T00:00:01Z', revoked: '2026-11-27T00:00:00.001Z' }
  expect(publicKeyOfMethod(later, now).ok).toBe(true)
  expect(publicKeyOfMethod(later, Number.NaN).ok).toBe(false)
  const reason = new Error('enough')
  await expect(
    resolveVerificationMethod(`${did}#key-1`, 'assertionMethod', {
      resolver: answering(document),
      now,
      signal: AbortSignal.abort(reason)
    })
  ).rejects.toBe(reason)
})

test('keys as JWK are the same keys, without private parts', () => {
  // RFC 8037, appendix A.2.
  const jwk = { kty: 'OKP', crv: 'Ed25519', x: '11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo' }
  const of = (publicKeyJwk: { kty: string; [member: string]: unknown }, type = 'JsonWebKey') =>
    publicKeyOfMethod({ id: `${did}#k`, type, controller: did, publicKeyJwk }, now)
  const outcome = of(jwk)
  expect(outcome.ok && publicKeyToMultibase(outcome.key)).toBe(
    'z6MktwupdmLXVVqTzCw4i46r4uGyosGXRnR3XjN4Zq7oMMsw'
  )
  expect(of(jwk, 'JsonWebKey2020').ok).toBe(true)
  for (const bad of [
    { ...jwk, d: jwk.x },
    { ...jwk, crv: 'X25519' },
    { ...jwk, kty: 'EC' },
    { ...jwk, x: `${jwk.x}=` },
    { ...jwk, x: jwk.x.slice(1) },
    { ...jwk, x: `${jwk.x.slice(0, -1)}p` },
    { ...jwk, x: 7 }
  ])
    expect(of(bad).ok).toBe(false)
})

test('date times are those of XSD', () => {
  expect(parseDateTime('2026-11-27T00:00:00Z')).toBe(now)
  expect(parseDateTime('2026-11-27T01:30:00.25+01:30')).toBe(now + 250)
  expect(parseDateTime('2024-02-29T00:00:00Z')).toBe(Date.UTC(2024, 1, 29))
  expect(parseDateTime('2026-11-26T24:00:00Z')).toBe(now)
  for (const bad of [
    '2026-11-27',
    '2026-11-27T00:00:00',
    '2026-02-29T00:00:00Z',
    '2026-13-01T00:00:00Z',
    '2026-00-01T00:00:00Z',
    '2026-11-27T24:00:01Z',
    '2026-11-27T25:00:00Z',
    '2026-11-27T00:60:00Z',
    '2026-11-27T00:00:00+15:00',
    ' 2026-11-27T00:00:00Z',
    '26-11-27T00:00:00Z',
    7,
    null
  ])
    expect(parseDateTime(bad)).toBeUndefined()
})
