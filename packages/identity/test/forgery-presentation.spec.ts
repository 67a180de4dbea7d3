import { describe, expect, it } from 'vitest'
import type { Identity } from '@kwaai/identity'
import {
  addProof,
  createReplayGuard,
  eddsaJcs2022,
  present,
  verifyPresentation,
  type CheckFault,
  type CheckName,
  type Credential,
  type Presentation,
  type Proof,
  type VerifyPresentationOptions,
  type VerifyPresentationResult
} from '@kwaai/identity/vc'
import { createFakeClock } from '@kwaai/testing'
import { alice, draft, faults, forged, genuine, issuer, mallory, now } from './forgery-kit.ts'

const occasion = { challenge: 'c-1', domain: 'example.org' }
const shown = async (by: Identity = alice, more: Credential[] = []): Promise<Presentation> =>
  present([await genuine(), ...more], by, { now, ...occasion })

type Misuse = [
  check: CheckName,
  code: CheckFault,
  make: () => Promise<[Presentation | string, VerifyPresentationOptions?]>
]

const misuses: Record<string, Misuse> = {
  'the holder is another than who signed': [
    'controller',
    'HOLDER_NOT_SIGNER',
    async () => {
      const { proof: _, ...rest } = await shown(alice)
      return [
        (await addProof(rest, {
          signer: mallory,
          suite: eddsaJcs2022,
          created: now,
          proofPurpose: 'authentication',
          ...occasion
        })) as Presentation
      ]
    }
  ],
  'the holder is changed after signing': [
    'proof',
    'PROOF_INVALID_SIGNATURE',
    async () => [{ ...(await shown(mallory)), holder: alice.did }]
  ],
  'it is by another than who was expected': [
    'controller',
    'HOLDER_NOT_SIGNER',
    async () => [await shown(), { holder: mallory.did }]
  ],
  'a stranger presents a stolen credential': [
    'subjectBinding',
    'SUBJECT_NOT_HOLDER',
    async () => [await shown(mallory)]
  ],
  'it answers another challenge': [
    'proof',
    'PROOF_WRONG_CHALLENGE',
    async () => [await shown(), { challenge: 'c-2' }]
  ],
  'it is for another domain': [
    'proof',
    'PROOF_WRONG_DOMAIN',
    async () => [await shown(), { domain: 'example.com' }]
  ],
  'it answers no challenge': [
    'proof',
    'PROOF_WRONG_CHALLENGE',
    async () => [await present([await genuine()], alice, { now, domain: occasion.domain })]
  ],
  'it is signed as an assertion': [
    'proof',
    'PROOF_WRONG_PURPOSE',
    async () => {
      const { proof: _, ...rest } = await shown()
      return [
        (await addProof(rest, {
          signer: alice,
          suite: eddsaJcs2022,
          created: now,
          ...occasion
        })) as Presentation
      ]
    }
  ],
  'it is not signed': [
    'proof',
    'PROOF_MISSING',
    async () => {
      const { proof: _, ...rest } = await shown()
      return [rest as Presentation]
    }
  ],
  'a credential is added': [
    'proof',
    'PROOF_INVALID_SIGNATURE',
    async () => {
      const presentation = await shown()
      return [
        {
          ...presentation,
          verifiableCredential: [...(presentation.verifiableCredential as Credential[]), await genuine()]
        }
      ]
    }
  ],
  // Upstream (b): credentials counted without being verified.
  'a credential in it is forged': [
    'controller',
    'CREDENTIAL_INVALID',
    async () => [await shown(alice, [await forged({}, mallory)])]
  ],
  'a credential in it is over': [
    'period',
    'CREDENTIAL_INVALID',
    async () => [await shown(alice, [await genuine({ validUntil: '2025-12-01T00:00:00Z' })])]
  ],
  'a credential in it has no proof of its own': [
    'proof',
    'CREDENTIAL_INVALID',
    async () => [await shown(alice, [{ ...draft, issuer: issuer.did }])]
  ],
  'a credential in it is a text': [
    'structure',
    'STRUCTURE_INVALID',
    async () => [{ ...(await shown()), verifiableCredential: ['eyJ'] as never }]
  ],
  'a name stands twice': [
    'structure',
    'STRUCTURE_INVALID',
    async () => [JSON.stringify(await shown()).replace('"holder":', '"holder":"did:example:x","holder":')]
  ]
}

