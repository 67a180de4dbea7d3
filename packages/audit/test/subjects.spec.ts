import { createIdentity, open, seal } from '@kwaai/identity'
import { createMemoryStore } from '@kwaai/interface/memory'
import { assertRejectsWith, createSeededRandom, keyValueStoreSuite } from '@kwaai/testing'
import { describe, expect, test } from 'vitest'
import {
  createConsents,
  createMemoryVault,
  createResidency,
  createSealedStore,
  createStoreVault,
  eraseSubject,
  evaluateResidency,
  exportSubject,
  verifyBundle,
  verifyErasureReceipt,
  verifyFiles,
  verifyTlogProof,
  type ConsentInit,
  type SubjectKeyVault
} from '../src/index.ts'
import { bytesOf, collect, filesOf, logKit, readerFrom, text } from './log-kit.ts'

const alice = 'did:key:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK'
const bob = 'did:key:z6MknGc3ocHs3zdPiJbnaaqDi58NGb4pk1Sp9WxWufuXSdxf'

const vaults: [string, () => SubjectKeyVault][] = [
  ['memory', () => createMemoryVault({ random: createSeededRandom(3) })],
  ['store', () => createStoreVault({ store: createMemoryStore(), random: createSeededRandom(3) })]
]
describe.each(vaults)('a vault in a %s', (_, make) => {
  test('makes a key once, destroys it, and makes another', async () => {
    const vault = make()
    expect(await vault.get(alice)).toBeUndefined()
    expect(await vault.destroy(alice)).toBe(false)
    const [first, again] = await Promise.all([vault.make(alice), vault.make(alice)])
    expect(again).toEqual(first)
    expect(first.secret.length).toBe(32)
    expect((await vault.make(bob)).id).not.toBe(first.id)
    expect(await collect(vault.keys())).toHaveLength(2)
    expect(await vault.destroy(alice)).toBe(true)
    expect(await vault.get(alice)).toBeUndefined()
    expect((await vault.make(alice)).secret).not.toEqual(first.secret)
    await assertRejectsWith(vault.make(''), 'ERR_AUDIT_INVALID_ENTRY', 'no subject')
  })
})

describe('erasure', () => {
  test('forgets one person and leaves everything else, and every proof', async () => {
    const { log, store, keys, policy, signer } = logKit()
    await log.appendAll([
      { kind: 'note/kept', subject: alice, data: text('the first of alice') },
      { kind: 'note/kept', subject: bob, data: text('the first of bob') },
      { kind: 'note/kept', subject: alice, data: text('the second of alice') }
    ])
    const proof = await log.prove(0)
    const bundle = await exportSubject(log, alice, { also: { name: 'Alice' } })
    const secret = (await keys.get(alice))?.secret as Uint8Array
    const bytes = await eraseSubject(log, alice)
    const receipt = await verifyErasureReceipt(bytes, { policy, signer: signer.did })
    expect(receipt).toMatchObject({ ok: true, receipt: { subject: alice, entries: 2, tombstone: 3 } })
    if (receipt.ok) expect(receipt.receipt.limits.join(' ')).toContain('backups')
    expect(await keys.get(alice)).toBeUndefined()
    expect(await collect(log.entriesOf(alice))).toEqual([])
    expect((await log.entry(0, { subject: alice })).data).toBeUndefined()
    expect(await collect(log.entriesOf(bob))).toHaveLength(1)
    const kept = new TextDecoder('latin1').decode(await bytesOf(store))
    expect(kept).not.toContain(alice)
    expect(kept).not.toContain(new TextDecoder('latin1').decode(secret))
    // Proofs and bundles from before hold on.
    expect(await verifyTlogProof(proof, policy)).toMatchObject({ ok: true })
    expect(await verifyBundle(bundle, { policy, signer: signer.did })).toMatchObject({ ok: true })
    expect(await verifyFiles(readerFrom(await filesOf(log)), policy)).toMatchObject({ ok: true })
    await assertRejectsWith(eraseSubject(log, alice), 'ERR_AUDIT_NOT_FOUND', 'a second erasure')
    await assertRejectsWith(exportSubject(log, alice), 'ERR_AUDIT_NOT_FOUND', 'an export of nobody')
  })

  test('a receipt of another log, of another signer or changed is none', async () => {
    const { log, policy, signer } = logKit()
    await log.append({ kind: 'note/kept', subject: alice, data: text('x') })
    const bytes = await eraseSubject(log, alice)
    const other = logKit({ seed: 5 })
    expect((await verifyErasureReceipt(bytes, { policy: other.policy })).ok).toBe(false)
    expect(await verifyErasureReceipt(bytes, { policy, signer: bob })).toMatchObject({
      code: 'ERR_AUDIT_BAD_SIGNATURE'
    })
    for (let at = 0; at < bytes.length; at += 97) {
      const changed = bytes.slice()
      changed[at] = (changed[at] as number) ^ 1
      expect((await verifyErasureReceipt(changed, { policy, signer: signer.did })).ok).toBe(false)
    }
  })

  test('after a kill between the entry and the key it can be called again', async () => {
    const inner = createMemoryVault()
    let fails = true
    const keys: SubjectKeyVault = {
      ...inner,
      destroy: async (subject) => {
        if (fails) throw new Error('killed')
        return inner.destroy(subject)
      }
    }
    const { log, policy } = logKit({ keys })
    await log.append({ kind: 'note/kept', subject: alice, data: text('x') })
    await expect(eraseSubject(log, alice)).rejects.toThrow('killed')
    fails = false
    expect(await verifyErasureReceipt(await eraseSubject(log, alice), { policy })).toMatchObject({ ok: true })
    expect(await inner.get(alice)).toBeUndefined()
  })
})

