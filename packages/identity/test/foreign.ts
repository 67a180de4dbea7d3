import { DataIntegrityProof } from '@digitalbazaar/data-integrity'
import { driver } from '@digitalbazaar/did-method-key'
import * as Ed25519Multikey from '@digitalbazaar/ed25519-multikey'
import { createSignCryptosuite, createVerifyCryptosuite } from '@digitalbazaar/eddsa-jcs-2022-cryptosuite'
import { cryptosuite as rdfcCryptosuite } from '@digitalbazaar/eddsa-rdfc-2022-cryptosuite'
import * as vc from '@digitalbazaar/vc'
import type { Identity } from '@kwaai/identity'
import { bundledContexts } from '@kwaai/identity/vc'
import fc from 'fast-check'
import { base58btc } from 'multiformats/bases/base58'

// @digitalbazaar/vc as its own README uses it: what our credentials have to agree with.

export type SuiteName = 'eddsa-jcs-2022' | 'eddsa-rdfc-2022'

const didKey = driver()
didKey.use({ multibaseMultikeyHeader: 'z6Mk', fromMultibase: Ed25519Multikey.from })

/** Serves did:key and the bundled contexts. */
export async function documentLoader(url: string): Promise<unknown> {
  const document = url.startsWith('did:key:') ? await didKey.get({ url }) : bundledContexts.get(url)
  if (document === undefined) throw new Error(`unknown: ${url}`)
  return { contextUrl: null, documentUrl: url, document, tag: 'static' }
}

/** A suite that signs. */
export async function foreignSigner(name: SuiteName, identity: Identity, now: Date): Promise<object> {
  const multibase = identity.did.slice('did:key:'.length)
  const key = await Ed25519Multikey.from({
    '@context': 'https://w3id.org/security/multikey/v1',
    type: 'Multikey',
    id: `${identity.did}#${multibase}`,
    controller: identity.did,
    publicKeyMultibase: multibase,
    secretKeyMultibase: base58btc.encode(new Uint8Array([0x80, 0x26, ...identity.exportSeed()]))
  })
  const cryptosuite = name === 'eddsa-jcs-2022' ? createSignCryptosuite() : rdfcCryptosuite
  return new DataIntegrityProof({ signer: key.signer(), date: now, cryptosuite })
}

/** A suite that verifies. */
export function foreignSuite(name: SuiteName): object {
  return new DataIntegrityProof({
    cryptosuite: name === 'eddsa-jcs-2022' ? createVerifyCryptosuite() : rdfcCryptosuite
  })
}

/** A credential issued by @digitalbazaar/vc. */
export async function foreignIssue(credential: object, identity: Identity, name: SuiteName, now: Date) {
  const suite = await foreignSigner(name, identity, now)
  return vc.issue({ credential: structuredClone(credential), suite, documentLoader, now })
}

/** Whether @digitalbazaar/vc takes a credential; its error where it does not. */
export async function foreignVerify(credential: object, name: SuiteName, now: Date): Promise<unknown> {
  const suite = foreignSuite(name)
  const { verified, error } = await vc.verifyCredential({ credential, suite, documentLoader, now })
  return verified || error
}

// Names that the example context declares, whatever they are: letters of several scripts, none a term of the core.
const claimName = fc.stringMatching(/^x[A-Za-z0-9éßжλ]{1,8}$/)
const text = fc.oneof(fc.string({ unit: 'binary', maxLength: 24 }), fc.string({ maxLength: 24 }))
const scalar = fc.oneof(
  text,
  fc.boolean(),
  fc.integer(),
  fc.double({ noNaN: true, noDefaultInfinity: true, min: -1e20, max: 1e20 })
)
const { claims } = fc.letrec<{ claims: Record<string, unknown> }>((tie) => ({
  claims: fc.dictionary(
    claimName,
    fc.oneof(
      { depthSize: 'small', withCrossShrink: true },
      scalar,
      fc.array(scalar, { maxLength: 4 }),
      fc.array(tie('claims'), { minLength: 1, maxLength: 2 }),
      tie('claims')
    ),
    { minKeys: 1, maxKeys: 5 }
  )
}))

/** Credentials of all shapes, without inline contexts: the JCS suite of @digitalbazaar never takes those. */
export const credentials = (issuer: Identity): fc.Arbitrary<Record<string, unknown>> =>
  fc
    .record(
      {
        id: fc.uuid().map((uuid) => `urn:uuid:${uuid}`),
        name: text,
        validUntil: fc.constant('2030-01-01T00:00:00Z'),
        subject: fc.oneof(claims, fc.array(claims, { minLength: 1, maxLength: 2 })),
        named: fc.boolean()
      },
      { requiredKeys: ['subject', 'named'] }
    )
    .map(({ subject, named, ...rest }) => ({
      '@context': ['https://www.w3.org/ns/credentials/v2', 'https://www.w3.org/ns/credentials/examples/v2'],
      type: ['VerifiableCredential', 'ExampleCredential'],
      issuer: named ? { id: issuer.did, name: 'An issuer' } : issuer.did,
      validFrom: '2026-01-01T00:00:00Z',
      credentialSubject: subject,
      ...rest
    }))
