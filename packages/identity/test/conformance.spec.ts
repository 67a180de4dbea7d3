import { describe, expect, it } from 'vitest'
import { createIdentity } from '@kwaai/identity'
import { addProof, eddsaJcs2022, type Cryptosuite } from '@kwaai/identity/vc'
import { createVcApi } from '@kwaai/identity/vc-api'
import { createEddsaRdfc2022 } from '@kwaai/identity/vc-ld'

// What the public suites of VC Data Model 2.0, Data Integrity and DI EdDSA ask over HTTP, in words of our own: statuses
// alone count for them. What they want of a credential's members is in vc-structure.spec.ts.

const now = Date.UTC(2026, 0, 1)
const v2 = 'https://www.w3.org/ns/credentials/v2'
const v1 = 'https://www.w3.org/2018/credentials/v1'
const identity = createIdentity({ seed: new Uint8Array(32).fill(1) })
const other = createIdentity({ seed: new Uint8Array(32).fill(2) })
const api = createVcApi({ identity, clock: { now: () => now } })

type Json = Record<string, unknown>
type Signed = Json & { proof: Json }

async function post(path: string, body: object): Promise<{ status: number; body: Json }> {
  const response = await api.fetch(
    new Request(`http://localhost${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', accept: 'application/ld+json,application/json' },
      body: JSON.stringify(body)
    })
  )
  return { status: response.status, body: (await response.json()) as Json }
}

// The suites send `checks` along.
const verify = async (verifiableCredential: unknown, options: object = {}): Promise<number> =>
  (await post('/credentials/verify', { verifiableCredential, options: { checks: ['proof'], ...options } }))
    .status

const models = {
  '2.0': {
    '@context': [v2],
    id: 'urn:uuid:1f3c0d5e-6f1c-4ab5-9d2f-0a3a7f1c2b4d',
    type: ['VerifiableCredential'],
    issuer: identity.did,
    credentialSubject: { id: 'did:example:subject', name: 'Example' }
  },
  '1.1': {
    '@context': [v1, 'https://w3id.org/security/data-integrity/v2', { name: 'https://schema.org/name' }],
    id: 'urn:uuid:1f3c0d5e-6f1c-4ab5-9d2f-0a3a7f1c2b4d',
    type: ['VerifiableCredential'],
    issuer: identity.did,
    issuanceDate: '2020-03-16T22:37:26.544Z',
    credentialSubject: { id: 'did:example:subject', name: 'Example' }
  }
}
const suites: Cryptosuite[] = [eddsaJcs2022, createEddsaRdfc2022()]
const cases = suites.flatMap((suite) =>
  (['2.0', '1.1'] as const).map((model) => [suite.name, model, suite] as const)
)

/** Proof options that are signed as they stand, whatever they are. */
async function signed(document: Json, suite: Cryptosuite, changes: Json): Promise<Json> {
  const options: Json = {
    type: 'DataIntegrityProof',
    cryptosuite: suite.name,
    created: '2025-12-31T00:00:00Z',
    verificationMethod: `${identity.did}#${identity.did.slice('did:key:'.length)}`,
    proofPurpose: 'assertionMethod',
    ...changes
  }
  if (options['created'] === undefined) delete options['created']
  // `addProof` writes no such proof: a suite that hashes them in the place of its own makes one.
  const forced: Cryptosuite = {
    ...suite,
    hash: (covered, _options, more) =>
      suite.hash(
        covered,
        (suite.contextInProof ? { '@context': covered['@context'], ...options } : options) as never,
        more
      )
  }
  const made = (await addProof(document, { signer: identity, suite: forced, created: now })) as Signed
  return {
    ...document,
    proof: {
      ...(suite.contextInProof ? { '@context': document['@context'] } : {}),
      ...options,
      proofValue: made.proof['proofValue']
    }
  }
}

describe.each(cases)('a credential with a proof of %s, data model %s', (cryptosuite, model, suite) => {
  const document = models[model]
  const issue = async (): Promise<Signed> =>
    (await post('/credentials/issue', { credential: document, options: { cryptosuite } })).body as Signed

  it('is issued in the form the suites look for', async () => {
    const { status, body } = await post('/credentials/issue', {
      credential: { ...document, issuer: other.did },
      options: { cryptosuite }
    })
    expect([status, body['issuer'], body['@context']]).toEqual([201, identity.did, document['@context']])
    expect(body['proof']).toMatchObject({
      type: 'DataIntegrityProof',
      cryptosuite,
      created: '2026-01-01T00:00:00Z',
      verificationMethod: `${identity.did}#${identity.did.slice('did:key:'.length)}`,
      proofPurpose: 'assertionMethod',
      proofValue: expect.stringMatching(/^z[1-9A-HJ-NP-Za-km-z]{64,88}$/)
    })
    expect(await verify(body)).toBe(200)
    expect(await verify(body, { expectedProofPurpose: 'assertionMethod' })).toBe(200)
  })

  it.each<[string, (one: Signed) => void]>([
    ['no proof', (one) => void Reflect.deleteProperty(one, 'proof')],
    ['a proof of null', (one) => void Object.assign(one, { proof: null })],
    ['no proofs', (one) => void Object.assign(one, { proof: [] })],
    ['a proof that is a text', (one) => void Object.assign(one, { proof: 'x' })],
    ...['type', 'cryptosuite', 'verificationMethod', 'proofPurpose', 'proofValue'].flatMap(
      (name): [string, (one: Signed) => void][] => [
        [`no ${name}`, ({ proof }) => void Reflect.deleteProperty(proof, name)],
        [`a ${name} of null`, ({ proof }) => void (proof[name] = null)],
        [`a ${name} that is a number`, ({ proof }) => void (proof[name] = 2022)],
        [`a ${name} that is empty`, ({ proof }) => void (proof[name] = '')]
      ]
    ),
    ['another type', ({ proof }) => void (proof['type'] = 'UnknownProofType')],
    ['another cryptosuite', ({ proof }) => void (proof['cryptosuite'] = 'unknown-cryptosuite-2017')],
    ['the type of an older suite', ({ proof }) => void (proof['type'] = 'Ed25519Signature2020')],
    ['no prefix of its value', ({ proof }) => void (proof['proofValue'] = `${proof['proofValue']}`.slice(1))],
    ['another prefix', ({ proof }) => void (proof['proofValue'] = `u${`${proof['proofValue']}`.slice(1)}`)],
    ['a longer value', ({ proof }) => void (proof['proofValue'] = `${proof['proofValue']}1111`)],
    ['a shorter value', ({ proof }) => void (proof['proofValue'] = `${proof['proofValue']}`.slice(0, -4))],
    [
      'an undeclared claim',
      (one) => void Object.assign(one['credentialSubject'] as Json, { undeclared: 'x' })
    ],
    ['an undeclared type', (one) => void (one['type'] as string[]).push('Undeclared')],
    ['no context', (one) => void Reflect.deleteProperty(one, '@context')],
    ['no issuer', (one) => void Reflect.deleteProperty(one, 'issuer')]
  ])('is refused with %s', async (_name, change) => {
    const one = structuredClone(await issue())
    change(one)
    expect(await verify(one)).toBe(400)
  })

  it.each<[string, number, Json]>([
    ['as it is', 200, {}],
    ['without a time', 200, { created: undefined }],
    ['of a year ago', 200, { created: '2025-01-01T00:00:00Z' }],
    ['with an offset', 200, { created: '2025-12-31T02:00:00+02:00' }],
    ['with an end to come', 200, { expires: '2099-01-01T00:00:00Z' }],
    ['with a nonce', 200, { nonce: 'n' }],
    ['with an id', 200, { id: 'urn:uuid:1f3c0d5e-6f1c-4ab5-9d2f-0a3a7f1c2b4e' }],
    ['with an end that is past', 400, { expires: '2025-12-01T00:00:00Z' }],
    ['of a time that is none', 400, { created: 'invalidDate' }],
    ['of a time without zone', 400, { created: '2025-12-31T00:00:00' }],
    ['with an end that is none', 400, { expires: 'invalidDate' }],
    ['with an end without zone', 400, { expires: '2099-01-01T00:00:00' }],
    ['for another purpose', 400, { proofPurpose: 'authentication' }],
    ['for an unknown purpose', 400, { proofPurpose: 'https://example.org/#purpose' }],
    ['by a key that is none', 400, { verificationMethod: 'did:key:invalidVm' }],
    ['by a key of somebody else', 400, { verificationMethod: `${other.did}#${other.did.slice(8)}` }],
    ['over one that is not there', 400, { previousProof: 'urn:uuid:missing' }],
    ['over several that are not there', 400, { previousProof: ['urn:uuid:missing'] }]
  ])('judges a proof signed %s with %i', async (_name, status, changes) => {
    expect(await verify(await signed(document, suite, changes))).toBe(status)
  })

  it('answers whether all proofs of a set and a chain hold', async () => {
    const id = 'urn:uuid:1f3c0d5e-6f1c-4ab5-9d2f-0a3a7f1c2b4f'
    const first = await addProof(document, { signer: other, suite, created: now, id })
    const by = { signer: identity, suite, created: now }
    expect(await verify(await addProof(first, by))).toBe(200)
    for (const previousProof of [id, [id]]) {
      const chain = (await addProof(first, { ...by, previousProof })) as object as Json & { proof: Json[] }
      expect(await verify(chain)).toBe(200)
      const [one, two] = chain.proof as [Json, Json]
      const broken: [Json, Json][] = [
        [{ ...one, proofValue: 'invalidProofValue' }, two],
        [one, { ...two, previousProof: 456_321 }],
        [one, { ...two, previousProof: null }],
        [one, { ...two, previousProof: '' }],
        [one, { ...two, previousProof: 'urn:uuid:missing' }],
        [{ ...one, id: 'urn:uuid:renamed' }, two]
      ]
      for (const proof of broken) expect(await verify({ ...chain, proof })).toBe(400)
    }
  })
})

describe('a presentation', () => {
  const occasion = { domain: 'example.org/suite', challenge: 'u123' }
  const made = async (more: Json = {}): Promise<Signed> => {
    const presentation = { '@context': [v2], type: ['VerifiablePresentation'], ...more }
    const { body } = await post('/presentations', { presentation, options: occasion })
    return body['verifiablePresentation'] as Signed
  }
  const shown = async (verifiablePresentation: unknown, options: object = occasion): Promise<number> =>
    (await post('/presentations/verify', { verifiablePresentation, options })).status

  it('holds for the occasion, or where none is asked', async () => {
    const credential = (await post('/credentials/issue', { credential: models['2.0'] })).body
    for (const more of [
      {},
      { id: 'urn:uuid:1f3c0d5e-6f1c-4ab5-9d2f-0a3a7f1c2b50' },
      { verifiableCredential: [] },
      { verifiableCredential: [credential, credential] },
      { holder: { id: identity.did }, verifiableCredential: [credential] }
    ])
      for (const options of [occasion, { checks: [] }, {}])
        expect(await shown(await made(more), options)).toBe(200)
    expect(await shown(await made(), { ...occasion, challenge: 'another' })).toBe(400)
    expect(await shown(await made(), { ...occasion, domain: 'example.com' })).toBe(400)
  })

  it.each<[string, Json]>([
    ['no context', { '@context': undefined }],
    ['an empty context', { '@context': [] }],
    ['another first context', { '@context': ['https://www.w3.org/ns/credentials/examples/v2', v2] }],
    ['an unknown context', { '@context': [v2, 'https://example.com'] }],
    ['a context that is no URL', { '@context': [v2, 'https ://not-a-url/v1'] }],
    ['a context that is a number', { '@context': [v2, 123_192_875] }],
    ['no type', { type: undefined }],
    ['another type', { type: ['Other'] }],
    ['a holder that is no URL', { holder: { id: 'z6MkpJ' } }],
    ['another holder', { holder: other.did }],
    ['a credential that is a number', { verifiableCredential: [1] }],
    ['a credential that is a URL', { verifiableCredential: ['https://example.org/1'] }],
    ['a credential without proof', { verifiableCredential: [models['2.0']] }]
  ])('is refused with %s', async (_name, more) => {
    expect(await shown({ ...(await made()), ...more })).toBe(400)
  })
})