describe('a bundle', () => {
  test('is not made of data that somebody changed', async () => {
    const { log, store } = logKit()
    await log.append({ kind: 'note/kept', subject: alice, data: text('one') })
    await log.append({ kind: 'note/kept', subject: alice, data: text('two') })
    const key = 'audit/data/0000000000000001'
    const sealed = (await store.get(key)) as Uint8Array
    await store.put(key, sealed.with(40, (sealed[40] as number) ^ 1))
    await assertRejectsWith(exportSubject(log, alice), 'ERR_AUDIT_LOG_DAMAGED', 'export')
    expect(await log.entry(1, { subject: alice })).not.toHaveProperty('data')
  })

  test('holds everything about a person, and changes are seen', async () => {
    const { log, policy, signer, clock } = logKit()
    for (let at = 0; at < 5; at++) {
      await clock.advance(1_000)
      await log.append({ kind: 'note/kept', subject: at % 2 === 0 ? alice : bob, data: text(`entry ${at}`) })
    }
    const bytes = await exportSubject(log, alice, { also: { answers: ['yes'] } })
    const verified = await verifyBundle(bytes, { policy, signer: signer.did })
    expect(verified.ok).toBe(true)
    if (!verified.ok) return
    const { entries, also, subject } = verified.bundle
    expect(entries.map(({ data }) => new TextDecoder().decode(data))).toEqual([
      'entry 0',
      'entry 2',
      'entry 4'
    ])
    expect([also, subject]).toEqual([{ answers: ['yes'] }, alice])
    for (let at = 0; at < bytes.length; at += 61) {
      const changed = bytes.slice()
      changed[at] = (changed[at] as number) ^ 1
      expect((await verifyBundle(changed, { policy, signer: signer.did })).ok).toBe(false)
    }
    const stranger = createIdentity()
    // The same proofs with another name and other words around them.
    const context = 'kwaai/audit/bundle/1'
    const { payload } = await open(bytes, { context })
    const forged = await seal(stranger, context, text(new TextDecoder().decode(payload).replace('yes', 'no')))
    expect(await verifyBundle(forged, { policy })).toMatchObject({ code: 'ERR_AUDIT_BAD_SIGNATURE' })
    expect((await verifyBundle(bytes, { policy, signer: stranger.did })).ok).toBe(false)
    expect((await verifyBundle(bytes, { policy: logKit({ seed: 9 }).policy })).ok).toBe(false)
  })
})

const consent: ConsentInit = {
  piiPrincipalId: alice,
  piiControllers: [{ name: 'Example', contact: 'privacy@example.org' }],
  lawfulBasis: 'consent',
  purposes: [{ purpose: 'inference', piiCategories: ['prompts'], sensitive: false }],
  period: { from: 0 },
  withdrawal: 'kwaai audit or a letter',
  jurisdiction: 'DE',
  language: 'en',
  collectionMethod: 'command line'
}

