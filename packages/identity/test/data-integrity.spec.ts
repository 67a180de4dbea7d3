import { createIdentity, type JsonObject } from '@kwaai/identity'
import {
  addProof,
  eddsaJcs2022,
  verifyProofs,
  type AddProofOptions,
  type Cryptosuite,
  type Proof,
  type ProofOutcome,
  type VerifyProofsOptions
} from '@kwaai/identity/vc'
import { createEddsaRdfc2022 } from '@kwaai/identity/vc-ld'
import { base58btc } from 'multiformats/bases/base58'
import { describe, expect, test } from 'vitest'
import { toHex } from '../src/bytes.ts'
import { identityOf } from './published.ts'
import published from './vectors/data-integrity.json' with { type: 'json' }

const time = Date.parse('2026-05-01T12:00:00Z')
const alice = createIdentity({ seed: new Uint8Array(32).fill(1) })
const bob = createIdentity({ seed: new Uint8Array(32).fill(2) })
const rdfc = createEddsaRdfc2022()
const nobody = { resolve: () => Promise.reject(new Error('nobody is asked')) }

const credential = {
  '@context': ['https://www.w3.org/ns/credentials/v2', 'https://www.w3.org/ns/credentials/examples/v2'],
  type: ['VerifiableCredential'],
  issuer: alice.did,
  credentialSubject: { id: bob.did, alumniOf: 'The School of Examples' }
}

const sign = <T extends object>(document: T, options: Partial<AddProofOptions> = {}) =>
  addProof(document, { signer: alice, suite: eddsaJcs2022, created: time, ...options })

const verify = (document: object, options: Partial<VerifyProofsOptions> = {}): Promise<ProofOutcome[]> =>
  verifyProofs(document as JsonObject, {
    suites: [eddsaJcs2022, rdfc],
    resolver: nobody,
    now: time,
    ...options
  })

const codes = async (document: object, options: Partial<VerifyProofsOptions> = {}) =>
  (await verify(document, options)).map(({ ok, code }) => (ok ? 'ok' : code))

/** The document with its proof changed after signing; `resign` makes the signature hold again. */
async function changed(change: Partial<Proof>, resign = true): Promise<object> {
  const { proof, ...document } = await sign(credential)
  const altered = { ...(proof as Proof), ...change }
  if (resign) {
    const hash = await eddsaJcs2022.hash(document as unknown as JsonObject, altered as JsonObject)
    altered.proofValue = base58btc.encode(await alice.sign(hash))
  }
  return { ...document, proof: altered }
}

describe('the published excerpt', () => {
  const { proofValue: _, ...none } = published.jcs.proofConfig as Proof
  test('eddsa-jcs-2022', async () => {
    const unsigned = published.unsigned as JsonObject
    expect(toHex(await eddsaJcs2022.hash(unsigned, none as JsonObject))).toBe(published.jcs.hash)
    const signed = await sign(unsigned, {
      signer: identityOf(published.keyPair),
      created: Date.parse(published.jcs.proofConfig.created)
    })
    expect(signed.proof).toEqual({ ...published.jcs.proofConfig, proofValue: published.jcs.proofValue })
  })
  test('eddsa-rdfc-2022', async () => {
    const signed = await sign(published.unsigned, {
      suite: rdfc,
      signer: identityOf(published.keyPair),
      created: Date.parse(published.rdfc.proofConfig.created)
    })
    expect((signed.proof as Proof).proofValue).toBe(published.rdfc.proofValue)
  })
  test('a chain over a set', async () => {
    expect(await codes({ ...published.unsigned, proof: published.chain })).toEqual(['ok', 'ok', 'ok', 'ok'])
    // Whatever of the set is changed or missing shows in those that cover it.
    const [first, second, third, fourth] = published.chain
    const other = { ...second, created: '2023-02-24T23:36:39Z' }
    expect(await codes({ ...published.unsigned, proof: [first, other, third, fourth] })).toEqual([
      'ok',
      'PROOF_INVALID_SIGNATURE',
      'PROOF_INVALID_SIGNATURE',
      'PROOF_PREVIOUS_INVALID'
    ])
    expect(await codes({ ...published.unsigned, proof: [first, third, fourth] })).toEqual([
      'ok',
      'PROOF_PREVIOUS_MISSING',
      'PROOF_PREVIOUS_INVALID'
    ])
  })
})

