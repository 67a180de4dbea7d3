import * as vc from '@digitalbazaar/vc'
import { DataIntegrityProof } from '@digitalbazaar/data-integrity'
import * as multikey from '@digitalbazaar/ed25519-multikey'
import { cryptosuite } from '@digitalbazaar/eddsa-rdfc-2022-cryptosuite'
import { expect, it } from 'vitest'
import { bundledContexts } from '@kwaai/identity/vc'
import { createVcApi } from '@kwaai/identity/vc-api'

const api = createVcApi({})
const v2 = 'https://www.w3.org/ns/credentials/v2'

async function verifyPresentation(
  verifiablePresentation: unknown
): Promise<{ status: number; code: unknown }> {
  const response = await api.fetch(
    new Request('http://localhost/presentations/verify', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ verifiablePresentation, options: { checks: [] } })
    })
  )
  const { code, ...rest } = (await response.json()) as Record<string, unknown>
  return { status: response.status, code: code ?? rest['verified'] }
}

/** As the public suites of the data model make them: each credential and the presentation under one key. */
async function foreignPresentation(presentation: Record<string, unknown>): Promise<Record<string, unknown>> {
  const did = 'did:key:z6MkpJySvETLnxhQG9DzEdmKJtysBDjuuTeDfUj1uNNCUqcj'
  const publicKeyMultibase = did.slice('did:key:'.length)
  const pair = await multikey.from({
    type: 'Multikey',
    id: `${did}#${publicKeyMultibase}`,
    controller: did,
    publicKeyMultibase,
    // Published in the test suite of VC Data Model 2.0.
    secretKeyMultibase:
      'zrv1a6V2qqSGkBz7QPw4yJedKc8X9dEdug7c3MEzNUDVEmkyVcXtTWNLQLArgKXzN7LbGMTVjqE2CbdrqpnxqtxmY1M'
  })
  const suite = new DataIntegrityProof({ signer: pair.signer(), cryptosuite })
  const documentLoader = (url: string): Promise<object> => {
    const document = bundledContexts.get(url)
    return document === undefined
      ? Promise.reject(new Error(`no ${url}`))
      : Promise.resolve({ contextUrl: null, documentUrl: url, document })
  }
  const credentials = (presentation['verifiableCredential'] ?? []) as Record<string, unknown>[]
  const verifiableCredential = await Promise.all(
    credentials.map((credential) =>
      vc.issue({ credential: { ...credential, issuer: did }, suite, documentLoader })
    )
  )
  const signed = await vc.signPresentation({
    presentation: { ...presentation, verifiableCredential },
    challenge: 'u123',
    domain: 'example.org',
    suite,
    documentLoader
  })
  return signed as Record<string, unknown>
}

const holder = 'did:key:z6MkpJySvETLnxhQG9DzEdmKJtysBDjuuTeDfUj1uNNCUqcj'
const presentation = { '@context': [v2], type: ['VerifiablePresentation'] }
const credential = {
  '@context': [v2],
  type: ['VerifiableCredential'],
  credentialSubject: { id: 'did:example:subject' }
}

it.each<[string, Record<string, unknown>, object]>([
  ['without holder and credentials', presentation, { status: 200, code: true }],
  [
    'with a holder',
    { ...presentation, holder, verifiableCredential: [credential, credential] },
    { status: 200, code: true }
  ],
  [
    'with a holder object',
    { ...presentation, holder: { id: holder }, verifiableCredential: [credential] },
    { status: 200, code: true }
  ],
  [
    'with an object as context',
    {
      ...presentation,
      '@context': [v2, { Shown: 'https://example.org/#Shown' }],
      type: ['VerifiablePresentation', 'Shown']
    },
    { status: 200, code: true }
  ],
  [
    'of its own credential without holder',
    { ...presentation, verifiableCredential: [credential] },
    { status: 200, code: true }
  ],
  [
    'of another holder',
    { ...presentation, holder: 'did:example:acme', verifiableCredential: [credential] },
    { status: 400, code: 'HOLDER_NOT_SIGNER' }
  ]
])('judges a presentation of @digitalbazaar/vc %s', async (_name, made, expected) => {
  expect(await verifyPresentation(await foreignPresentation(made))).toEqual(expected)
})

it('refuses one that was changed', async () => {
  const signed = await foreignPresentation(presentation)
  const proof = signed['proof'] as Record<string, unknown>
  expect(
    (
      await verifyPresentation({
        ...signed,
        proof: { ...proof, proofValue: 'z5nmMBw2u9TGKd9NxxHJtyZKgjN2Eh' }
      })
    ).code
  ).toBe('PROOF_MALFORMED')
  const { '@context': _, ...without } = signed
  expect((await verifyPresentation(without)).status).toBe(400)
  for (const context of ['https://example.com', 'https ://not-a-url/v1', 123192875, null])
    expect((await verifyPresentation({ ...signed, '@context': [v2, context] })).status).toBe(400)
})
