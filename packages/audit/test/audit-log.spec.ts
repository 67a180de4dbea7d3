import { createIdentity } from '@kwaai/identity'
import type { BatchOperation, KeyValueStore } from '@kwaai/interface'
import { createMemoryStore, systemRandom } from '@kwaai/interface/memory'
import { assertRejectsWith } from '@kwaai/testing'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  createAuditLog,
  createMemoryVault,
  decodeRecord,
  eraseSubject,
  hashLeaf,
  parseCheckpoint,
  parseNote,
  signCheckpoint,
  verifyConsistency,
  verifyErasureReceipt,
  verifyFiles,
  verifyTlogProof,
  type AuditLog
} from '../src/index.ts'
import { bytesOf, filesOf, logKit, readerFrom, text } from './log-kit.ts'

const alice = 'did:key:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK'

describe('a log', () => {
  test('keeps entries, proves them, and shows their data to who has the key', async () => {
    const { log, policy } = logKit()
    await log.append({ kind: 'order/placed', subject: alice, data: text('two loaves') })
    await log.append({ kind: 'node/started', data: text('alone') })
    expect(await log.size()).toBe(2)
    const found = await log.entry(0, { subject: alice })
    expect(new TextDecoder().decode(found.data)).toBe('two loaves')
    expect((await log.entry(0)).data).toBeUndefined()
    expect((await log.entry(0, { subject: 'bob' })).data).toBeUndefined()
    expect(new TextDecoder().decode((await log.entry(1)).data)).toBe('alone')
    expect((await log.entry(1)).record.subject).toBeUndefined()
    for (const seq of [0, 1]) {
      const proof = await log.prove(seq)
      const verified = await verifyTlogProof(proof, policy)
      expect(verified).toMatchObject({ ok: true, index: seq, checkpoint: { size: 2 } })
      if (verified.ok) expect(decodeRecord(verified.entry).seq).toBe(seq)
      const other = await verifyTlogProof(proof, policy, text('something else'))
      expect(other).toMatchObject({ ok: false, code: 'ERR_AUDIT_NOT_INCLUDED' })
    }
    await assertRejectsWith(log.entry(2), 'ERR_AUDIT_NOT_FOUND', 'an entry that is not there')
    await assertRejectsWith(log.prove(-1), 'ERR_AUDIT_NOT_FOUND', 'an entry before the first')
  })

  test('holds nothing in the clear, and nothing that joins two entries of one person', async () => {
    const { log, store } = logKit()
    const data = text('the secret of alice')
    await log.appendAll([
      { kind: 'note/kept', subject: alice, data },
      { kind: 'note/kept', subject: alice, data }
    ])
    const kept = new TextDecoder('latin1').decode(await bytesOf(store))
    for (const planted of ['the secret', alice, btoa('the secret of alice')])
      expect(kept).not.toContain(planted)
    const [first, second] = [(await log.entry(0)).record, (await log.entry(1)).record]
    expect(first.subject).not.toBe(second.subject)
    expect(first.commitment).not.toBe(second.commitment)
  })

  test('refuses what is out of its bounds', async () => {
    const { log } = logKit()
    const data = new Uint8Array()
    const wrong = [
      [],
      Array.from({ length: 257 }, () => ({ kind: 'a', data })),
      [{ kind: '', data }],
      [{ kind: 'Upper/case', data }],
      [{ kind: 'a//b', data }],
      [{ kind: 'a'.repeat(500), data }],
      [{ kind: 'a', data: new Uint8Array(65_537) }],
      [{ kind: 'a', data, subject: '' }],
      [{ kind: 'a', data, subject: 'x'.repeat(513) }],
      [{ kind: 'a', data, subject: '\ud800' }],
      // Under this name are the entries about nobody: whoever erased it would erase them all.
      [{ kind: 'a', data, subject: 'kwaai:log' }]
    ]
    for (const entries of wrong)
      await assertRejectsWith(
        log.appendAll(entries),
        'ERR_AUDIT_INVALID_ENTRY',
        JSON.stringify(entries).slice(0, 60)
      )
    expect(await log.size()).toBe(0)
    await assertRejectsWith(eraseSubject(log, 'kwaai:log'), 'ERR_AUDIT_INVALID_ENTRY', 'erasure')
    await log.append({ kind: 'a', data: new Uint8Array(65_536), subject: 'x'.repeat(512) })
    expect(await log.size()).toBe(1)
  })

  test(
    'grows past full tiles: each file verifies, and each older log is its beginning',
    { timeout: 60_000 },
    async () => {
      const { log, policy } = logKit()
      const seen: string[] = []
      const data = text('x')
      for (let batch = 0; batch < 9; batch++) {
        await log.appendAll(
          Array.from({ length: batch % 2 === 0 ? 61 : 256 }, () => ({ kind: 'tick', data }))
        )
        seen.push(await log.checkpoint())
      }
      const size = 5 * 61 + 4 * 256
      const files = await filesOf(log)
      expect([...files.keys()].filter((path) => !path.includes('entries'))).toEqual([
        'tile/0/000',
        'tile/0/001',
        'tile/0/002',
        'tile/0/003',
        'tile/0/004',
        `tile/0/005.p/${size % 256}`,
        'tile/1/000.p/5',
        'checkpoint'
      ])
      expect(files.get('tile/0/000')?.length).toBe(8_192)
      for (const older of seen) {
        expect(await verifyFiles(readerFrom(files), policy, { seen: older })).toMatchObject({ ok: true })
        const { size: from, root } = parseCheckpoint(parseNote(older).text)
        const { proof, checkpoint } = await log.proveConsistency(from)
        const now = parseCheckpoint(parseNote(checkpoint).text)
        expect(verifyConsistency(from, now.size, root, now.root, proof)).toBe(true)
      }
      for (const seq of [0, 255, 256, 1_023, size - 1])
        expect(await verifyTlogProof(await log.prove(seq), policy)).toMatchObject({ ok: true, index: seq })
    }
  )

  test(
    'any byte that is changed in any file, and any file that is another, is seen',
    { timeout: 60_000 },
    async () => {
      const { log, policy } = logKit()
      for (let batch = 0; batch < 3; batch++)
        await log.appendAll(Array.from({ length: 90 }, () => ({ kind: 'tick', data: text('x') })))
      const files = await filesOf(log)
      expect(await verifyFiles(readerFrom(files), policy)).toMatchObject({ ok: true })
      const paths = [...files.keys()]
      await fc.assert(
        fc.asyncProperty(
          fc.constantFrom(...paths),
          fc.nat(),
          fc.integer({ min: 1, max: 255 }),
          async (path, at, flip) => {
            const changed = new Map(files)
            const bytes = (files.get(path) as Uint8Array).slice()
            bytes[at % bytes.length] = (bytes[at % bytes.length] as number) ^ flip
            changed.set(path, bytes)
            expect((await verifyFiles(readerFrom(changed), policy)).ok).toBe(false)
            changed.set(path, bytes.subarray(0, bytes.length - 1 - (at % bytes.length)))
            expect((await verifyFiles(readerFrom(changed), policy)).ok).toBe(false)
            changed.delete(path)
            expect((await verifyFiles(readerFrom(changed), policy)).ok).toBe(false)
          }
        ),
        { numRuns: 40, seed: 7 }
      )
    }
  )

  test('signs after so many entries, after so long, and at its end', async () => {
    const { log, clock, store } = logKit({ checkpointEntries: 4 })
    const signed = async (): Promise<number> => {
      const bytes = await store.get('audit/checkpoint')
      return bytes === undefined ? 0 : parseCheckpoint(parseNote(bytes).text).size
    }
    const tick = (): Promise<void> => log.append({ kind: 'tick', data: text('x') })
    for (let at = 0; at < 3; at++) await tick()
    expect(await signed()).toBe(0)
    await tick()
    expect(await signed()).toBe(4)
    await tick()
    expect(await signed()).toBe(4)
    await clock.advance(10_000)
    await tick()
    expect(await signed()).toBe(6)
    await tick()
    await log[Symbol.asyncDispose]()
    expect(await signed()).toBe(7)
  })

  test('does not sign what does not follow from what it signed', async () => {
    const kit = logKit({ checkpointEntries: 1 })
    const snapshot: [string, Uint8Array][] = []
    await kit.log.append({ kind: 'tick', data: text('1') })
    for await (const entry of kit.store.entries()) snapshot.push(entry)
    await kit.log.append({ kind: 'tick', data: text('2') })
    const last = (await kit.store.get('audit/checkpoint')) as Uint8Array
    // The store goes back, the checkpoint does not.
    for (const [key, value] of snapshot) await kit.store.put(key, value)
    await kit.store.put('audit/checkpoint', last)
    await assertRejectsWith(kit.log.checkpoint(), 'ERR_AUDIT_LOG_DAMAGED', 'a shorter log')
    await assertRejectsWith(
      kit.log.append({ kind: 'tick', data: text('3') }),
      'ERR_AUDIT_LOG_DAMAGED',
      'another second'
    )
  })

  test('takes a checkpoint or a head that cannot be read for damage, and says so', async () => {
    const { log, store } = logKit()
    await log.append({ kind: 'tick', data: text('1') })
    await log.checkpoint()
    for (const key of ['audit/checkpoint', 'audit/head']) {
      const sound = (await store.get(key)) as Uint8Array
      for (const bad of [
        new Uint8Array(),
        text('x'),
        text('null'),
        sound.subarray(0, 30),
        Uint8Array.of(0xff)
      ]) {
        await store.put(key, bad)
        await assertRejectsWith(log.append({ kind: 'tick', data: text('2') }), 'ERR_AUDIT_LOG_DAMAGED', key)
        await assertRejectsWith(log.checkpoint(), 'ERR_AUDIT_LOG_DAMAGED', key)
      }
      await store.put(key, sound)
    }
    expect(await log.size()).toBe(1)
  })

  test('a change of keys signs the same log anew', async () => {
    const before = logKit()
    await before.log.append({ kind: 'tick', data: text('1') })
    await before.log.checkpoint()
    const after = logKit({ seed: 2, store: before.store, keys: before.keys })
    const files = await filesOf(after.log)
    expect(await verifyFiles(readerFrom(files), after.policy)).toMatchObject({ ok: true })
    expect(await verifyFiles(readerFrom(files), before.policy)).toMatchObject({
      code: 'ERR_AUDIT_BAD_SIGNATURE'
    })
  })

  test('keeps the name under which it was signed while it was empty', async () => {
    const { store, keys, clock, signer } = logKit()
    const open = (): AuditLog => createAuditLog({}, { store, keys, clock, signer, random: systemRandom })
    const { origin } = parseCheckpoint(parseNote(await open().checkpoint()).text)
    const log = open()
    expect((await log.policy()).origin).toBe(origin)
    await log.append({ kind: 'tick', data: text('1') })
    expect(parseCheckpoint(parseNote(await open().checkpoint()).text)).toMatchObject({ origin, size: 1 })
  })

  test('calls at once come one after the other', async () => {
    const { log, policy } = logKit()
    await Promise.all(
      Array.from({ length: 40 }, (_, at) => log.append({ kind: 'tick', data: text(String(at)) }))
    )
    expect(await log.size()).toBe(40)
    expect(await verifyFiles(readerFrom(await filesOf(log)), policy)).toMatchObject({ ok: true })
  })
})

