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
import { alice, draft, examples, faults, forged, genuine, issuer, mallory, now, v2 } from './forgery-kit.ts'

const occasion = { challenge: 'c-1', domain: 'example.org' }
const shown = async (by: Identity = alice, more: Credential[] = []): Promise<Presentation> =>
  present([await genuine(), ...more], by, { now, ...occasion })

/** Signs without the checks that `present` makes. */
async function shownAs(verifiableCredential: readonly object[], more: object = {}): Promise<Presentation> {
  const type = ['VerifiablePresentation', ...('type' in more ? (more.type as string[]) : [])]
  const document = { '@context': [v2, examples], holder: alice.did, ...more, type, verifiableCredential }
  return (await addProof(document, {
    signer: alice,
    suite: eddsaJcs2022,
    created: now,
    proofPurpose: 'authentication',
    ...occasion
  })) as object as Presentation
}

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
  'a presentation is in it, and in that a credential that nobody would look at': [
    'structure',
    'CREDENTIAL_INVALID',
    async () => [await shownAs([await present([await forged({}, mallory)], alice, { now, ...occasion })])]
  ],
  'a credential in it is a presentation too, and in that the same': [
    'structure',
    'CREDENTIAL_INVALID',
    async () => {
      const type = ['VerifiableCredential', 'VerifiablePresentation']
      return [await shownAs([await forged({ type, verifiableCredential: [await forged({}, mallory)] })])]
    }
  ],
  'it is a credential too, of an issuer who signed nothing': [
    'structure',
    'STRUCTURE_INVALID',
    async () => [await shownAs([], { ...draft, issuer: issuer.did })]
  ],
  'it has several holders': [
    'structure',
    'STRUCTURE_INVALID',
    async () => [await shownAs([await genuine()], { holder: [alice.did, mallory.did] })]
  ],
  'it has a second holder under another name': [
    'structure',
    'STRUCTURE_INVALID',
    async () => {
      const held = { '@id': 'https://www.w3.org/2018/credentials#holder', '@type': '@id' }
      return [await shownAs([await genuine()], { '@context': [v2, { held }], held: mallory.did })]
    }
  ],
  'a proof that it covers is for another purpose': [
    'proof',
    'PROOF_WRONG_PURPOSE',
    async () => {
      const { proof: _, ...rest } = await shown()
      const options = { suite: eddsaJcs2022, created: now, ...occasion }
      const first = await addProof(rest, { ...options, signer: mallory, id: 'urn:example:1' })
      const covers = { proofPurpose: 'authentication', previousProof: 'urn:example:1' } as const
      return [(await addProof(first, { ...options, ...covers, signer: alice })) as Presentation]
    }
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

  it('a proof of its chain is cut off; whole, and with an object for its holder, it is not', async () => {
    const { proof: _, ...rest } = await shown()
    const options = {
      suite: eddsaJcs2022,
      created: now,
      proofPurpose: 'authentication',
      ...occasion
    } as const
    const unsigned = { ...rest, holder: { id: alice.did, name: 'Alice' } }
    const first = await addProof(unsigned, { ...options, signer: mallory, id: 'urn:example:1' })
    const chain = await addProof(first, { ...options, signer: alice, previousProof: 'urn:example:1' })
    const result = await verifyPresentation(chain as object as Presentation, { now, ...occasion })
    expect(result).toMatchObject({ ok: true, holder: alice.did, proofs: [{ ok: true }, { ok: true }] })
    const proof = (chain.proof as readonly Proof[]).slice(1)
    const cut = { ...chain, proof } as object as Presentation
    expect(faults(await verifyPresentation(cut, { now, ...occasion })).proof).toBe('PROOF_PREVIOUS_MISSING')
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
