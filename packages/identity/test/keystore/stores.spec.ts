import { createSeededRandom, keyStoreSuite } from '@kwaai/testing'
import { describe, expect, test } from 'vitest'
import { createIdentity } from '../../src/index.ts'
import {
  createEncryptedKeyStore,
  createMemoryKeyStore,
  keepIdentity,
  readSealedFacts
} from '../../src/keystore/index.ts'
import { rememberedArgon2id } from './remembered-argon2id.ts'

const argon2id = rememberedArgon2id()
// Always the same salt, so that one derivation serves all.
const random = { bytes: (length: number) => new Uint8Array(length).fill(5), next: () => 0.5 }

describe('in memory', () => {
  keyStoreSuite(test, { create: async () => createMemoryKeyStore() })
})

describe('encrypted', () => {
  keyStoreSuite(test, {
    create: async () =>
      createEncryptedKeyStore(
        {},
        { store: createMemoryKeyStore(), passphrase: () => 'correct horse', argon2id, random }
      )
  })

  test('keeps no secret in the clear, binds each to its name, and lets nobody replace what he cannot open', async () => {
    const store = createMemoryKeyStore()
    let passphrase = 'correct horse'
    const asked: string[] = []
    const encrypted = createEncryptedKeyStore(
      { pub: (name) => `key:${name}` },
      {
        store,
        argon2id,
        random,
        passphrase: ({ name, purpose }) => {
          asked.push(`${purpose} ${name}`)
          return passphrase
        }
      }
    )
    const secret = new TextEncoder().encode('a very secret secret')
    await encrypted.put('a', secret)
    const sealed = (await store.get('a')) as Uint8Array
    expect(new TextDecoder().decode(sealed)).not.toContain('secret')
    expect(readSealedFacts(sealed)).toMatchObject({ name: 'a', pub: 'key:a' })
    await store.put('b', sealed)
    await expect(encrypted.get('b')).rejects.toMatchObject({ code: 'ERR_IDENTITY_SECRET_DAMAGED' })
    passphrase = 'wrong horse'
    const wrong = { code: 'ERR_IDENTITY_WRONG_PASSPHRASE' }
    await expect(encrypted.get('a')).rejects.toMatchObject(wrong)
    await expect(encrypted.put('a', Uint8Array.of(1), { replace: true })).rejects.toMatchObject(wrong)
    expect(await store.get('a')).toEqual(sealed)
    passphrase = 'correct horse'
    expect(await encrypted.get('a')).toEqual(secret)
    await encrypted.put('a', Uint8Array.of(1), { replace: true })
    expect(await encrypted.get('a')).toEqual(Uint8Array.of(1))
    expect(asked.slice(0, 2)).toEqual(['seal a', 'open b'])
  })
})

describe('a kept identity', () => {
  test('is made once, also by several at once, and is the same ever after', async () => {
    const store = createMemoryKeyStore()
    const all = await Promise.all([1, 2, 3].map(() => keepIdentity({}, { store })))
    const again = await keepIdentity({}, { store, random: createSeededRandom(1) })
    for (const { did, peerId } of all) expect([did, peerId]).toEqual([again.did, again.peerId])
    const other = await keepIdentity({ name: 'other' }, { store })
    expect(other.did).not.toBe(again.did)
    expect(await store.list()).toEqual(['identity', 'other'])
  })

  test('is never replaced because it cannot be read', async () => {
    const store = createMemoryKeyStore()
    const { exportSeed } = createIdentity()
    await store.put('identity', exportSeed())
    await expect(keepIdentity({}, { store })).rejects.toMatchObject({ code: 'ERR_IDENTITY_INVALID_SEED' })
    expect(await store.get('identity')).toEqual(exportSeed())
  })
})