describe('consents', () => {
  test('hold in their period and until they are withdrawn', async () => {
    const { log, clock, store } = logKit()
    const consents = createConsents(log)
    const start = clock.now()
    expect(await consents.holds(alice, 'inference')).toBe(false)
    const until = start + 10_000
    const record = await consents.give({ ...consent, period: { from: start + 1_000, until } })
    const at = (ms: number): Promise<boolean> => consents.holds(alice, 'inference', start + ms)
    expect(await Promise.all([0, 999, 1_000, 9_999, 10_000].map(at))).toEqual([
      false,
      false,
      true,
      true,
      false
    ])
    expect(await consents.holds(alice, 'training', start + 2_000)).toBe(false)
    expect(await consents.holds(bob, 'inference', start + 2_000)).toBe(false)
    await clock.advance(3_000)
    expect(await consents.withdraw(alice, { consentReceiptId: record.consentReceiptId })).toBe(1)
    expect(await Promise.all([2_999, 3_000, 5_000].map(at))).toEqual([true, false, false])
    await assertRejectsWith(
      consents.withdraw(alice, { purpose: 'inference' }),
      'ERR_AUDIT_NOT_FOUND',
      'twice'
    )
    expect(await consents.list(alice)).toMatchObject([{ record, withdrawnAt: start + 3_000 }])
    const kinds = (await collect(log.entriesOf(alice))).map((entry) => entry.record.kind)
    expect(kinds).toEqual(['consent/given', 'consent/withdrawn'])
    expect(new TextDecoder('latin1').decode(await bytesOf(store))).not.toContain('inference')
    await eraseSubject(log, alice)
    expect(await consents.list(alice)).toEqual([])
    expect(await consents.holds(alice, 'inference', start + 2_000)).toBe(false)
  })

  test('that were withdrawn hold no more under a clock that is set back, and anew where they are given anew', async () => {
    const { log, clock, store, keys, signer } = logKit()
    await createConsents(log).give({ ...consent, period: { from: 0 } })
    await clock.advance(3_000)
    expect(await createConsents(log).withdraw(alice, { purpose: 'inference' })).toBe(1)
    // The same log, opened where it is still as late as when she gave it.
    const earlier = createConsents(logKit({ store, keys, signer }).log)
    expect(await earlier.holds(alice, 'inference')).toBe(false)
    expect(await earlier.holds(alice, 'inference', clock.now() - 1)).toBe(true)
    await earlier.give({ ...consent, period: { from: 0 } })
    expect(await earlier.holds(alice, 'inference')).toBe(true)
  })

  const wrong: [string, Partial<Record<keyof ConsentInit | 'more', unknown>>][] = [
    ['nobody', { piiPrincipalId: '' }],
    ['no controller', { piiControllers: [] }],
    ['a controller without contact', { piiControllers: [{ name: 'Example', contact: '' }] }],
    ['an unlawful basis', { lawfulBasis: 'because' }],
    ['no purpose', { purposes: [] }],
    ['a purpose without categories', { purposes: [{ purpose: 'x', piiCategories: [], sensitive: false }] }],
    ['an end before the beginning', { period: { from: 2, until: 1 } }],
    ['no way back', { withdrawal: ' ' }],
    ['no country', { jurisdiction: 'Germany' }],
    ['no language', { language: '' }],
    ['too many services', { services: Array.from({ length: 65 }, () => 'x') }],
    ['a part that is none', { more: 1 }]
  ]
  test.each(wrong)('%s is refused', async (_, change) => {
    const consents = createConsents(logKit().log)
    const given = consents.give({ ...consent, ...change } as ConsentInit)
    await assertRejectsWith(given, 'ERR_AUDIT_INVALID_CONSENT', 'give')
  })
})

describe('residency', () => {
  test('is a no wherever there is doubt', async () => {
    const policy = { allowed: ['DE', 'US-CA'] }
    const reason = (claim: object, more = {}): string =>
      evaluateResidency({ ...policy, ...more }, claim, 1_000).reason
    expect(reason({ region: 'DE', source: 'credential' })).toBe('allowed')
    expect(reason({ region: 'DE-BE', source: 'credential' })).toBe('allowed')
    expect(reason({ region: 'US-CA', source: 'credential' })).toBe('allowed')
    expect(reason({ region: 'US', source: 'credential' })).toBe('region-not-allowed')
    expect(reason({ region: 'DEX', source: 'credential' })).toBe('region-unknown')
    expect(reason({ region: 'de', source: 'credential' })).toBe('region-unknown')
    expect(reason({})).toBe('region-unknown')
    expect(reason({ region: 'DE' })).toBe('region-unknown')
    expect(reason({ region: 'DE', source: 'declared' })).toBe('only-declared')
    expect(reason({ region: 'DE', source: 'declared' }, { acceptDeclared: true })).toBe('allowed')
    expect(reason({ region: 'DE', source: 'credential', validUntil: 1_000 })).toBe('claim-expired')
    expect(reason({ region: 'DE', source: 'credential', validUntil: Number.NaN })).toBe('claim-expired')
    expect(reason({ region: 'DE', source: 'credential' }, { allowed: [] })).toBe('region-not-allowed')
  })

  test('keeps every decision', async () => {
    const { log, clock } = logKit()
    const residency = createResidency({ allowed: ['DE'] }, { audit: log, clock })
    expect(await residency.decide({ region: 'FR', source: 'credential' }, { subject: alice })).toMatchObject({
      allowed: false
    })
    const [entry] = await collect(log.entriesOf(alice))
    expect(JSON.parse(new TextDecoder().decode(entry?.data))).toMatchObject({ reason: 'region-not-allowed' })
    expect(() => createResidency({ allowed: ['Germany'] }, { audit: log, clock })).toThrow(/ISO|region/)
  })
})