describe.each([
  ['eddsa-jcs-2022', eddsaJcs2022],
  ['eddsa-rdfc-2022', rdfc]
])('a proof under %s', (_, suite: Cryptosuite) => {
  test('holds, names who controls the key, and is reported whole', async () => {
    const signed = await sign(credential, { suite })
    expect(await verify(signed)).toEqual([{ proof: signed.proof, ok: true, controller: alice.did }])
  })

  test('holds in another order of the members, and for no other claim', async () => {
    const signed = await sign(credential, { suite })
    const turned = Object.fromEntries(Object.entries(signed).toReversed())
    expect(await codes(turned)).toEqual(['ok'])
    const other = { ...signed, credentialSubject: { ...credential.credentialSubject, alumniOf: 'Another' } }
    expect(await codes(other)).toEqual(['PROOF_INVALID_SIGNATURE'])
    expect(await codes({ ...signed, issuer: bob.did })).toEqual(['PROOF_INVALID_SIGNATURE'])
  })

  test('covers what it says of itself', async () => {
    const options = {
      suite,
      challenge: 'c',
      domain: ['a.example', 'b.example'],
      nonce: 'n',
      id: 'urn:uuid:1'
    }
    const signed = await sign(credential, { ...options, expires: time + 60_000 })
    expect(await codes(signed)).toEqual(['ok'])
    for (const change of [
      { challenge: 'd' },
      { domain: ['a.example'] },
      { nonce: 'm' },
      { id: 'urn:uuid:2' },
      { expires: '2027-01-01T00:00:00Z' },
      { created: '2026-05-01T11:00:00Z' }
    ]) {
      const proof = { ...(signed.proof as Proof), ...change }
      expect(await codes({ ...signed, proof }), JSON.stringify(change)).toEqual(['PROOF_INVALID_SIGNATURE'])
    }
  })

  test('stands beside those of others, and none is ignored', async () => {
    const both = await sign(await sign(credential, { suite }), { suite, signer: bob })
    expect(await verify(both)).toMatchObject([
      { ok: true, controller: alice.did },
      { ok: true, controller: bob.did }
    ])
    const [first] = both.proof as Proof[]
    const strange = { type: 'Ed25519Signature2020', jws: 'x' }
    const other = { ...first, cryptosuite: 'ecdsa-sd-2023' }
    expect(await codes({ ...both, proof: [first, strange, other, null, 'x', [first]] })).toEqual([
      'ok',
      'PROOF_SUITE_UNKNOWN',
      'PROOF_SUITE_UNKNOWN',
      'PROOF_MALFORMED',
      'PROOF_MALFORMED',
      'PROOF_MALFORMED'
    ])
  })

  test('in a chain covers the proofs before it', async () => {
    const one = await sign(credential, { suite, id: 'urn:uuid:1' })
    const two = await sign(one, { suite, signer: bob, id: 'urn:uuid:2', previousProof: 'urn:uuid:1' })
    const three = await sign(two, { suite, previousProof: ['urn:uuid:2', 'urn:uuid:1'] })
    expect(await codes(three)).toEqual(['ok', 'ok', 'ok'])
    const [first, second, third] = three.proof as Proof[]
    const resigned = (await sign(credential, { suite, id: 'urn:uuid:1', created: time - 1000 })).proof
    expect(await codes({ ...three, proof: [resigned, second, third] })).toEqual([
      'ok',
      'PROOF_INVALID_SIGNATURE',
      'PROOF_INVALID_SIGNATURE'
    ])
    expect(await codes({ ...three, proof: [first, { ...second, previousProof: undefined }, third] })).toEqual(
      ['ok', 'PROOF_INVALID_SIGNATURE', 'PROOF_INVALID_SIGNATURE']
    )
  })
})

