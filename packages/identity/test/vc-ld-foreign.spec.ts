import { DataIntegrityProof } from '@digitalbazaar/data-integrity'
import { createVerifyCryptosuite } from '@digitalbazaar/eddsa-jcs-2022-cryptosuite'
import * as vc from '@digitalbazaar/vc'
import { createIdentity } from '@kwaai/identity'
import {
  addProof,
  type Credential,
  type Presentation,
  type Proof,
  type VerifyResult
} from '@kwaai/identity/vc'
import {
  createEddsaRdfc2022,
  verifyForeignCredential,
  verifyForeignPresentation
} from '@kwaai/identity/vc-ld'
import { describe, expect, test } from 'vitest'
import { documentLoader, foreignIssue, foreignSigner, foreignSuite } from './foreign.ts'

const time = Date.parse('2026-06-01T00:00:00Z')
const now = new Date(time)
const alice = createIdentity({ seed: new Uint8Array(32).fill(1) })
const bob = createIdentity({ seed: new Uint8Array(32).fill(2) })
const mallory = createIdentity({ seed: new Uint8Array(32).fill(3) })

const unsigned = {
  '@context': ['https://www.w3.org/ns/credentials/v2', 'https://www.w3.org/ns/credentials/examples/v2'],
  type: ['VerifiableCredential'],
  issuer: alice.did,
  validFrom: '2026-01-01T00:00:00Z',
  validUntil: '2027-01-01T00:00:00Z',
  credentialSubject: { id: bob.did, alumniOf: 'The School of Examples' }
}
const issued = (change: object = {}, by = alice) =>
  foreignIssue({ ...unsigned, ...change }, by, 'eddsa-rdfc-2022', now) as unknown as Promise<Credential>
const check = (credential: Credential, options = {}) =>
  verifyForeignCredential(credential, { now: time, ...options })
const codes = ({ checks }: VerifyResult) => checks.flatMap(({ ok, code }) => (ok ? [] : [code]))

describe('a credential of others', () => {
  test('verifies, with every check', async () => {
    const credential = await issued()
    const { ok, checks, proofs } = await check(credential)
    expect(ok).toBe(true)
    expect(checks).toHaveLength(8)
    expect(proofs).toEqual([{ proof: credential.proof, ok: true, controller: alice.did }])
  })

  test.each([
    [
      'a claim changed',
      { credentialSubject: { id: bob.did, alumniOf: 'Another' } },
      ['PROOF_INVALID_SIGNATURE']
    ],
    ['another issuer', { issuer: bob.did }, ['PROOF_INVALID_SIGNATURE', 'ISSUER_NOT_CONTROLLER']],
    ['no proof', { proof: undefined }, ['PROOF_MISSING', 'ISSUER_NOT_CONTROLLER']]
  ] as [string, Partial<Credential>, string[]][])('with %s does not', async (_, change, expected) => {
    const { proof, ...rest } = { ...(await issued()), ...change }
    const credential = (proof === undefined ? rest : { ...rest, proof }) as Credential
    expect(codes(await check(credential))).toEqual(expected)
  })

  test('whose period is over says so, and that its proof holds', async () => {
    expect(codes(await check(await issued(), { now: Date.parse('2028-01-01T00:00:00Z') }))).toEqual([
      'PERIOD_OVER'
    ])
  })

  test('that can be revoked needs to be asked about, and fails when it is', async () => {
    const credentialStatus = {
      type: 'BitstringStatusListEntry',
      statusPurpose: 'revocation',
      statusListIndex: '7',
      statusListCredential: 'https://example.org/status/1'
    }
    const credential = await issued({ credentialStatus })
    expect(codes(await check(credential))).toEqual(['STATUS_UNAVAILABLE'])
    // @digitalbazaar/vc says yes to the same: the bit is in `statusResult.results`, and nobody looks.
    const checkStatus = async () => ({ verified: true, results: [{ status: true }] })
    const theirs = { credential, suite: foreignSuite('eddsa-rdfc-2022'), documentLoader, now, checkStatus }
    expect((await vc.verifyCredential(theirs)).verified).toBe(true)
    const status = { check: async () => ({ ok: false, code: 'STATUS_REVOKED' as const }) }
    expect(codes(await check(credential, { status }))).toEqual(['STATUS_REVOKED'])
  })

  test('with a proof that nobody can verify does not verify by another', async () => {
    const credential = await issued()
    const strange = { ...(credential.proof as Proof), cryptosuite: 'ecdsa-sd-2023' }
    const both = { ...credential, proof: [credential.proof as Proof, strange] }
    expect(codes(await check(both))).toEqual(['PROOF_SUITE_UNKNOWN'])
    const theirs = { credential: both, suite: foreignSuite('eddsa-rdfc-2022'), documentLoader, now }
    expect((await vc.verifyCredential(theirs as never)).verified).toBe(true)
  })

  test('is verified by the suites that are given, and never covers other proofs by them', async () => {
    const credential = await issued()
    const jcs = [new DataIntegrityProof({ cryptosuite: createVerifyCryptosuite() })]
    expect(codes(await check(credential, { foreignSuites: jcs }))).toEqual(['PROOF_SUITE_UNKNOWN'])
    const chained = await addProof(
      { ...credential, proof: { ...(credential.proof as Proof), id: 'urn:uuid:1' } },
      {
        signer: alice,
        suite: createEddsaRdfc2022(),
        created: time,
        previousProof: 'urn:uuid:1'
      }
    )
    const { proofs } = await check(chained as unknown as Credential)
    expect(proofs[1]?.code).toBe('PROOF_SUITE_UNKNOWN')
  })

  test('for another purpose, from the future or by an unknown key does not', async () => {
    const credential = await issued()
    const changed = (change: Partial<Proof>) =>
      check({ ...credential, proof: { ...(credential.proof as Proof), ...change } })
    expect(codes(await changed({ proofPurpose: 'authentication' }))).toContain('PROOF_WRONG_PURPOSE')
    expect(codes(await changed({ created: '2026-06-02T00:00:00Z' }))).toContain('PROOF_FROM_THE_FUTURE')
    expect(codes(await changed({ verificationMethod: 'did:web:a.example#1' }))).toContain(
      'PROOF_METHOD_UNRESOLVED'
    )
    expect(codes(await changed({ nonce: 'n' }))).toEqual(['PROOF_INVALID_SIGNATURE'])
    expect(codes(await changed({ created: 'x' }))).toContain('PROOF_MALFORMED')
  })
})

