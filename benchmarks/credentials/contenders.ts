import { DataIntegrityProof } from '@digitalbazaar/data-integrity'
import { driver } from '@digitalbazaar/did-method-key'
import * as Ed25519Multikey from '@digitalbazaar/ed25519-multikey'
import { createSignCryptosuite, createVerifyCryptosuite } from '@digitalbazaar/eddsa-jcs-2022-cryptosuite'
import { cryptosuite as rdfcCryptosuite } from '@digitalbazaar/eddsa-rdfc-2022-cryptosuite'
import * as vc from '@digitalbazaar/vc'
import { createIdentity, type Identity } from '@kwaai/identity'
import {
  addProof,
  bundledContexts,
  eddsaJcs2022,
  issue,
  verify,
  verifyProofs,
  type Credential,
  type Cryptosuite
} from '@kwaai/identity/vc'
import { createEddsaRdfc2022 } from '@kwaai/identity/vc-ld'

/** One thing to do with one of the documents; it throws when it does not come out right. */
export type Work = (at: number) => Promise<void>

export const documents = 64
const now = new Date('2026-06-01T00:00:00Z')
const time = now.getTime()
const issuers = Array.from({ length: 4 }, (_, i) => createIdentity({ seed: new Uint8Array(32).fill(i + 1) }))
const issuerOf = (at: number): Identity => issuers[at % issuers.length] as Identity

/** A credential of the usual size, about 700 bytes; no two are equal. */
function unsigned(at: number): Record<string, unknown> {
  return {
    '@context': ['https://www.w3.org/ns/credentials/v2', 'https://www.w3.org/ns/credentials/examples/v2'],
    id: `urn:uuid:58172aac-d8ba-11ed-83dd-${String(at).padStart(12, '0')}`,
    type: ['VerifiableCredential', 'ExampleUptimeCredential'],
    issuer: issuerOf(at).did,
    validFrom: '2026-01-01T00:00:00Z',
    validUntil: '2027-01-01T00:00:00Z',
    credentialSubject: {
      id: issuerOf(at + 1).did,
      uptimeRatio: 0.99 - at / 1000,
      observedFrom: '2025-12-01T00:00:00Z',
      observations: 2880 + at,
      regions: ['eu-central', 'eu-north'],
      hardware: { memoryGiB: 64, cores: 16, accelerator: 'none' }
    }
  }
}

const examples = 'https://www.w3.org/ns/credentials/examples/v2'
const rdfc = createEddsaRdfc2022()

const didKey = driver()
didKey.use({ multibaseMultikeyHeader: 'z6Mk', fromMultibase: Ed25519Multikey.from })
const loaded = new Map<string, unknown>()

/** Keys are warm: what was derived from a did:key once is kept. */
async function documentOf(url: string): Promise<unknown> {
  let document = loaded.get(url)
  if (document === undefined) {
    document = await didKey.get({ url })
    loaded.set(url, document)
  }
  return document
}

/** As the README of @digitalbazaar/vc has it: what it bundles by its own loader, the rest by one of the caller's. */
async function documentLoader(url: string): Promise<unknown> {
  if (url.startsWith('did:key:'))
    return { contextUrl: null, documentUrl: url, document: await documentOf(url) }
  if (url === examples) return { contextUrl: null, documentUrl: url, document: bundledContexts.get(url) }
  return vc.defaultDocumentLoader(url)
}

/** The same, marked as the processor of linked data wants it marked to keep contexts; its README does not say so. */
async function taggedLoader(url: string): Promise<unknown> {
  return { ...((await documentLoader(url)) as object), tag: 'static' }
}

async function foreignKey(identity: Identity): Promise<{ signer(): unknown }> {
  const id = `${identity.did}#${identity.did.slice('did:key:'.length)}`
  return Ed25519Multikey.generate({ id, controller: identity.did, seed: identity.exportSeed() })
}

function held(yes: boolean): void {
  if (!yes) throw new Error('What was issued does not verify')
}

/** All that is compared, by name. */
export async function createWorks(): Promise<Record<string, Work>> {
  const plain = Array.from({ length: documents }, (_, at) => unsigned(at))
  const signers = await Promise.all(issuers.map(async (one) => (await foreignKey(one)).signer()))
  const at = <T>(list: readonly T[], i: number): T => list[i % list.length] as T
  const sign = (i: number, suite: Cryptosuite): Promise<object> =>
    addProof(at(plain, i), { signer: issuerOf(i), suite, created: time })
  const jcsSigned = (await Promise.all(plain.map((_, i) => sign(i, eddsaJcs2022)))) as Credential[]
  const rdfcSigned = (await Promise.all(plain.map((_, i) => sign(i, rdfc)))) as Credential[]
  const foreignVerify =
    (signed: readonly object[], cryptosuite: unknown, loader = documentLoader): Work =>
    async (i) => {
      const suite = new DataIntegrityProof({ cryptosuite })
      const credential = at(signed, i)
      held((await vc.verifyCredential({ credential, suite, documentLoader: loader, now })).verified)
    }
  const foreignIssue =
    (cryptosuite: () => unknown, loader = documentLoader): Work =>
    async (i) => {
      const suite = new DataIntegrityProof({ signer: at(signers, i), date: now, cryptosuite: cryptosuite() })
      // `issue` writes into what it is given.
      await vc.issue({ credential: { ...at(plain, i) }, suite, documentLoader: loader, now })
    }
  const nobody = { resolve: () => Promise.reject(new Error('did:key needs no resolver')) }
  const options = { suites: [eddsaJcs2022], resolver: nobody, now: time }
  return {
    'ours verify JCS': async (i) => held((await verify(at(jcsSigned, i), { now: time })).ok),
    'ours proof JCS': async (i) =>
      held((await verifyProofs(at(jcsSigned, i), options)).every(({ ok }) => ok)),
    'ours verify RDFC': async (i) =>
      held((await verify(at(rdfcSigned, i), { now: time, suites: [rdfc] })).ok),
    'theirs verify JCS': foreignVerify(jcsSigned, createVerifyCryptosuite()),
    'theirs verify RDFC': foreignVerify(rdfcSigned, rdfcCryptosuite),
    'theirs verify RDFC, kept contexts': foreignVerify(rdfcSigned, rdfcCryptosuite, taggedLoader),
    'ours issue JCS': async (i) => void (await issue(at(plain, i) as never, issuerOf(i), { now: time })),
    'ours issue RDFC': async (i) =>
      void (await issue(at(plain, i) as never, issuerOf(i), { now: time, suite: rdfc })),
    'theirs issue JCS': foreignIssue(createSignCryptosuite),
    'theirs issue RDFC': foreignIssue(() => rdfcCryptosuite),
    'theirs issue RDFC, kept contexts': foreignIssue(() => rdfcCryptosuite, taggedLoader)
  }
}
