import { expect, test } from 'vitest'
import type { DidResolver } from '@kwaai/identity'
import {
  addProof,
  eddsaJcs2022,
  present,
  verifyPresentation,
  verifyProofs,
  type Credential,
  type Presentation,
  type VerifyPresentationOptions
} from '@kwaai/identity/vc'
import { alice, digestMultibaseOf, draft, forged, issuer, now } from './forgery-kit.ts'

const resource = new TextEncoder().encode('{}')
const web = 'did:web:example.org'

/** Everything a presentation can make its verifier wait for. */
async function presented(): Promise<Presentation> {
  const full = await forged({
    credentialStatus: { type: 'ExampleStatus' },
    credentialSchema: { id: 'https://example.org/s', type: 'JsonSchema' },
    relatedResource: { id: 'https://example.org/r', digestMultibase: digestMultibaseOf(resource) }
  })
  const byWeb = await addProof(
    { ...draft, issuer: web },
    { signer: issuer, suite: eddsaJcs2022, created: now, verificationMethod: `${web}#1` }
  )
  return present([full, byWeb as Credential], alice, { now })
}

/** The options of a verification, each of whose functions goes through `called`. */
function options(called: <T>(answer: () => Promise<T>) => Promise<T>): VerifyPresentationOptions {
  const resolver: DidResolver = {
    resolve: (did) =>
      called(async () => {
        const publicKeyMultibase = issuer.did.slice('did:key:'.length)
        const method = { id: `${did}#1`, type: 'Multikey', controller: did, publicKeyMultibase }
        const didDocument = { id: did, verificationMethod: [method], assertionMethod: [method.id] }
        return { didResolutionMetadata: {}, didDocument, didDocumentMetadata: {} }
      })
  }
  return {
    now,
    resolver,
    suites: [{ ...eddsaJcs2022, hash: (...of) => called(() => eddsaJcs2022.hash(...of)) }],
    proofVerifier: (...of) => called(() => verifyProofs(...of)),
    fetchDocument: () => called(async () => ({ bytes: resource })),
    status: { check: () => called(async () => ({ ok: true })) },
    issuerPolicy: () => called(async () => true),
    replayGuard: { claim: () => called(async () => true) }
  }
}

// Proofs and hashes of three documents, a DID, a resource, a schema, a status, two policies and a guard.
const all = 13

test('without a signal a verification holds', async () => {
  let calls = 0
  const result = await verifyPresentation(
    await presented(),
    options((answer) => (calls++, answer()))
  )
  expect(result.checks.filter(({ ok }) => !ok)).toEqual([])
  expect(calls).toBe(all)
})

test.each(['answers', 'never answers'])(
  'a verification ends with the signal at whichever call it comes, when that one %s',
  async (how) => {
    const presentation = await presented()
    for (let at = 1; at <= all; at++) {
      const abort = new AbortController()
      let call = 0
      const asked = options((answer) => {
        if (++call !== at) return answer()
        queueMicrotask(() => abort.abort(new Error('gone')))
        return how === 'answers' ? answer() : new Promise(() => undefined)
      })
      const ended = verifyPresentation(presentation, { ...asked, signal: abort.signal })
      await expect(ended, `call ${at}`).rejects.toThrow('gone')
    }
  }
)
