import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createIdentity } from '@kwaai/identity'
import { issue, present, verify, verifyPresentation, type Credential } from '@kwaai/identity/vc'

const now = Date.UTC(2026, 0, 1)
const issuer = createIdentity({ seed: new Uint8Array(32).fill(1) })
const alice = createIdentity({ seed: new Uint8Array(32).fill(2) })

const v2 = 'https://www.w3.org/ns/credentials/v2'
const examples = 'https://www.w3.org/ns/credentials/examples/v2'
const v1 = 'https://www.w3.org/2018/credentials/v1'

function draft(more: Partial<Credential> = {}): Credential {
  return {
    '@context': [v2, examples],
    type: ['VerifiableCredential', 'LibraryCard'],
    validFrom: '2025-01-01T00:00:00Z',
    credentialSubject: { id: alice.did, role: 'librarian' },
    ...more
  }
}

describe('issue and verify', () => {
  it('answers with every check in order', async () => {
    const credential = await issue(draft(), issuer, { now })
    const result = await verify(credential, { now, holder: alice.did })
    expect(result.checks.map(({ name, ok, required }) => [name, ok, required])).toEqual([
      ['structure', true, true],
      ['proof', true, true],
      ['controller', true, true],
      ['period', true, true],
      ['status', true, true],
      ['schema', true, true],
      ['issuerPolicy', true, true],
      ['subjectBinding', true, true]
    ])
    expect(result.ok).toBe(true)
    expect(result.issuer).toBe(issuer.did)
    expect(result.proofs[0]?.controller).toBe(issuer.did)
  })

  it('reads text and bytes as it reads objects', async () => {
    const text = JSON.stringify(await issue(draft(), issuer, { now }))
    expect((await verify(text, { now })).ok).toBe(true)
    expect((await verify(new TextEncoder().encode(text), { now })).ok).toBe(true)
    expect((await verify(Uint8Array.of(0xff, 0xfe), { now })).checks[0]?.code).toBe('STRUCTURE_INVALID')
  })

  it('reports the checks after the first that fails', async () => {
    const credential = await issue(draft({ validFrom: '2030-01-01T00:00:00Z' }), issuer, { now })
    const forged = { ...credential, issuer: alice.did }
    const { ok, checks } = await verify(forged, { now, issuerPolicy: () => false, holder: issuer.did })
    expect(ok).toBe(false)
    expect(checks.flatMap(({ code }) => (code === undefined ? [] : [code]))).toEqual([
      'PROOF_INVALID_SIGNATURE',
      'ISSUER_NOT_CONTROLLER',
      'PERIOD_NOT_YET',
      'NOT_CHECKED',
      'SUBJECT_NOT_HOLDER'
    ])
  })

  it('issues and verifies data model 1.1', async () => {
    const credential = await issue(
      {
        '@context': [
          v1,
          { LibraryCard: 'https://example.org/#LibraryCard', role: 'https://example.org/#role' }
        ],
        type: ['VerifiableCredential', 'LibraryCard'],
        issuanceDate: '2025-01-01T00:00:00Z',
        expirationDate: '2026-06-01T00:00:00Z',
        credentialSubject: { id: alice.did, role: 'librarian' }
      },
      issuer,
      { now }
    )
    expect(credential['@context']).toContain('https://w3id.org/security/data-integrity/v2')
    expect(await verify(credential, { now })).toMatchObject({ ok: true })
    const later = await verify(credential, { now: Date.UTC(2027, 0, 1) })
    expect(later.checks.find(({ ok }) => !ok)?.code).toBe('PERIOD_OVER')
  })

  it('signs for nobody else', async () => {
    await expect(issue(draft({ issuer: alice.did }), issuer, { now })).rejects.toMatchObject({
      code: 'ERR_IDENTITY_INVALID_CREDENTIAL',
      details: { check: 'controller', code: 'ISSUER_NOT_CONTROLLER' }
    })
  })

  it('allows for clocks that differ', async () => {
    const credential = await issue(draft({ validFrom: '2026-01-01T00:04:59Z' }), issuer, { now })
    expect((await verify(credential, { now })).ok).toBe(true)
    expect((await verify(credential, { now, maxClockSkewMs: 0 })).ok).toBe(false)
  })

  it('takes a time that is none for no time at all', async () => {
    const credential = await issue(draft(), issuer, { now })
    for (const options of [{ now: NaN }, { now, maxClockSkewMs: NaN }])
      expect((await verify(credential, options)).checks.find(({ name }) => name === 'period')?.ok).toBe(false)
  })
})