describe('what a verifier asks for', () => {
  test('purpose, challenge and domain', async () => {
    expect(await codes(await sign(credential, { proofPurpose: 'authentication' }))).toEqual([
      'PROOF_WRONG_PURPOSE'
    ])
    const signed = await sign(credential, {
      proofPurpose: 'authentication',
      challenge: 'c',
      domain: ['a.example', 'b.example']
    })
    const asked = {
      proofPurpose: 'authentication',
      challenge: 'c',
      domain: ['b.example', 'a.example']
    } as const
    expect(await codes(signed, asked)).toEqual(['ok'])
    expect(await codes(signed, { ...asked, challenge: 'd' })).toEqual(['PROOF_WRONG_CHALLENGE'])
    expect(await codes(signed, { ...asked, domain: 'a.example' })).toEqual(['PROOF_WRONG_DOMAIN'])
    const bare = await sign(credential, { proofPurpose: 'authentication' })
    expect(await codes(bare, { proofPurpose: 'authentication', challenge: 'c' })).toEqual([
      'PROOF_WRONG_CHALLENGE'
    ])
    expect(await codes(bare, { proofPurpose: 'authentication', domain: 'a' })).toEqual(['PROOF_WRONG_DOMAIN'])
  })

  test.each([
    [{ created: '2026-05-01T12:06:00Z' }, 'PROOF_FROM_THE_FUTURE'],
    [{ created: '2026-05-01T12:05:00Z' }, 'ok'],
    [{ created: '2026-05-01T14:05:00+02:00' }, 'ok'],
    [{ created: '2026-05-01T12:05:00-02:00' }, 'PROOF_FROM_THE_FUTURE'],
    [{ expires: '2026-05-01T11:54:00Z' }, 'PROOF_EXPIRED'],
    [{ expires: '2026-05-01T11:56:00Z' }, 'ok'],
    [{ created: '2026-05-01' }, 'PROOF_MALFORMED'],
    [{ created: '2026-05-01T12:00:00' }, 'PROOF_MALFORMED'],
    [{ created: '2026-02-30T12:00:00Z' }, 'PROOF_MALFORMED'],
    [{ expires: 'never' }, 'PROOF_MALFORMED'],
    [{ id: 'no url' }, 'PROOF_MALFORMED'],
    [{ challenge: 1 }, 'PROOF_MALFORMED'],
    [{ nonce: {} }, 'PROOF_MALFORMED'],
    [{ domain: [] }, 'PROOF_MALFORMED'],
    [{ domain: ['a', 'a'] }, 'PROOF_MALFORMED'],
    [{ verificationMethod: { id: 'x' } }, 'PROOF_MALFORMED'],
    [{ proofPurpose: undefined }, 'PROOF_MALFORMED'],
    [{ previousProof: [] }, 'PROOF_MALFORMED'],
    [{ previousProof: 'urn:uuid:9' }, 'PROOF_PREVIOUS_MISSING'],
    [{ id: 'urn:uuid:1', previousProof: 'urn:uuid:1' }, 'PROOF_MALFORMED'],
    [{ type: 'dataintegrityproof' }, 'PROOF_SUITE_UNKNOWN'],
    [{ type: ['DataIntegrityProof'] }, 'PROOF_MALFORMED'],
    [{ verificationMethod: 'did:web:a.example#1' }, 'PROOF_METHOD_UNRESOLVED'],
    [{ verificationMethod: `${alice.did}#${bob.did.slice(8)}` }, 'PROOF_METHOD_NOT_ALLOWED'],
    // A P-256 key, of the published employment credential.
    [
      {
        verificationMethod:
          'did:key:zDnaegE6RR3atJtHKwTRTWHsJ3kNHqFwv7n9YjTgmU7TyfU76#zDnaegE6RR3atJtHKwTRTWHsJ3kNHqFwv7n9YjTgmU7TyfU76'
      },
      'PROOF_METHOD_NOT_ALLOWED'
    ],
    [{ '@context': ['https://www.w3.org/ns/credentials/examples/v2'] }, 'PROOF_NOT_CANONICAL'],
    [{ '@context': [] }, 'PROOF_NOT_CANONICAL'],
    [{ '@context': 'https://www.w3.org/ns/credentials/v2' }, 'ok']
  ] as [Partial<Proof>, string][])('%j: %s', async (change, code) => {
    const resign = !['PROOF_NOT_CANONICAL'].includes(code)
    expect(await codes(await changed(change, resign))).toEqual([code])
  })

  test('contexts behind those of the proof are let through, as the specification has it', async () => {
    const signed = await sign(credential)
    const longer = { ...signed, '@context': [...credential['@context'], 'https://example.org/v1'] }
    expect(await codes(longer)).toEqual(['ok'])
    expect(await codes({ ...signed, '@context': credential['@context'].slice(1) })).toEqual([
      'PROOF_NOT_CANONICAL'
    ])
  })

  test('no more proofs than allowed, and an outcome for each even so', async () => {
    const { proof } = await sign(credential)
    const many = { ...credential, proof: Array.from({ length: 17 }, () => proof) }
    expect(new Set(await codes(many))).toEqual(new Set(['PROOF_MALFORMED']))
    expect(await codes(many)).toHaveLength(17)
    expect(await codes({ ...many, proof: [proof, proof] }, { maxProofs: 1 })).toHaveLength(2)
    expect(await codes(credential)).toEqual([])
  })

  test('rejects when the signal aborts', async () => {
    await expect(verify(await sign(credential), { signal: AbortSignal.abort() })).rejects.toThrow('abort')
  })
})

