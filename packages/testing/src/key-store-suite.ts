import type { KeyStore } from '@kwaai/interface'
import { assert, assertEqual, assertRejects, assertRejectsWith, type TestFunction } from './assert.ts'

/** How a suite gets the store it tests. */
export interface KeyStoreSuiteFactory {
  /** An empty store. */
  create(): Promise<KeyStore>
  /** A second one over the same secrets, as another process has it, where there can be one. */
  again?(store: KeyStore): Promise<KeyStore>
  /** Called after each test. */
  destroy?(store: KeyStore): Promise<void>
}

const bytes = (...values: number[]): Uint8Array => Uint8Array.from(values)

/** What every `KeyStore` has to do. */
export function keyStoreSuite(test: TestFunction, factory: KeyStoreSuiteFactory): void {
  const withStore = (name: string, run: (store: KeyStore) => Promise<void>): void => {
    test(`key store: ${name}`, async () => {
      const store = await factory.create()
      try {
        await run(store)
      } finally {
        await factory.destroy?.(store)
      }
    })
  }

  withStore('names its contract and how much it takes', async (store) => {
    assertEqual<string>(store.specification, 'kwaai.key-store/1', 'specification')
    assert(store.maxSecretBytes >= 4096, 'a secret may have 4096 bytes')
  })

  withStore('gives back what was put, and undefined for the rest', async (store) => {
    assertEqual(await store.list(), [], 'names at first')
    assertEqual(await store.get('a'), undefined, 'secret at first')
    await store.put('a', bytes(1, 2, 3))
    const found = await store.get('a')
    assertEqual(found, bytes(1, 2, 3), 'secret')
    assert(found !== undefined && Object.getPrototypeOf(found) === Uint8Array.prototype, 'a plain Uint8Array')
    assertEqual(await store.get('b'), undefined, 'another name')
    await store.delete('a')
    await store.delete('a')
    assertEqual(await store.get('a'), undefined, 'deleted')
    assertEqual(await store.list(), [], 'names at last')
    await store.put('a', bytes(4))
    assertEqual(await store.get('a'), bytes(4), 'put again')
  })

  withStore('never puts over a secret unless told to', async (store) => {
    await store.put('a', bytes(1))
    const taken = 'ERR_IDENTITY_KEY_EXISTS'
    await assertRejectsWith(store.put('a', bytes(2)), taken, 'another secret')
    await assertRejectsWith(store.put('a', bytes(1)), taken, 'the same secret')
    await assertRejectsWith(store.put('a', bytes(2), { replace: false }), taken, 'replace: false')
    assertEqual(await store.get('a'), bytes(1), 'the first stands')
    await store.put('a', bytes(2, 2), { replace: true })
    assertEqual(await store.get('a'), bytes(2, 2), 'replaced')
    await store.put('new', bytes(3), { replace: true })
    assertEqual(await store.get('new'), bytes(3), 'replace where nothing stands')
  })

  withStore('of several that come at once one wins', async (store) => {
    const other = (await factory.again?.(store)) ?? store
    const writers = [store, other, store, other]
    const outcomes = await Promise.allSettled(writers.map((by, index) => by.put('a', bytes(index, index))))
    const won = outcomes.flatMap(({ status }, index) => (status === 'fulfilled' ? [index] : []))
    assertEqual(won.length, 1, 'winners')
    assertEqual(await store.get('a'), bytes(won[0] as number, won[0] as number), 'the secret of the winner')
    await Promise.all(writers.map((by, index) => by.put('a', bytes(7, index), { replace: true })))
    const last = await other.get('a')
    assert(last?.length === 2 && last[0] === 7, 'after several replacements one of them stands, whole')
    assertEqual(await store.list(), ['a'], 'names')
  })

  withStore('lists names in order, also to who opens it anew', async (store) => {
    for (const name of ['b', 'a.2', 'controller', 'a-1', 'a']) await store.put(name, bytes(1))
    const expected = ['a', 'a-1', 'a.2', 'b', 'controller']
    assertEqual(await store.list(), expected, 'names')
    const other = await factory.again?.(store)
    if (other === undefined) return
    assertEqual(await other.list(), expected, 'names seen by another')
    assertEqual(await other.get('a-1'), bytes(1), 'a secret seen by another')
  })

  withStore('takes names within the limits alone', async (store) => {
    const long = 'n'.repeat(64)
    const wrong = [
      '',
      `${long}n`,
      'A',
      'é',
      '.a',
      'a.',
      'a..b',
      '-',
      'a/b',
      '..',
      '../a',
      'a\\b',
      'a b',
      'a\0',
      '_'
    ]
    for (const name of wrong) {
      const what = JSON.stringify(name)
      await assertRejectsWith(store.put(name, bytes(1)), 'ERR_IDENTITY_INVALID_KEY_NAME', `put ${what}`)
      await assertRejectsWith(store.get(name), 'ERR_IDENTITY_INVALID_KEY_NAME', `get ${what}`)
      await assertRejectsWith(store.delete(name), 'ERR_IDENTITY_INVALID_KEY_NAME', `delete ${what}`)
    }
    await store.put(long, bytes(1))
    await store.put('0-a.b_c', bytes(1))
    assertEqual(await store.list(), ['0-a.b_c', long], 'names')
  })

  withStore('takes secrets within the limits alone', async (store) => {
    const largest = Uint8Array.from({ length: store.maxSecretBytes }, (_, index) => index % 251)
    await assertRejectsWith(store.put('a', bytes()), 'ERR_IDENTITY_SECRET_SIZE', 'an empty one')
    const larger = new Uint8Array(store.maxSecretBytes + 1)
    await assertRejectsWith(store.put('a', larger), 'ERR_IDENTITY_SECRET_SIZE', 'a larger one')
    assertEqual(await store.list(), [], 'nothing was put')
    await store.put('a', largest)
    assertEqual(await store.get('a'), largest, 'the largest')
  })

  withStore('copies bytes in and out', async (store) => {
    const whole = bytes(9, 1, 2, 3, 9)
    const given = whole.subarray(1, 4)
    const putting = store.put('a', given)
    given.fill(0)
    await putting
    const found = await store.get('a')
    found?.fill(7)
    assertEqual(await store.get('a'), bytes(1, 2, 3), 'secret')
    assertEqual(found?.buffer.byteLength, 3, 'what stood around it is not kept')
  })

  withStore('an aborted call rejects with the reason and does nothing', async (store) => {
    await store.put('a', bytes(1))
    const reason = new Error('enough')
    const signal = AbortSignal.abort(reason)
    const aborted = async (promise: Promise<unknown>, what: string): Promise<void> =>
      assertEqual(await assertRejects(promise, what), reason, what)
    await aborted(store.put('b', bytes(1), { signal }), 'put')
    await aborted(store.put('a', bytes(2), { signal, replace: true }), 'replace')
    await aborted(store.get('a', { signal }), 'get')
    await aborted(store.delete('a', { signal }), 'delete')
    await aborted(store.list({ signal }), 'list')
    assertEqual(await store.list(), ['a'], 'names')
    assertEqual(await store.get('a'), bytes(1), 'secret')
  })
}