describe('a presentation of others', () => {
  const shown = async (holder: string, signer = bob): Promise<Presentation> => {
    const presentation = vc.createPresentation({ verifiableCredential: [await issued()], holder, now })
    return vc.signPresentation({
      presentation,
      suite: await foreignSigner('eddsa-rdfc-2022', signer, now),
      challenge: 'c',
      domain: 'example.org',
      documentLoader
    }) as unknown as Promise<Presentation>
  }
  const checkShown = (presentation: Presentation, options = {}) =>
    verifyForeignPresentation(presentation, { now: time, challenge: 'c', domain: 'example.org', ...options })

  test('verifies', async () => {
    const { ok, credentials } = await checkShown(await shown(bob.did))
    expect([ok, credentials.map((one) => one.ok)]).toEqual([true, [true]])
  })

  test('signed by another than its holder does not, though @digitalbazaar/vc says yes', async () => {
    const presentation = await shown(bob.did, mallory)
    const suite = foreignSuite('eddsa-rdfc-2022')
    const theirs = { presentation, suite, challenge: 'c', domain: 'example.org', documentLoader, now }
    expect((await vc.verify(theirs)).verified).toBe(true)
    expect(codes(await checkShown(presentation))).toContain('HOLDER_NOT_SIGNER')
  })

  test('of a credential about somebody else does not, unless that is allowed', async () => {
    const presentation = await shown(mallory.did, mallory)
    expect(codes(await checkShown(presentation))).toContain('SUBJECT_NOT_HOLDER')
    expect((await checkShown(presentation, { requireSubjectIsHolder: false })).ok).toBe(true)
  })

  test('for another challenge or domain does not', async () => {
    const presentation = await shown(bob.did)
    expect(codes(await checkShown(presentation, { challenge: 'd' }))).toContain('PROOF_WRONG_CHALLENGE')
    expect(codes(await checkShown(presentation, { domain: 'example.com' }))).toContain('PROOF_WRONG_DOMAIN')
  })
})