describe('proofValue', () => {
  const values = async (make: (value: string) => unknown) => {
    const signed = await sign(credential)
    const proof = {
      ...(signed.proof as Proof),
      proofValue: make((signed.proof as Proof).proofValue as string)
    }
    return codes({ ...signed, proof })
  }
  test.each([
    ['none', () => undefined],
    ['no multibase', (value: string) => value.slice(1)],
    ['another base', (value: string) => `u${value.slice(1)}`],
    ['a space around', (value: string) => `z ${value.slice(1)} `],
    ['a zero before', (value: string) => `z1${value.slice(1)}`],
    ['a letter that base58 has not', (value: string) => `z0${value.slice(2)}`],
    ['one byte less', (value: string) => base58btc.encode(base58btc.decode(value).subarray(0, 63))],
    ['one byte more', (value: string) => base58btc.encode(new Uint8Array([...base58btc.decode(value), 0]))]
  ])('%s is refused', async (_, make) => expect(await values(make)).toEqual(['PROOF_MALFORMED']))

  test('S beyond the group order is refused', async () => {
    // L little-endian (RFC 8032, section 5.1), added to S.
    const L = [0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14]
    const malleable = (value: string): string => {
      const bytes = base58btc.decode(value).slice()
      let carry = 0
      for (let i = 0; i < 32; i++) {
        const sum = (bytes[32 + i] as number) + (L[i] ?? (i === 31 ? 0x10 : 0)) + carry
        bytes[32 + i] = sum & 0xff
        carry = sum >> 8
      }
      return base58btc.encode(bytes)
    }
    expect(await values(malleable)).toEqual(['PROOF_INVALID_SIGNATURE'])
  })

  test('a key of small order signs nothing', async () => {
    // The neutral element as key and R, S = 0: OpenSSL of Node.js 20 takes this for a signature of any message.
    const multibase = base58btc.encode(new Uint8Array([0xed, 0x01, 1, ...new Uint8Array(31)]))
    const proof = {
      verificationMethod: `did:key:${multibase}#${multibase}`,
      proofValue: base58btc.encode(new Uint8Array([1, ...new Uint8Array(63)]))
    }
    expect(await codes(await changed(proof, false))).toEqual(['PROOF_METHOD_UNRESOLVED'])
  })
})

describe('a chain', () => {
  test.each([
    [
      'a cycle',
      [
        { id: 'urn:a', previousProof: 'urn:b' },
        { id: 'urn:b', previousProof: 'urn:a' }
      ],
      ['PROOF_MALFORMED', 'PROOF_MALFORMED']
    ],
    [
      'an id twice',
      [{ id: 'urn:a' }, { id: 'urn:a' }, { previousProof: 'urn:a' }],
      ['PROOF_MALFORMED', 'PROOF_MALFORMED', 'PROOF_PREVIOUS_MISSING']
    ]
  ])('with %s is refused', async (_, changes, expected) => {
    const { proof } = await sign(credential)
    const proofs = changes.map((change) => ({ ...(proof as Proof), ...change }))
    expect(await codes({ ...credential, proof: proofs })).toEqual(expected)
  })

  test.each([
    [{ previousProof: 'urn:uuid:9' }],
    [{ id: 'urn:uuid:1' }],
    [{ id: 'urn:uuid:3', previousProof: 'urn:uuid:3' }],
    [{ id: 'no url' }],
    [{ created: Number.NaN }],
    [{ expires: time - 1000 }],
    [{ signer: { ...alice, did: 'did:web:a.example' as never } }]
  ] as Partial<AddProofOptions>[][])('is not begun with %o', async (options) => {
    const one = await sign(credential, { id: 'urn:uuid:1' })
    await expect(sign(one, options)).rejects.toMatchObject({ code: 'ERR_IDENTITY_INVALID_PROOF' })
  })

  test('falls with a proof of it that expired', async () => {
    const one = await sign(credential, { id: 'urn:uuid:1', expires: time + 1000 })
    const two = await sign(one, { previousProof: 'urn:uuid:1' })
    expect(await codes(two, { now: time + 3_600_000 })).toEqual(['PROOF_EXPIRED', 'PROOF_PREVIOUS_INVALID'])
  })
})