/** A store that ends, as a process does, before its n-th write. */
function endingStore(inner: KeyValueStore, writes: number): KeyValueStore {
  let left = writes
  const write = async (work: () => Promise<void>): Promise<void> => {
    if (left-- <= 0) throw new Error('killed')
    await work()
  }
  return {
    ...inner,
    put: (key, value) => write(() => inner.put(key, value)),
    delete: (key) => write(() => inner.delete(key)),
    batch: (operations: readonly BatchOperation[]) => write(() => inner.batch(operations))
  }
}

test('a kill before any write leaves a log that goes on, with every entry that was told to be kept', async () => {
  for (let writes = 0; writes < 14; writes++) {
    const inner = createMemoryStore()
    const keys = createMemoryVault()
    const first = logKit({ store: endingStore(inner, writes), keys, checkpointEntries: 2 })
    let told = 0
    try {
      for (let at = 0; at < 8; at++) {
        await first.log.append({ kind: 'tick', subject: alice, data: text(String(at)) })
        told++
      }
    } catch (error) {
      expect((error as Error).message).toBe('killed')
    }
    const { log, policy } = logKit({ store: inner, keys, signer: first.signer })
    const size = await log.size()
    expect(size).toBe(told)
    await log.append({ kind: 'tick', subject: alice, data: text('again') })
    expect(await verifyFiles(readerFrom(await filesOf(log)), policy)).toMatchObject({ ok: true })
    const seqs: number[] = []
    for await (const { record } of log.entriesOf(alice)) seqs.push(record.seq)
    expect(seqs).toEqual(Array.from({ length: size + 1 }, (_, at) => at))
  }
})

