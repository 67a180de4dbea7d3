import { expect, test } from 'vitest'
import { createIdentity, createVerifier, didKeyResolver, verify } from '../src/index.ts'

const message = new TextEncoder().encode('a message')
const seed = new Uint8Array(32).fill(7)

test('a new identity signs, and its name alone verifies', async () => {
  const identity = createIdentity()
  const signature = await identity.sign(message)
  expect(signature.length).toBe(64)
  expect(await verify(identity.did, message, signature)).toBe(true)
  expect(await verify(identity.publicKey, message, signature)).toBe(true)
  expect(await createVerifier(identity.did).verify(message, signature)).toBe(true)
  expect(await (await didKeyResolver.resolve(identity.did)).verify(message, signature)).toBe(true)
})

test('another message, another signer and a shorter signature do not verify', async () => {
  const identity = createIdentity({ seed })
  const signature = await identity.sign(message)
  expect(await verify(identity.did, new Uint8Array(), signature)).toBe(false)
  expect(await verify(createIdentity().did, message, signature)).toBe(false)
  for (const length of [0, 32, 63])
    expect(await verify(identity.did, message, signature.slice(0, length))).toBe(false)
  expect(await verify(new Uint8Array(31), message, signature)).toBe(false)
})

test('two identities are different, one seed is one identity, and the seed comes from the given randomness', () => {
  expect(createIdentity().did).not.toBe(createIdentity().did)
  const random = { bytes: (length: number) => new Uint8Array(length).fill(7), next: () => 0 }
  expect(createIdentity({}, { random }).did).toBe(createIdentity({ seed }).did)
})

test('what a caller does to arrays it gave or got leaves the identity as it was', async () => {
  const given = seed.slice()
  const identity = createIdentity({ seed: given })
  given.fill(0)
  identity.publicKey.fill(0)
  identity.exportSeed().fill(0)
  expect(identity.exportSeed()).toEqual(seed)
  expect(await verify(identity.publicKey, message, await identity.sign(message))).toBe(true)
  expect(JSON.stringify(identity)).not.toContain('7,7,7')
})

test('an aborted resolution rejects with the reason', async () => {
  const reason = new Error('enough')
  await expect(
    didKeyResolver.resolve(createIdentity().did, { signal: AbortSignal.abort(reason) })
  ).rejects.toBe(reason)
})
