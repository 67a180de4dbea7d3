import { keyStoreSuite } from '@kwaai/testing'
import { afterAll, describe, expect, test } from 'vitest'
import { createFileKeyStore, createIndexedDbKeyStore, keepIdentity } from '../../src/keystore/index.ts'

let databases = 0
const names: string[] = []
const opened: { close(): Promise<void> }[] = []
function create(database: string): ReturnType<typeof createIndexedDbKeyStore> {
  const store = createIndexedDbKeyStore({ database })
  opened.push(store)
  return store
}
const fresh = (): string => {
  const name = `keys-${databases++}`
  names.push(name)
  return name
}
const nameOf = new WeakMap<object, string>()

afterAll(async () => {
  for (const store of opened) await store.close()
  for (const name of names) indexedDB.deleteDatabase(name)
})

describe('in IndexedDB', () => {
  keyStoreSuite(test, {
    create: async () => {
      const name = fresh()
      const store = create(name)
      nameOf.set(store, name)
      return store
    },
    again: async (store) => create(nameOf.get(store) as string)
  })

  test('a key outlives the page that made it, and a database taken away meanwhile is opened anew', async () => {
    const name = fresh()
    const first = create(name)
    const { did } = await keepIdentity({}, { store: first })
    await first.close()
    expect((await keepIdentity({}, { store: first })).did).toBe(did)
    const second = create(name)
    expect((await keepIdentity({}, { store: second })).did).toBe(did)
    // Both stores let go of it when another version wants in.
    await new Promise((resolve, reject) => {
      const request = indexedDB.deleteDatabase(name)
      request.addEventListener('success', resolve)
      request.addEventListener('blocked', () => reject(new Error('blocked')))
    })
    expect(await second.list()).toEqual([])
  })

  test('there are no files in a browser', async () => {
    await expect(createFileKeyStore({ folder: '/tmp' }).list()).rejects.toMatchObject({
      code: 'ERR_IDENTITY_KEYSTORE_UNUSABLE',
      message: expect.stringContaining('createIndexedDbKeyStore')
    })
  })
})
