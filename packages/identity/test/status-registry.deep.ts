import { createMemoryStore } from '@kwaai/interface/memory'
import { expect, test } from 'vitest'
import { createIdentity } from '../src/index.ts'
import { createStatusRegistry } from '../src/status/index.ts'
import { issue } from '../src/vc/index.ts'

test('the entries of a list are found to the last one, and then there are none', async () => {
  const issuer = createIdentity()
  const store = createMemoryStore()
  const registry = createStatusRegistry(
    { issuer: issuer.did, lists: { revocation: 'https://example.org/status/revocation' } },
    { store, issue: (credential) => issue(credential, issuer) }
  )
  const left = [5, 131_000]
  const taken: { type: 'put'; key: string; value: Uint8Array }[] = []
  for (let i = 0; i < 131_072; i++) {
    if (left.includes(i)) continue
    taken.push({
      type: 'put',
      key: `status/taken/${String(i).padStart(8, '0')}`,
      value: new Uint8Array([1])
    })
  }
  await store.batch(taken)
  const got = [(await registry.allocate()).index, (await registry.allocate()).index]
  expect(got.toSorted((a, b) => a - b)).toEqual(left)
  await expect(registry.allocate()).rejects.toMatchObject({ code: 'ERR_IDENTITY_STATUS_LIST_FULL' })
})