describe('presentations', () => {
  const occasion = { challenge: 'c-1', domain: 'example.org' }

  it('holds when the holder presents what is about the holder', async () => {
    const credential = await issue(draft(), issuer, { now })
    const presentation = await present([credential], alice, { now, ...occasion })
    const result = await verifyPresentation(JSON.stringify(presentation), { now, ...occasion })
    expect(result.checks.filter(({ ok }) => !ok)).toEqual([])
    expect(result).toMatchObject({ ok: true, holder: alice.did, credentials: [{ ok: true }] })
  })

  it('reports a subject who is not the holder, and asks for it unless told otherwise', async () => {
    const credential = await issue(draft({ credentialSubject: { id: issuer.did, role: 'x' } }), issuer, {
      now
    })
    const presentation = await present([credential], alice, { now, ...occasion })
    const strict = await verifyPresentation(presentation, { now, ...occasion })
    expect(strict.ok).toBe(false)
    expect(strict.checks.at(-1)).toMatchObject({
      name: 'subjectBinding',
      ok: false,
      required: true,
      code: 'SUBJECT_NOT_HOLDER'
    })
    const open = await verifyPresentation(presentation, { now, ...occasion, requireSubjectIsHolder: false })
    expect(open.ok).toBe(true)
    expect(open.checks.at(-1)).toMatchObject({
      name: 'subjectBinding',
      ok: false,
      required: false,
      code: 'SUBJECT_NOT_HOLDER'
    })
  })

  it('may hold no credentials, and may leave the holder out', async () => {
    const presentation = await present([], alice, { now })
    expect((await verifyPresentation(presentation, { now })).ok).toBe(true)
  })
})

// Names the data model or JSON-LD give a meaning are not claims; integers as names change places in objects.
const claimName = fc
  .stringMatching(/^[a-z][a-zA-Z0-9]{0,12}$/)
  .filter((name) => !['id', 'type', 'name', 'description'].includes(name) && name !== 'digestMultibase')
const leaf = fc.oneof(
  fc.string({ unit: 'grapheme' }).filter((text) => text.isWellFormed()),
  fc.integer(),
  fc.double({ noNaN: true, noDefaultInfinity: true }),
  fc.boolean(),
  fc.constant(null)
)
const known = new Set([
  'mediaType',
  'digestSRI',
  'aud',
  'cnf',
  'exp',
  'iat',
  'iss',
  'jku',
  'kid',
  'nbf',
  'sub',
  'x5u'
])
const claims = fc.dictionary(
  claimName.filter((name) => !known.has(name)),
  fc.oneof(
    leaf,
    fc.array(leaf, { maxLength: 4 }),
    fc.dictionary(
      claimName.filter((name) => !known.has(name)),
      leaf,
      { maxKeys: 4 }
    )
  ),
  { minKeys: 1, maxKeys: 8 }
)

function shuffled(value: unknown, seed: number): unknown {
  if (Array.isArray(value)) return value.map((item) => shuffled(item, seed))
  if (typeof value !== 'object' || value === null) return value
  const entries = Object.entries(value).map(([name, member]) => [name, shuffled(member, seed)] as const)
  return Object.fromEntries(
    entries
      .map((entry, i) => [(i * 7919 + seed) % 101, entry] as const)
      .toSorted((a, b) => a[0] - b[0])
      .map(([, entry]) => entry)
  )
}

describe('any issued credential', () => {
  it('verifies after any JSON round trip, in any claim order', async () => {
    await fc.assert(
      fc.asyncProperty(
        claims,
        fc.integer({ min: 0, max: 1000 }),
        fc.constantFrom(0, 2, '\t'),
        async (claim, seed, indent) => {
          const credential = await issue(draft({ credentialSubject: { ...claim, id: alice.did } }), issuer, {
            now
          })
          const again = JSON.stringify(shuffled(credential, seed), undefined, indent)
          const result = await verify(again, { now })
          expect(result.checks.filter(({ ok }) => !ok)).toEqual([])
        }
      ),
      { numRuns: 60, seed: 6 }
    )
  })
})
