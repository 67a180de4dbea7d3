import { expect, test } from 'vitest'
import { createEncryptionKey, sealTo } from '@kwaai/identity/seal'
import { deriveSeed, phraseFromRoot } from '@kwaai/identity/phrase'
import { createMemoryKeyStore, sealSecret } from '@kwaai/identity/keystore'
import {
  createIdentity,
  createWebCryptoSigner,
  didFromPublicKey,
  open,
  peerIdFromPublicKey,
  publicKeyToProtobuf,
  seal,
  seedToJwk,
  seedToMultibase,
  seedToProtobuf,
  verify
} from '../src/index.ts'

// Plain JavaScript hands over whatever it has. A text has a length; taken for bytes it would be zeros and its digits.
const identity = createIdentity({ seed: new Uint8Array(32).fill(7) })
const bytes = new TextEncoder().encode('pay bob now')
const secret = '00112233445566778899aabbccddeeff'
const impostors: readonly [string, unknown][] = [
  ['a text', secret],
  ['an object with a length', { length: 32 }],
  ['numbers of sixteen bits', new Uint16Array(32)],
  ['an array buffer', new ArrayBuffer(32)],
  ['null', null],
  ['nothing', undefined]
]

const takers: Readonly<Record<string, (value: never) => unknown>> = {
  'Identity.sign': (message) => identity.sign(message),
  seal: (payload) => seal(identity, 'example/note/1', payload),
  open: (envelope) => open(envelope, { context: 'example/note/1' }),
  didFromPublicKey,
  peerIdFromPublicKey,
  publicKeyToProtobuf,
  seedToProtobuf,
  seedToMultibase,
  seedToJwk,
  createWebCryptoSigner: (seed) => createWebCryptoSigner(seed),
  phraseFromRoot,
  deriveSeed: (root) => deriveSeed(root, 'node'),
  sealTo: (plaintext) => sealTo(createEncryptionKey().publicKey, plaintext, { info: 'example/note/1' }),
  'KeyStore.put': (value) => createMemoryKeyStore().put('one', value),
  sealSecret: (value) => sealSecret('correct horse', value)
}

test.each(Object.entries(takers))('%s takes bytes alone', async (_, take) => {
  for (const [name, value] of impostors) {
    const taken = await Promise.resolve()
      .then(() => take(value as never))
      .then(
        () => 'taken',
        (error: unknown) => (error instanceof Error ? 'refused' : error)
      )
    expect(taken, name).toBe('refused')
  }
})

test.each(['createIdentity', 'createEncryptionKey'] as const)('%s makes no key of a text', (name) => {
  const make = { createIdentity, createEncryptionKey }[name]
  for (const [what, seed] of impostors.filter(([, value]) => value !== undefined && value !== null))
    expect(() => make({ seed: seed as never }), what).toThrow()
})

test('no signature holds for a text, however long, nor is one a text', async () => {
  const signature = await identity.sign(bytes)
  for (const length of [11, 5_000]) {
    const message = 'x'.repeat(length)
    const zeros = await identity.sign(new Uint8Array(length))
    expect(await verify(identity.did, message as never, zeros)).toBe(false)
  }
  for (const [name, value] of impostors) {
    expect(await verify(identity.did, bytes, value as never), name).toBe(false)
    expect(await verify(identity.did, value as never, signature), name).toBe(false)
    if (typeof value !== 'string') expect(await verify(value as never, bytes, signature), name).toBe(false)
  }
})
