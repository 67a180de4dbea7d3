import { describe, expect, test } from 'vitest'
import { createIdentity, parseDid } from '../src/index.ts'
import { verifyKwaaiLegacy, type KwaaiLegacyResult } from '../src/vc/index.ts'
import vectors from './vectors/kwaai-legacy.json' with { type: 'json' }

const now = Date.parse('2026-04-01T00:00:00Z')
const verify = (text: string, at = now): Promise<KwaaiLegacyResult> => verifyKwaaiLegacy(text, { now: at })
const codes = ({ checks }: KwaaiLegacyResult): unknown[] => checks.map(({ ok, code }) => (ok ? 'ok' : code))
const allOk = ['ok', 'ok', 'ok', 'ok']

/** Signs as KwaaiNet does, whatever text it is given. */
async function sign(document: object, seed: number, method: string): Promise<string> {
  const identity = createIdentity({ seed: new Uint8Array(32).fill(seed) })
  const signature = await identity.sign(new TextEncoder().encode(JSON.stringify(document)))
  const proofValue = btoa(String.fromCharCode(...signature))
    .replaceAll('+', '-')
    .replaceAll('/', '_')
    .slice(0, 86)
  const proof = {
    type: 'Ed25519Signature2020',
    created: '2026-03-01T12:00:00Z',
    verificationMethod: method,
    proofPurpose: 'assertionMethod',
    proofValue
  }
  return JSON.stringify({ ...document, proof })
}

describe("a credential of the existing network, by Python's hand", () => {
  test.each(['one', 'two', 'reordered', 'numbers'] as const)('%s verifies, as legacy', async (name) => {
    const result = await verify(vectors[name])
    expect(codes(result)).toEqual(allOk)
    expect(result).toMatchObject({
      ok: true,
      assurance: 'legacy',
      issuer: parseDid(vectors.issuer),
      subject: parseDid(vectors.subject),
      selfIssued: false
    })
  })

  test('verifies after it was laid out anew', async () => {
    const laidOut = JSON.stringify(JSON.parse(vectors.two), undefined, 2)
    expect(codes(await verify(laidOut))).toEqual(allOk)
  })

  test('gives its claims as they are', async () => {
    const { credential, type } = await verify(vectors.numbers)
    expect(type).toBe('ThroughputVC')
    expect(credential?.credentialSubject).toMatchObject({
      tokensPerSecond: 33,
      observed: 1.5e-7,
      blocks: [0, 16],
      note: 'a\tb\u007f\u2028c'
    })
  })
})

describe('what is wrong there is refused here', () => {
  test('a key that is not the issuer, with a signature that holds', async () => {
    expect(codes(await verify(vectors.signedByAnother))).toEqual([
      'ok',
      'PROOF_INVALID_SIGNATURE',
      'ISSUER_NOT_CONTROLLER',
      'ok'
    ])
  })

  test('a foreign signature under the name of the key', async () => {
    const forged = vectors.signedByAnother.replace(`${vectors.subject}#key-1`, `${vectors.issuer}#key-1`)
    expect(codes(await verify(forged))).toEqual(['ok', 'PROOF_INVALID_SIGNATURE', 'ok', 'ok'])
  })

  test.each([
    ['a claim', '"interactionCount":42', '"interactionCount":4200'],
    ['how a number is written', '"interactionCount":42', '"interactionCount":42.0'],
    ['the subject', vectors.subject, vectors.issuer],
    ['the type', 'PeerEndorsementVC', 'FiduciaryPledgeVC'],
    ['the end', '2026-05-30', '2027-05-30']
  ])('%s changed', async (_, from, to) => {
    const changed = vectors.one.replace(from, to)
    expect(changed).not.toBe(vectors.one)
    expect(codes(await verify(changed))[1]).toBe('PROOF_INVALID_SIGNATURE')
  })

  test('a date in the future, and one that is past', async () => {
    expect(codes(await verify(vectors.one, Date.parse('2026-03-01T11:54:00Z')))[3]).toBe('PERIOD_NOT_YET')
    expect(codes(await verify(vectors.one, Date.parse('2026-03-01T11:56:00Z')))).toEqual(allOk)
    expect(codes(await verify(vectors.one, Date.parse('2026-05-30T12:06:00Z')))[3]).toBe('PERIOD_OVER')
  })

  test.each([
    ['a name twice', vectors.one.replace('"issuer":', '"issuer":"did:peer:x","issuer":')],
    ['__proto__', vectors.one.replace('"interactionCount"', '"__proto__":{},"interactionCount"')],
    ['a field nobody signed', vectors.one.replace('"issuer":', '"evidence":"x","issuer":')],
    ['a proof of another kind', vectors.one.replace('Ed25519Signature2020', 'DataIntegrityProof')],
    ['another purpose', vectors.one.replace('assertionMethod', 'authentication')],
    ['no proof', vectors.one.replace(/,"proof":.*/, '}')],
    ['padding', vectors.one.replace(/"proofValue":"([^"]*)"/, '"proofValue":"$1=="')],
    ['an issuer that is no peer', vectors.one.replaceAll(vectors.issuer, 'did:key:zDnaeSomething')],
    [
      'an RSA peer',
      vectors.one.replaceAll(vectors.issuer, 'did:peer:QmcZf59bWwK5XFi76CZX8cbJ4BhTzzA3gU1ZjYZcYW3dwt')
    ],
    ['the character that marks numbers', vectors.one.replace('42', '"\ue00042"')],
    ['no JSON', vectors.one.slice(1)],
    ['a mebibyte', `${vectors.one}${' '.repeat(1 << 20)}`],
    ['a list', `[${vectors.one}]`]
  ])('%s', async (_, text) => {
    const result = await verify(text)
    expect(result.ok).toBe(false)
    expect(codes(result)[0]).toBe('STRUCTURE_INVALID')
    expect(result.credential).toBeUndefined()
  })

  test('that somebody recommends itself is told', async () => {
    const { proof: _, ...unsigned } = JSON.parse(vectors.one) as Record<string, unknown> & { proof: unknown }
    const self = { ...unsigned, credentialSubject: { id: vectors.issuer, interactionCount: 9 } }
    const result = await verify(await sign(self, 1, `${vectors.issuer}#key-1`))
    expect(result).toMatchObject({ ok: true, selfIssued: true })
  })

  test('five claims are tried in the one order they stand in', async () => {
    const { proof: _, ...unsigned } = JSON.parse(vectors.one) as Record<string, unknown> & { proof: unknown }
    const five = { a: 1, b: 2, c: 3, d: 4, e: 5 }
    const text = await sign(
      { ...unsigned, credentialSubject: { id: vectors.subject, ...five } },
      1,
      `${vectors.issuer}#key-1`
    )
    expect((await verify(text)).ok).toBe(true)
    expect((await verify(text.replace('"a":1,"b":2', '"b":2,"a":1'))).ok).toBe(false)
  })
})
