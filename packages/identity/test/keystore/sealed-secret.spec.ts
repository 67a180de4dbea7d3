import { createSeededRandom } from '@kwaai/testing'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  ARGON2_MAXIMUM,
  ARGON2_MINIMUM,
  looksSealed,
  MAX_SEALED_SECRET_BYTES,
  openSecret,
  readSealedFacts,
  sealSecret
} from '../../src/keystore/index.ts'
import { canonicalizeJson } from '../../src/json.ts'
import { rememberedArgon2id } from './remembered-argon2id.ts'
import { checksum } from './checksum.ts'

const argon2id = rememberedArgon2id()
const secret = Uint8Array.from({ length: 68 }, (_, index) => index)
const passphrase = 'correct horse battery staple'
const made = sealSecret(
  passphrase,
  secret,
  { name: 'controller', pub: 'did:key:z6MkTest' },
  { argon2id, random: createSeededRandom('sealed') }
)
const open = (bytes: Uint8Array, by: string | Uint8Array = passphrase): Promise<Uint8Array> =>
  openSecret(by, bytes, {}, { argon2id })
const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes)

type Json = Record<string, unknown> & { kdf: Record<string, unknown> }
/** The sealed secret with something changed, and its checksum made right again: what an attacker writes. */
async function forged(change: (json: Json) => void): Promise<Uint8Array> {
  const json = JSON.parse(text(await made)) as Json
  change(json)
  const { sum: _old, ...rest } = json
  return new TextEncoder().encode(`${canonicalizeJson({ ...rest, sum: checksum(rest) })}\n`)
}