/** What works with something that fails once, at the n-th call. */
function failsOnce(n: number): <T>(work: () => Promise<T>) => Promise<T> {
  let left = n
  return async (work) => {
    if (left-- === 0) throw new Error('fails once')
    return work()
  }
}

test('what an append rejects is not kept: who makes it again has each entry once, whatever fails', async () => {
  const wanted = Array.from({ length: 8 }, (_, at) => String(at))
  const failing = ['write', 'sign'] as const
  for (const [what, n] of failing.flatMap((one) =>
    Array.from({ length: 14 }, (_, at) => [one, at] as const)
  )) {
    const [inner, keys, signer] = [createMemoryStore(), createMemoryVault(), createIdentity()]
    const once = failsOnce(n)
    const told: unknown[] = []
    const store: KeyValueStore = {
      ...inner,
      put: (key, value) => once(() => inner.put(key, value)),
      batch: (operations: readonly BatchOperation[]) => once(() => inner.batch(operations))
    }
    const first = logKit({
      checkpointEntries: 2,
      keys,
      store: what === 'write' ? store : inner,
      signer: what === 'sign' ? { ...signer, sign: (bytes) => once(() => signer.sign(bytes)) } : signer,
      onUnsigned: (error) => told.push(error)
    })
    let rejected = 0
    for (const data of wanted) {
      const append = (): Promise<void> => first.log.append({ kind: 'tick', subject: alice, data: text(data) })
      await append().catch(() => {
        rejected++
        return append()
      })
    }
    // A signer is asked four times, a store written to twelve times; and each failure is told in one of two ways.
    const failed = n < (what === 'sign' ? 4 : 12)
    expect(rejected + told.length, `${what} ${n}`).toBe(failed ? 1 : 0)
    if (what === 'sign') expect(rejected).toBe(0)
    const { log, policy } = logKit({ store: inner, keys, signer })
    const found: string[] = []
    for await (const { data } of log.entriesOf(alice)) found.push(new TextDecoder().decode(data))
    expect(found, `${what} ${n}`).toEqual(wanted)
    expect(await verifyFiles(readerFrom(await filesOf(log)), policy)).toMatchObject({
      ok: true,
      checkpoint: { size: 8 }
    })
  }
})