describe('a presentation is refused when', () => {
  it.each(Object.entries(misuses))('%s', async (_name, [check, code, make]) => {
    const [presentation, options = {}] = await make()
    const result = await verifyPresentation(presentation, { now, ...occasion, ...options })
    expect(result.ok).toBe(false)
    expect(faults(result)[check]).toBe(code)
    expect(result.checks).toHaveLength(8)
  })

  it('it is replayed', async () => {
    const clock = createFakeClock({ now })
    const replayGuard = createReplayGuard({ keepMs: 60_000 }, { clock })
    const presentation = await shown()
    const ask = () => verifyPresentation(presentation, { now, ...occasion, replayGuard })
    // What does not hold uses nothing up, and of two at once one is refused.
    expect(
      (await verifyPresentation(presentation, { now, ...occasion, replayGuard, holder: mallory.did })).ok
    ).toBe(false)
    const both = await Promise.all([ask(), ask()])
    expect(both.map(({ ok }) => ok).toSorted()).toEqual([false, true])
    expect(faults(await ask())).toEqual({ proof: 'PRESENTATION_REPLAYED' })
    await clock.advance(61_000)
    expect((await ask()).ok).toBe(true)
  })

  it('it is replayed without a challenge, with a proof of somebody else beside that of the holder', async () => {
    const replayGuard = createReplayGuard({}, { clock: createFakeClock({ now }) })
    const presentation = await present([await genuine()], alice, { now })
    expect((await verifyPresentation(presentation, { now, replayGuard })).ok).toBe(true)
    const dressed = await addProof(presentation, {
      signer: mallory,
      suite: eddsaJcs2022,
      created: now,
      proofPurpose: 'authentication'
    })
    expect(faults(await verifyPresentation(dressed as Presentation, { now, replayGuard }))).toEqual({
      proof: 'PRESENTATION_REPLAYED'
    })
  })

  it('it names no holder, and somebody else has signed it too', async () => {
    const options = { now, requireSubjectIsHolder: false }
    const sign = (document: object, signer: Identity) =>
      addProof(document, { signer, suite: eddsaJcs2022, created: now, proofPurpose: 'authentication' })
    const { holder: _, proof: _proof, ...unsigned } = await shown()
    const presentation = await sign(unsigned, alice)
    expect(await verifyPresentation(presentation as Presentation, options)).toMatchObject({
      ok: true,
      holder: alice.did
    })
    const dressed = await sign(presentation, mallory)
    for (const proof of [dressed.proof as Proof[], (dressed.proof as Proof[]).toReversed()]) {
      const both = { ...dressed, proof } as object as Presentation
      const result = await verifyPresentation(both, options)
      expect([faults(result), result.holder]).toEqual([{ controller: 'HOLDER_NOT_SIGNER' }, undefined])
      // Whoever is expected is also whom the credentials have to be about.
      const holders = [alice, mallory].map(({ did }) => verifyPresentation(both, { now, holder: did }))
      const [hers, his] = await Promise.all(holders)
      expect(hers).toMatchObject({ ok: true, holder: alice.did })
      expect(faults(his as VerifyPresentationResult)).toEqual({ subjectBinding: 'SUBJECT_NOT_HOLDER' })
    }
  })

  it('the guard is full or fails', async () => {
    const replayGuard = createReplayGuard({ maxKeys: 1 }, { clock: createFakeClock({ now }) })
    await replayGuard.claim('other')
    expect(faults(await verifyPresentation(await shown(), { now, ...occasion, replayGuard }))).toEqual({
      proof: 'PRESENTATION_REPLAYED'
    })
    const broken = { claim: () => Promise.reject(new Error('no store')) }
    expect((await verifyPresentation(await shown(), { now, ...occasion, replayGuard: broken })).ok).toBe(
      false
    )
  })
})
