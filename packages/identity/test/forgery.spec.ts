import { base58btc } from 'multiformats/bases/base58'
import { base64url } from 'multiformats/bases/base64'
import { describe, expect, it } from 'vitest'
import { createStatusChecker } from '@kwaai/identity/status'
import {
  addProof,
  eddsaJcs2022,
  issue,
  verify,
  type CheckFault,
  type CheckName,
  type Credential,
  type Proof,
  type VerifyOptions
} from '@kwaai/identity/vc'
import { createFakeClock } from '@kwaai/testing'
import {
  alice,
  bomb,
  draft,
  examples,
  faults,
  forged,
  genuine,
  issuer,
  list,
  mallory,
  now,
  proofOf,
  v2,
  withStatus
} from './forgery-kit.ts'

type Attack = [check: CheckName, code: CheckFault, make: () => Promise<[Credential | string, VerifyOptions?]>]

const smallOrder = base58btc.encode(new Uint8Array([0xed, 0x01, 1, ...new Uint8Array(31)]))

const attacks: Record<string, Attack> = {
  'the issuer is swapped': [
    'proof',
    'PROOF_INVALID_SIGNATURE',
    async () => [{ ...(await genuine()), issuer: mallory.did }]
  ],
  'the issuer is swapped, and it is told by the controller too': [
    'controller',
    'ISSUER_NOT_CONTROLLER',
    async () => [{ ...(await genuine()), issuer: mallory.did }]
  ],
  // Upstream (a): the key came from the proof alone, so that anybody could sign for anybody.
  'a foreign key signs in the name of the issuer': [
    'controller',
    'ISSUER_NOT_CONTROLLER',
    async () => [await forged({}, mallory)]
  ],
  'the method of the issuer is put over a foreign signature': [
    'proof',
    'PROOF_INVALID_SIGNATURE',
    async () => {
      const credential = await forged({}, mallory)
      const { verificationMethod } = proofOf(await genuine())
      return [{ ...credential, proof: { ...proofOf(credential), verificationMethod } }]
    }
  ],
  'a method of the issuer with the key of another': [
    'proof',
    'PROOF_METHOD_NOT_ALLOWED',
    async () => {
      const credential = await genuine()
      const verificationMethod = `${issuer.did}#${mallory.did.slice('did:key:'.length)}`
      return [{ ...credential, proof: { ...proofOf(credential), verificationMethod } }]
    }
  ],
  'the issuer is an object with another id': [
    'controller',
    'ISSUER_NOT_CONTROLLER',
    async () => [await forged({ issuer: { id: issuer.did, name: mallory.did } }, mallory)]
  ],
  'a claim is changed': [
    'proof',
    'PROOF_INVALID_SIGNATURE',
    async () => [{ ...(await genuine()), credentialSubject: { id: alice.did, role: 'director', level: 3 } }]
  ],
  'a claim is added': [
    'proof',
    'PROOF_INVALID_SIGNATURE',
    async () => [
      { ...(await genuine()), credentialSubject: { ...draft.credentialSubject, more: true } as never }
    ]
  ],
  'a claim is taken away': [
    'proof',
    'PROOF_INVALID_SIGNATURE',
    async () => [{ ...(await genuine()), credentialSubject: { id: alice.did, role: 'librarian' } }]
  ],
  'the period is made longer': [
    'proof',
    'PROOF_INVALID_SIGNATURE',
    async () => [{ ...(await genuine()), validUntil: '2036-06-01T00:00:00Z' }]
  ],
  'the proof is stripped': [
    'proof',
    'PROOF_MISSING',
    async () => {
      const { proof: _, ...rest } = await genuine()
      return [rest as Credential]
    }
  ],
  'the proofs are an empty set': [
    'proof',
    'PROOF_MISSING',
    async () => [{ ...(await genuine()), proof: [] }]
  ],
  'the proof is of another document': [
    'proof',
    'PROOF_INVALID_SIGNATURE',
    async () => [
      { ...(await genuine()), proof: proofOf(await genuine({ credentialSubject: { id: mallory.did } })) }
    ]
  ],
  'a proof that does not hold is beside one that does': [
    'proof',
    'PROOF_INVALID_SIGNATURE',
    async () => {
      const credential = await genuine()
      const bad = { ...proofOf(credential), created: '2025-12-31T00:00:00Z' }
      return [{ ...credential, proof: [proofOf(credential), bad] }]
    }
  ],
  // Upstream (d): a signature under the name of a suite that it is not of.
  'a proof of another type is beside one that holds': [
    'proof',
    'PROOF_SUITE_UNKNOWN',
    async () => {
      const credential = await genuine()
      return [
        {
          ...credential,
          proof: [proofOf(credential), { ...proofOf(credential), type: 'Ed25519Signature2020' }]
        }
      ]
    }
  ],
  'a proof of a chain without the one before': [
    'proof',
    'PROOF_PREVIOUS_MISSING',
    async () => {
      const first = await issue(draft, issuer, { now, proofId: 'urn:uuid:1' })
      const second = await addProof(first, {
        signer: mallory,
        suite: eddsaJcs2022,
        created: now,
        previousProof: 'urn:uuid:1'
      })
      return [{ ...second, proof: (second.proof as Proof[])[1] as Proof }]
    }
  ],
  'a signature made for another purpose': [
    'proof',
    'PROOF_WRONG_PURPOSE',
    async () => [await forged({}, issuer, { proofPurpose: 'authentication' })]
  ],
  'the purpose is changed after signing': [
    'proof',
    'PROOF_INVALID_SIGNATURE',
    async () => {
      const credential = await forged({}, issuer, { proofPurpose: 'authentication' })
      return [{ ...credential, proof: { ...proofOf(credential), proofPurpose: 'assertionMethod' } }]
    }
  ],
  'a signature of a bare message is put into a proof': [
    'proof',
    'PROOF_INVALID_SIGNATURE',
    async () => {
      const credential = await genuine()
      const { proof, ...rest } = credential
      const proofValue = base58btc.encode(await issuer.sign(new TextEncoder().encode(JSON.stringify(rest))))
      return [{ ...credential, proof: { ...(proof as Proof), proofValue } }]
    }
  ],
  'a key of small order': [
    'proof',
    'PROOF_METHOD_UNRESOLVED',
    async () => {
      const credential = await genuine()
      const did = `did:key:${smallOrder}`
      const proof = {
        ...proofOf(credential),
        verificationMethod: `${did}#${smallOrder}`,
        proofValue: base58btc.encode(new Uint8Array([1, ...new Uint8Array(63)]))
      }
      return [{ ...credential, issuer: did, proof }]
    }
  ],
  'the proof is of tomorrow': [
    'proof',
    'PROOF_FROM_THE_FUTURE',
    async () => [await issue(draft, issuer, { now: now + 86_400_000 })]
  ],
  'the proof has expired': [
    'proof',
    'PROOF_EXPIRED',
    async () => [await issue(draft, issuer, { now: now - 86_400_000, expires: now - 3_600_000 })]
  ],
  // Upstream (f): what is of the future counted as new.
  'the period has not begun': [
    'period',
    'PERIOD_NOT_YET',
    async () => [await genuine({ validFrom: '2026-03-01T00:00:00Z' })]
  ],
  'the period is over': [
    'period',
    'PERIOD_OVER',
    async () => [await genuine({ validUntil: '2025-12-01T00:00:00Z' })]
  ],
  // Upstream (e): there was no revocation.
  'it was revoked': ['status', 'STATUS_REVOKED', async () => withStatus(await list(issuer, [7]))],
  'it was suspended': [
    'status',
    'STATUS_SUSPENDED',
    async () => withStatus(await list(issuer, [7], 'suspension'), 'suspension')
  ],
  'the list is by another issuer': [
    'status',
    'STATUS_INVALID',
    async () => withStatus(await list(mallory, []))
  ],
  'the list is for another purpose': [
    'status',
    'STATUS_INVALID',
    async () => withStatus(await list(issuer, [], 'suspension'))
  ],
  'the list is not signed': [
    'status',
    'STATUS_INVALID',
    async () => {
      const { proof: _, ...rest } = await list(issuer, [])
      return withStatus(rest)
    }
  ],
  'the list is a decompression bomb': [
    'status',
    'STATUS_INVALID',
    async () => {
      const published = await list(issuer, [])
      const { proof: _, ...rest } = published
      const credentialSubject = { ...(rest.credentialSubject as object), encodedList: await bomb() }
      return withStatus(await issue({ ...rest, credentialSubject } as Credential, issuer, { now }))
    }
  ],
  'the list cannot be had': [
    'status',
    'STATUS_UNAVAILABLE',
    async () => [
      (await withStatus(null))[0],
      {
        status: createStatusChecker(
          {},
          { fetchDocument: () => Promise.reject(new Error('no route')), clock: createFakeClock({ now }) }
        )
      }
    ]
  ],
  'nobody can be asked for the status': [
    'status',
    'STATUS_UNAVAILABLE',
    async () => [(await withStatus(null))[0]]
  ],
  'the status is stripped': [
    'proof',
    'PROOF_INVALID_SIGNATURE',
    async () => {
      const { credentialStatus: _, ...rest } = (await withStatus(null))[0]
      return [rest as Credential]
    }
  ],
  'a name stands twice': [
    'structure',
    'STRUCTURE_INVALID',
    async () => [JSON.stringify(await genuine()).replace('"role":', '"role":"director","role":')]
  ],
  'a name stands twice, once escaped': [
    'structure',
    'STRUCTURE_INVALID',
    async () => [JSON.stringify(await genuine()).replace('"role":', '"r\\u006fle":"director","role":')]
  ],
  '__proto__ is a claim': [
    'structure',
    'STRUCTURE_INVALID',
    async () => [JSON.stringify(await genuine()).replace('"role":', '"__proto__":{"admin":true},"role":')]
  ],
  '__proto__ is a claim of an object': [
    'structure',
    'STRUCTURE_INVALID',
    async () => [
      { ...(await genuine()), credentialSubject: JSON.parse('{"__proto__":{"admin":true}}') as never }
    ]
  ],
  'half of a surrogate pair': [
    'structure',
    'STRUCTURE_INVALID',
    async () => [JSON.stringify(await genuine()).replace('librarian', '\\ud800')]
  ],
  'an unknown context': [
    'structure',
    'CONTEXT_UNKNOWN',
    async () => [await forged({ '@context': [v2, 'https://example.org/c'] })]
  ],
  'an undeclared term': [
    'structure',
    'TERM_UNDECLARED',
    async () => [await forged({ '@context': [v2], type: ['VerifiableCredential'] })]
  ],
  'a protected term is redefined': [
    'structure',
    'STRUCTURE_INVALID',
    async () => [await forged({ '@context': [v2, examples, { name: 'https://example.org/#ignored' }] })]
  ],
  'the context of the proof is another than that of the document': [
    'proof',
    'PROOF_NOT_CANONICAL',
    async () => {
      const credential = await genuine()
      return [
        {
          ...credential,
          '@context': [
            v2,
            {
              role: 'https://example.org/#enemy',
              level: 'https://example.org/#l',
              LibraryCard: 'https://example.org/#L'
            }
          ]
        }
      ]
    }
  ],
  'an enveloped credential': [
    'structure',
    'STRUCTURE_INVALID',
    async () => [
      { '@context': [v2], id: 'data:application/vc+jwt,eyJ', type: 'EnvelopedVerifiableCredential' } as never
    ]
  ],
  'an issuer who may not issue the type': [
    'issuerPolicy',
    'ISSUER_NOT_AUTHORIZED',
    async () => [await genuine({}, mallory), { issuerPolicy: ({ issuer: who }) => who === issuer.did }]
  ],
  'a policy that cannot be asked': [
    'issuerPolicy',
    'ISSUER_NOT_AUTHORIZED',
    async () => [await genuine(), { issuerPolicy: () => Promise.reject(new Error('no route')) }]
  ],
  'it is about somebody else': [
    'subjectBinding',
    'SUBJECT_NOT_HOLDER',
    async () => [await genuine(), { holder: mallory.did }]
  ],
  'it is about somebody else too': [
    'subjectBinding',
    'SUBJECT_NOT_HOLDER',
    async () => [
      await genuine({
        credentialSubject: [
          { id: alice.did, role: 'x' },
          { id: mallory.did, role: 'y' }
        ]
      }),
      { holder: alice.did }
    ]
  ],
  'a schema nobody can fetch': [
    'schema',
    'SCHEMA_UNAVAILABLE',
    async () => [await genuine({ credentialSchema: { id: 'https://example.org/s', type: 'JsonSchema' } })]
  ],
  'a digest of a related resource that is not its': [
    'schema',
    'RESOURCE_MISMATCH',
    async () => [
      await forged({ relatedResource: { id: v2, digestMultibase: base64url.encode(new Uint8Array(32)) } })
    ]
  ]
}

