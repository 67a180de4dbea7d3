import { createMemoryStore, systemRandom } from '@kwaai/interface/memory'
import { createFakeClock } from '@kwaai/testing'
import { createApiKeys, type CreateKeyInit } from '@kwaai/api'
import { expect, test } from 'vitest'

const minute = 60_000

function setup(init: { maxKeys?: number } = {}) {
  const store = createMemoryStore()
  const clock = createFakeClock()
  return { store, clock, keys: createApiKeys(init, { store, clock, random: systemRandom }) }
}

async function textOf(store: ReturnType<typeof createMemoryStore>): Promise<string> {
  let text = ''
  for await (const [key, value] of store.entries()) text += `${key} ${new TextDecoder().decode(value)}\n`
  return text
}

test('a key opens until it is revoked, and its secret is kept nowhere', async () => {
  const { store, clock, keys } = setup()
  const wanted = { name: 'laptop 💻', models: ['a', 'b/c'], limits: { requestsPerMinute: 5 } }
  const { key, secret } = await keys.create(wanted)
  expect(secret).toMatch(/^kw-[\w-]{43}$/)
  expect(key).toEqual({ id: expect.stringMatching(/^key_[0-9a-f]{32}$/), ...wanted, createdAt: clock.now() })
  expect(await keys.authenticate(secret)).toEqual(key)
  expect(await keys.list()).toEqual([key])

  // Neither the secret nor its random part stands anywhere.
  const kept = await textOf(store)
  expect(kept).not.toContain(secret.slice(3))
  expect(JSON.stringify(await keys.list())).not.toContain(secret.slice(3))
  const hash = new Uint8Array(await crypto.subtle.digest('SHA-256', new TextEncoder().encode(secret)))
  expect(kept).toContain(Array.from(hash, (byte) => byte.toString(16).padStart(2, '0')).join(''))

  expect(await keys.revoke(key.id)).toBe(true)
  expect(await keys.revoke(key.id)).toBe(false)
  expect(await keys.authenticate(secret)).toBeUndefined()
  expect([await keys.list(), await textOf(store)]).toEqual([[], ''])
})

test('an expired key opens nothing and is listed still', async () => {
  const { clock, keys } = setup()
  const { key, secret } = await keys.create({ name: 'guest', expiresAt: clock.now() + minute })
  await clock.advance(minute - 1)
  expect(await keys.authenticate(secret)).toEqual(key)
  await clock.advance(1)
  expect(await keys.authenticate(secret)).toBeUndefined()
  expect(await keys.list()).toEqual([key])
})

test('what is no secret costs no look into the store', async () => {
  const { keys, store } = setup()
  const { secret, key } = await keys.create({ name: 'x' })
  let looks = 0
  const watched = createApiKeys(
    {},
    {
      store: { ...store, get: (...args) => (looks++, store.get(...args)) },
      clock: createFakeClock(),
      random: systemRandom
    }
  )
  const bare = secret.slice(3)
  for (const wrong of ['', 'kw-', bare, `${secret}x`, secret.slice(0, -1), `kw-${bare.slice(1)}+`, key.id])
    expect(await watched.authenticate(wrong)).toBeUndefined()
  expect(await watched.authenticate(`kw-${'x'.repeat(1_000_000)}`)).toBeUndefined()
  expect(looks).toBe(0)
  const other = `kw-${bare[0] === 'A' ? 'B' : 'A'}${bare.slice(1)}`
  expect(await watched.authenticate(other)).toBeUndefined()
  expect(looks).toBe(1)
})

test('a record that was moved to another name, or cannot be read, opens nothing', async () => {
  const { keys, store } = setup()
  const mine = await keys.create({ name: 'mine' })
  const theirs = await keys.create({ name: 'theirs' })
  const record = await store.get(`api-key/${mine.key.id}`)
  await store.put(`api-key/${theirs.key.id}`, record ?? new Uint8Array())
  expect(await keys.authenticate(theirs.secret)).toBeUndefined()
  for (const broken of ['', '{', 'null', '{"hash":1}']) {
    await store.put(`api-key/${mine.key.id}`, new TextEncoder().encode(broken))
    expect(await keys.authenticate(mine.secret)).toBeUndefined()
  }
  expect((await keys.list()).map(({ name }) => name)).toEqual(['mine'])
  // It can be taken away all the same.
  expect(await keys.revoke(mine.key.id)).toBe(true)
})

test('keys are bounded in number, and their fields in size', async () => {
  const { keys, clock } = setup({ maxKeys: 2 })
  const first = await keys.create({ name: '1' })
  await keys.create({ name: '2' })
  await expect(keys.create({ name: '3' })).rejects.toMatchObject({ code: 'ERR_API_TOO_MANY_KEYS' })
  await keys.revoke(first.key.id)
  await keys.create({ name: '3' })

  const wrong: [CreateKeyInit, string][] = [
    [{ name: '' }, 'name'],
    [{ name: 'x'.repeat(101) }, 'name'],
    [{ name: '\u001b[31mred' }, 'name'],
    [{ name: 'x', models: [] }, 'models'],
    [{ name: 'x', models: [''] }, 'models.0'],
    [{ name: 'x', models: Array.from({ length: 101 }, () => 'm') }, 'models'],
    [{ name: 'x', limits: { requestsPerMinute: 0 } }, 'limits.requestsPerMinute'],
    [{ name: 'x', limits: { tokensPerMinute: 1.5 } }, 'limits.tokensPerMinute'],
    [{ name: 'x', limits: { concurrent: Number.NaN } }, 'limits.concurrent']
  ]
  const other = setup()
  for (const [init, param] of wrong)
    await expect(other.keys.create(init)).rejects.toMatchObject({
      code: 'ERR_API_INVALID_KEY',
      details: { param: expect.stringContaining(param.split('.')[0] ?? '') }
    })
  await expect(other.keys.create({ name: 'x', expiresAt: clock.now() })).rejects.toMatchObject({
    code: 'ERR_API_INVALID_KEY'
  })
  expect(await other.keys.list()).toEqual([])
  expect(() => setup({ maxKeys: 0 })).toThrow('maxKeys')
})

test('two keys never share an id or a secret', async () => {
  const { keys } = setup()
  const made = await Promise.all(Array.from({ length: 50 }, () => keys.create({ name: 'x' })))
  expect(new Set(made.map(({ secret }) => secret)).size).toBe(50)
  expect(new Set(made.map(({ key }) => key.id)).size).toBe(50)
})
