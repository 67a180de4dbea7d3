import { describe, expect, test } from 'vitest'
import {
  ARGON2_MINIMUM,
  platformArgon2id,
  softwareArgon2id,
  type Argon2id
} from '../../src/keystore/index.ts'
import { fromHex } from '../hex.ts'

/** RFC 9106, section 5.3. */
const published = {
  passphrase: new Uint8Array(32).fill(1),
  salt: new Uint8Array(16).fill(2),
  secret: new Uint8Array(8).fill(3),
  associatedData: new Uint8Array(12).fill(4),
  m: 32,
  t: 3,
  p: 4,
  length: 32
}
const tag = fromHex('0d640df58d78766c08c037a34a8b53c9d01ef0452d75b65eb52520e96b01e659')

const engines: [string, Argon2id][] = [
  ['of the platform', platformArgon2id],
  ['in JavaScript', softwareArgon2id]
]

describe.each(engines)('Argon2id %s', (_, argon2id) => {
  test('gives the published bytes', async () => {
    expect(await argon2id(published)).toEqual(tag)
  })

  test('tells its progress, and ends when the signal aborts', async () => {
    const input = {
      passphrase: new Uint8Array([1]),
      salt: new Uint8Array(16),
      length: 32,
      m: 1024,
      t: 2,
      p: 1
    }
    const parts: number[] = []
    await argon2id(input, { onProgress: (part) => parts.push(part) })
    expect(parts.at(-1)).toBe(1)
    expect(parts.toSorted((a, b) => a - b)).toEqual(parts)
    const reason = new Error('enough')
    await expect(argon2id(input, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason)
    const ending = new AbortController()
    const deriving = argon2id({ ...input, ...ARGON2_MINIMUM }, { signal: ending.signal })
    queueMicrotask(() => ending.abort(reason))
    await expect(deriving).rejects.toBe(reason)
  })
})

test('both ways give equal bytes for what secrets are sealed with', async () => {
  const input = {
    ...ARGON2_MINIMUM,
    passphrase: new TextEncoder().encode('correct horse'),
    salt: Uint8Array.from({ length: 16 }, (_, index) => index),
    length: 32
  }
  expect(await softwareArgon2id(input)).toEqual(await platformArgon2id(input))
})