describe('a credential is refused when', () => {
  it.each(Object.entries(attacks))('%s', async (_name, [check, code, make]) => {
    const [credential, options = {}] = await make()
    const result = await verify(credential, { now, ...options })
    expect(result.ok).toBe(false)
    expect(faults(result)[check]).toBe(code)
    expect(result.checks).toHaveLength(8)
  })
})

describe('a credential still holds when', () => {
  // Upstream (c): claims in another order did not verify.
  it('its claims and members are in another order', async () => {
    const credential = await genuine()
    const turned = (value: unknown): unknown =>
      typeof value === 'object' && value !== null && !Array.isArray(value)
        ? Object.fromEntries(
            Object.entries(value)
              .toReversed()
              .map(([name, member]) => [name, turned(member)])
          )
        : value
    expect((await verify(JSON.stringify(turned(credential)), { now, holder: alice.did })).ok).toBe(true)
  })

  it('somebody else signs it too', async () => {
    const both = (await addProof(await genuine(), {
      signer: mallory,
      suite: eddsaJcs2022,
      created: now
    })) as Credential
    const result = await verify(both, { now })
    expect([result.ok, result.proofs.map(({ controller }) => controller)]).toEqual([
      true,
      [issuer.did, mallory.did]
    ])
  })

  it('its list says nothing of it', async () => {
    const [credential, options] = await withStatus(await list(issuer, [6, 8]))
    expect(faults(await verify(credential, { now, ...options }))).toEqual({})
  })
})

it('asks nobody on behalf of what does not hold', async () => {
  const asked: string[] = []
  const status = { check: () => (asked.push('status'), Promise.resolve({ ok: true })) }
  const fetchDocument = (url: string) => (asked.push(url), Promise.resolve(undefined))
  const credential = await forged(
    {
      credentialStatus: { type: 'BitstringStatusListEntry' },
      credentialSchema: { id: 'https://example.org/s', type: 'JsonSchema' },
      relatedResource: { id: 'https://example.org/r', digestMultibase: base64url.encode(new Uint8Array(32)) }
    },
    mallory
  )
  const issuerPolicy = () => asked.push('policy') > 0
  const result = await verify(credential, { now, status, fetchDocument, issuerPolicy })
  expect(faults(result)).toEqual({
    controller: 'ISSUER_NOT_CONTROLLER',
    status: 'NOT_CHECKED',
    schema: 'NOT_CHECKED',
    issuerPolicy: 'NOT_CHECKED'
  })
  expect(asked).toEqual([])
})