test('an erasure whose receipt cannot be signed is none yet, and is made again', async () => {
  for (let n = 0; n < 3; n++) {
    const signer = createIdentity()
    const once = failsOnce(n)
    const flaky = { ...signer, sign: (bytes: Uint8Array) => once(() => signer.sign(bytes)) }
    const { log, keys, policy } = logKit({ signer: flaky })
    await log.append({ kind: 'note/kept', subject: alice, data: text('hers') })
    if (n < 2) {
      await expect(eraseSubject(log, alice)).rejects.toThrow('fails once')
      expect(await keys.get(alice)).toBeDefined()
    }
    const receipt = await eraseSubject(log, alice)
    expect(await keys.get(alice)).toBeUndefined()
    expect(await verifyErasureReceipt(receipt, { policy })).toMatchObject({ ok: true })
  }
})

test('a leaf is the record and nothing else', async () => {
  const { log } = logKit()
  await log.append({ kind: 'tick', data: text('x') })
  const files = await filesOf(log)
  const bundle = files.get('tile/entries/000.p/1') as Uint8Array
  expect(files.get('tile/0/000.p/1')).toEqual(hashLeaf(bundle.subarray(2)))
  expect(JSON.parse(new TextDecoder().decode(bundle.subarray(2)))).toMatchObject({
    v: 1,
    seq: 0,
    kind: 'tick'
  })
})

test('a signed checkpoint that claims an endless log is refused at its first missing file', async () => {
  const { signer, policy } = logKit()
  const size = Number.MAX_SAFE_INTEGER
  const checkpoint = text(
    await signCheckpoint({ origin: policy.origin, size, root: new Uint8Array(32) }, signer)
  )
  const verified = await verifyFiles(async (path) => (path === 'checkpoint' ? checkpoint : undefined), policy)
  expect(verified).toMatchObject({ ok: false, code: 'ERR_AUDIT_MALFORMED' })
})