describe('a sealed secret', () => {
  test('opens with its passphrase, whole, and tells its name and public part without', async () => {
    const sealed = await made
    expect(await open(sealed)).toEqual(secret)
    expect(readSealedFacts(sealed)).toEqual({
      kdf: { m: 19_456, t: 2, p: 1 },
      name: 'controller',
      pub: 'did:key:z6MkTest'
    })
    expect(looksSealed(sealed)).toBe(true)
    expect(Object.keys(JSON.parse(text(sealed)) as object)).toEqual([
      'aead',
      'check',
      'ct',
      'kdf',
      'name',
      'nonce',
      'pub',
      'sum',
      'v'
    ])
    await expect(openSecret(passphrase, sealed, { name: 'identity' }, { argon2id })).rejects.toMatchObject({
      code: 'ERR_IDENTITY_SECRET_DAMAGED'
    })
    // The same word, composed and decomposed, and as bytes.
    const word = await sealSecret('caf\u00e9', secret, {}, { argon2id })
    expect(await open(word, 'cafe\u0301')).toEqual(secret)
    expect(await open(word, new TextEncoder().encode('caf\u00e9'))).toEqual(secret)
  })

  test('says of another passphrase that it is one', async () => {
    const sealed = await made
    for (const wrong of [`${passphrase} `, passphrase.toUpperCase()]) {
      await expect(open(sealed, wrong)).rejects.toMatchObject({ code: 'ERR_IDENTITY_WRONG_PASSPHRASE' })
    }
    for (const none of ['', 'x'.repeat(1025)]) {
      await expect(open(sealed, none)).rejects.toMatchObject({ code: 'ERR_IDENTITY_INVALID_PASSPHRASE' })
      await expect(sealSecret(none, secret)).rejects.toMatchObject({
        code: 'ERR_IDENTITY_INVALID_PASSPHRASE'
      })
    }
  })

  test('cut off anywhere, or with any byte changed, is told to be damaged, and nothing is derived', async () => {
    const sealed = await made
    const before = argon2id.derivations()
    const damaged = { code: 'ERR_IDENTITY_SECRET_DAMAGED' }
    for (let length = 0; length < sealed.length; length++) {
      await expect(open(sealed.subarray(0, length))).rejects.toMatchObject(damaged)
    }
    for (let at = 0; at < sealed.length; at++) {
      for (const flip of [0x01, 0x20, 0x80]) {
        const changed = sealed.slice()
        changed[at] = (changed[at] as number) ^ flip
        await expect(open(changed), `byte ${at}`).rejects.toMatchObject(damaged)
      }
    }
    await expect(open(Uint8Array.of(...sealed, 0x0a))).rejects.toMatchObject(damaged)
    await expect(open(new Uint8Array(1 << 20))).rejects.toMatchObject(damaged)
    expect(argon2id.derivations()).toBe(before)
  })

  test('refuses each forged header field, with a right checksum too', async () => {
    const zeros = (bytes: number): string => 'A'.repeat(Math.ceil((bytes * 4) / 3))
    const changed: [(json: Json) => void, string][] = [
      [(json) => (json['v'] = 2), 'DAMAGED'],
      [(json) => (json['aead'] = 'none'), 'DAMAGED'],
      [(json) => (json.kdf['name'] = 'pbkdf2'), 'DAMAGED'],
      [(json) => (json['nonce'] = zeros(24)), 'DAMAGED'],
      [(json) => (json['nonce'] = zeros(12)), 'DAMAGED'],
      [(json) => (json['name'] = 'identity'), 'DAMAGED'],
      [(json) => delete json['name'], 'DAMAGED'],
      [(json) => (json['pub'] = 'did:key:z6MkMallory'), 'DAMAGED'],
      [(json) => delete json['pub'], 'DAMAGED'],
      [(json) => (json['pub'] = ['did:key:z6MkTest']), 'DAMAGED'],
      [(json) => (json['more'] = 1), 'DAMAGED'],
      [(json) => (json.kdf['more'] = 1), 'DAMAGED'],
      [(json) => delete json['ct'], 'DAMAGED'],
      [(json) => (json['ct'] = `${String(json['ct']).slice(4)}AAAA`), 'DAMAGED'],
      [(json) => (json['ct'] = String(json['ct']).slice(4)), 'DAMAGED'],
      // Nobody can tell these from a wrong passphrase: what is derived is another key.
      [(json) => (json['check'] = zeros(16)), 'WRONG_PASSPHRASE'],
      [(json) => (json.kdf['salt'] = zeros(16)), 'WRONG_PASSPHRASE'],
      [(json) => (json.kdf['m'] = 19_457), 'WRONG_PASSPHRASE'],
      [(json) => (json.kdf['t'] = 3), 'WRONG_PASSPHRASE'],
      [(json) => (json.kdf['p'] = 2), 'WRONG_PASSPHRASE']
    ]
    for (const [change, code] of changed) {
      await expect(open(await forged(change)), String(change)).rejects.toMatchObject({
        code: expect.stringContaining(code)
      })
    }
    // Unchanged, what this test writes is what was sealed.
    expect(await forged(() => undefined)).toEqual(await made)
  })

  test('is neither made nor opened with a derivation out of bounds, before any memory is taken', async () => {
    const before = argon2id.derivations()
    const wrong = [
      { m: 8 },
      { m: ARGON2_MINIMUM.m - 1 },
      { m: ARGON2_MAXIMUM.m + 1 },
      { m: 4_294_967_295 },
      { m: 19_456.5 },
      { m: -1 },
      { m: '19456' },
      { m: null },
      { t: 0 },
      { t: 1 },
      { t: 1_000_000 },
      { p: 0 },
      { p: 255 }
    ]
    for (const part of wrong) {
      const sealed = await forged((json) => Object.assign(json.kdf, part))
      await expect(open(sealed), JSON.stringify(part)).rejects.toMatchObject({
        code: 'ERR_IDENTITY_KDF_REFUSED'
      })
      const kdf = { ...ARGON2_MINIMUM, ...part } as never
      await expect(sealSecret(passphrase, secret, { kdf }, { argon2id })).rejects.toMatchObject({
        code: 'ERR_IDENTITY_KDF_REFUSED'
      })
    }
    expect(argon2id.derivations()).toBe(before)
  })

  test('has its limits', async () => {
    const sizes = { code: 'ERR_IDENTITY_SECRET_SIZE' }
    for (const size of [0, MAX_SEALED_SECRET_BYTES + 1]) {
      await expect(sealSecret(passphrase, new Uint8Array(size))).rejects.toMatchObject(sizes)
    }
    for (const pub of ['', 'two words', 'é', 'x'.repeat(257)]) {
      await expect(sealSecret(passphrase, secret, { pub })).rejects.toMatchObject(sizes)
    }
    const name = '../x'
    await expect(sealSecret(passphrase, secret, { name }, { argon2id })).rejects.toMatchObject({
      code: 'ERR_IDENTITY_INVALID_KEY_NAME'
    })
  })

  test('ends when its signal aborts', async () => {
    const signal = AbortSignal.abort(new Error('enough'))
    await expect(sealSecret(passphrase, secret, { signal })).rejects.toThrow('enough')
    await expect(openSecret(passphrase, await made, { signal })).rejects.toThrow('enough')
    const ending = new AbortController()
    const sealing = sealSecret(passphrase, secret, { signal: ending.signal })
    queueMicrotask(() => ending.abort(new Error('later')))
    await expect(sealing).rejects.toThrow('later')
  })

  test('of any secret opens to the same bytes', async () => {
    // One salt, so that one derivation serves all; the nonces differ.
    const random = createSeededRandom('property')
    const salt = random.bytes(16)
    const components = {
      argon2id,
      random: { ...random, bytes: (length: number) => (length === 16 ? salt : random.bytes(length)) }
    }
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ minLength: 1, maxLength: 4096 }), async (bytes) => {
        const sealed = await sealSecret(passphrase, bytes, {}, components)
        expect(await open(sealed)).toEqual(Uint8Array.from(bytes))
      }),
      { numRuns: 50, seed: 17 }
    )
    const largest = await sealSecret(passphrase, new Uint8Array(MAX_SEALED_SECRET_BYTES), {}, components)
    expect(await open(largest)).toHaveLength(MAX_SEALED_SECRET_BYTES)
  })
})