describe('a sealed store', () => {
  const scopes = [
    { prefix: '', subjectOf: (rest: string) => (rest === '' ? undefined : `caller ${rest.codePointAt(0)}`) }
  ]
  keyValueStoreSuite(test, {
    create: async () =>
      createSealedStore({ scopes }, { store: createMemoryStore(), keys: createMemoryVault() })
  })

  test('hides keys and values, forgets with the key, and takes in what was in the clear', async () => {
    const store = createMemoryStore()
    const keys = createMemoryVault()
    const of = (rest: string): string | undefined => /^([a-z]+)\//.exec(rest)?.[1]
    const sealed = createSealedStore({ scopes: [{ prefix: 'answers/', subjectOf: of }] }, { store, keys })
    await store.put('answers/alice/0', text('from before'))
    expect(await sealed.get('answers/alice/0')).toEqual(text('from before'))
    expect(await sealed.sealAll()).toBe(1)
    expect(await sealed.sealAll()).toBe(0)
    await sealed.put('answers/alice/1', text('secret one'))
    await sealed.put('answers/bob/1', text('secret two'))
    await sealed.put('other', text('nobody'))
    const names = async (range = {}): Promise<string[]> =>
      (await collect(sealed.entries(range))).map(([key]) => key)
    expect(await names()).toEqual(['answers/alice/0', 'answers/alice/1', 'answers/bob/1', 'other'])
    expect(await names({ gte: 'answers/alice/', lt: 'answers/alice0' })).toEqual([
      'answers/alice/0',
      'answers/alice/1'
    ])
    expect(await names({ gte: 'answers/', lt: 'answers0', reverse: true, limit: 1 })).toEqual([
      'answers/bob/1'
    ])
    const kept = new TextDecoder('latin1').decode(await bytesOf(store))
    for (const planted of ['alice', 'bob', 'secret', 'from before']) expect(kept).not.toContain(planted)
    await keys.destroy('alice')
    expect(await names()).toEqual(['answers/bob/1', 'other'])
    expect(await sealed.get('answers/alice/1')).toBeUndefined()
    expect(await sealed.sweep()).toBe(2)
    expect((await collect(store.entries())).length).toBe(2)
    await sealed.put('answers/alice/1', text('anew'))
    expect(await sealed.get('answers/alice/1')).toEqual(text('anew'))
  })

  test('finds what only its value tells whose it is', async () => {
    const store = createMemoryStore()
    const keys = createMemoryVault()
    const ofValue = async (value: Uint8Array): Promise<string | undefined> =>
      /^of (\w+)/.exec(new TextDecoder().decode(value))?.[1]
    const sealed = createSealedStore({ scopes: [{ prefix: 'cards/', ofValue }] }, { store, keys })
    await store.put('cards/0', text('of alice, from before'))
    await sealed.put('cards/1', text('of alice, secret'))
    await sealed.put('cards/2', text('of bob, secret'))
    await sealed.put('cards/3', text('nobody'))
    expect(await sealed.sealAll()).toBe(1)
    expect(new TextDecoder('latin1').decode(await bytesOf(store))).not.toMatch(/alice|bob|secret/)
    const all = async (): Promise<string[]> =>
      (await collect(sealed.entries())).map(([key, value]) => `${key} ${new TextDecoder().decode(value)}`)
    expect((await all()).length).toBe(4)
    // It becomes somebody else's, and stands there once.
    await sealed.put('cards/1', text('of bob, now'))
    expect(await sealed.get('cards/1')).toEqual(text('of bob, now'))
    expect((await collect(sealed.entriesOf('alice'))).map(([key]) => key)).toEqual(['cards/0'])
    await keys.destroy('alice')
    expect(await all()).toEqual(['cards/1 of bob, now', 'cards/2 of bob, secret', 'cards/3 nobody'])
    await sealed.delete('cards/1')
    await sealed.put('cards/2', text('nobody either'))
    await sealed.delete('cards/3')
    expect(await all()).toEqual(['cards/2 nobody either'])
    expect(await sealed.sweep()).toBe(1)
  })
})
