import { describe, expect, it } from 'vitest'
import { createStatusChecker, statusEntry } from '@kwaai/identity/status'
import {
  createDidResolver,
  issue,
  verify,
  verifyProofs,
  type Credential,
  type Proof,
  type StatusEntry
} from '@kwaai/identity/vc'
import { createEddsaRdfc2022 } from '@kwaai/identity/vc-ld'
import { alice, draft, issuer, list, listUrl, mallory, now } from './forgery-kit.ts'

const rdfc = createEddsaRdfc2022()
const suites = [rdfc]
const cred = 'https://www.w3.org/2018/credentials#'
const id = 'urn:example:credential'
const contexts = draft['@context'] as readonly (string | Record<string, unknown>)[]
const dateTime = 'http://www.w3.org/2001/XMLSchema#dateTime'
const partOf = { partOf: { '@id': 'https://example.org/#partOf', '@type': '@id' } }

/** The issuer has revoked it, and it is over in a year. */
const revoked = (): Promise<Credential> =>
  issue(
    {
      ...draft,
      '@context': [...contexts, partOf],
      id,
      credentialSubject: [{ id: alice.did, role: 'librarian', partOf: id }, { id: mallory.did }],
      credentialStatus: statusEntry({ statusListCredential: listUrl, index: 5, purpose: 'revocation' })
    } as Credential,
    issuer,
    { now, suite: rdfc, expires: now + 1_000 }
  )

type Rewrite = (credential: Credential) => Record<string, unknown>
const without = (name: string, of: Credential): Record<string, unknown> =>
  Object.fromEntries(Object.entries(of).filter(([key]) => key !== name))
const terms = (more: object) => ({ '@context': [...contexts, partOf, more] })
const [subject, other] = [0, 1].map(
  (i) =>
    ({ credentialSubject: all }: Credential) =>
      (all as readonly object[])[i]
) as [(of: Credential) => object, (of: Credential) => object]

// A proof over RDF covers what a name stands for. These all mean the very same, and its signature holds.
describe('a credential in which its holder renames', () => {
  it.each<[string, Rewrite]>([
    [
      'the status to its IRI',
      (of) => ({ ...without('credentialStatus', of), [`${cred}credentialStatus`]: of.credentialStatus })
    ],
    [
      'the status to its IRI, under a prefix that is called https',
      (of) => ({
        ...without('credentialStatus', of),
        ...terms({ https: { '@id': 'https://example.org/', '@prefix': true } }),
        [`${cred}credentialStatus`]: of.credentialStatus
      })
    ],
    [
      'a part of the status',
      (of) => {
        const { statusPurpose, ...entry } = of.credentialStatus as StatusEntry
        const credentialStatus = {
          ...entry,
          'https://www.w3.org/ns/credentials/status#statusPurpose': statusPurpose
        }
        return { ...of, credentialStatus }
      }
    ],
    [
      'the end of the period',
      (of) => ({
        ...without('validUntil', of),
        ...terms({ until: { '@id': `${cred}validUntil`, '@type': dateTime } }),
        until: of.validUntil
      })
    ],
    [
      'one of its subjects',
      (of) => ({ ...of, credentialSubject: other(of), [`${cred}credentialSubject`]: subject(of) })
    ],
    [
      'the status, which an object further down says',
      (of) => {
        const { credentialStatus, ...rest } = of
        const again = { same: 'example:credential', type: 'VerifiableCredential', credentialStatus }
        return {
          ...rest,
          ...terms({ same: '@id', example: { '@id': 'urn:example:', '@prefix': true } }),
          credentialSubject: [{ ...subject(of), partOf: again }, other(of)]
        }
      }
    ],
    [
      'the status, which the subject says the other way round',
      (of) => {
        const { credentialStatus, ...rest } = of
        return {
          ...rest,
          ...terms({ of: { '@reverse': `${cred}credentialSubject` } }),
          credentialSubject: [{ ...subject(of), of: { id, [`${cred}credentialStatus`]: credentialStatus } }]
        }
      }
    ]
  ])('%s', async (_name, rewrite) => {
    const bytes = new TextEncoder().encode(JSON.stringify(await list(issuer, [5])))
    const status = createStatusChecker({}, { fetchDocument: () => Promise.resolve({ bytes }) })
    const made = await revoked()
    const { checks } = await verify(made, { now, suites, status })
    expect(checks.filter(({ ok }) => !ok).map(({ code }) => code)).not.toContain('STRUCTURE_INVALID')
    const result = await verify(rewrite(made) as Credential, { now, suites, status })
    expect(result.ok).toBe(false)
    expect(result.checks[0]?.code).toBe('STRUCTURE_INVALID')
  })

  it('the end of the proof', async () => {
    const made = await revoked()
    const { expires, ...proof } = made.proof as Proof
    const document = {
      ...made,
      ...terms({ end: { '@id': 'https://w3id.org/security#expiration', '@type': dateTime } }),
      proof: { ...proof, end: expires }
    }
    const later = { now: now + 3_600_000, suites }
    expect((await verify(document as Credential, later)).checks[0]?.code).toBe('STRUCTURE_INVALID')
    // Also where nobody looks at the names of the document.
    const outcomes = await verifyProofs(document, { ...later, resolver: createDidResolver() })
    expect(outcomes.map(({ code }) => code)).toEqual(['PROOF_NOT_CANONICAL'])
  })
})
