import { createMemoryStore } from '@kwaai/interface/memory'
import { createFakeClock, createSeededRandom, type FakeClock } from '@kwaai/testing'
import type { KeyValueStore } from '@kwaai/interface'
import { beforeEach, describe, expect, test } from 'vitest'
import { createIdentity } from '../src/index.ts'
import { createStatusChecker, createStatusRegistry, type StatusRegistry } from '../src/status/index.ts'
import { issue, networkCredential, verify, type Credential, type VerifyResult } from '../src/vc/index.ts'

const start = Date.parse('2026-11-01T00:00:00Z')
const day = 86_400_000
const issuer = createIdentity({ seed: new Uint8Array(32).fill(1) })
const subject = createIdentity({ seed: new Uint8Array(32).fill(2) })
const lists = {
  revocation: 'https://example.org/status/revocation',
  suspension: 'https://example.org/status/suspension'
}
const invalid = { code: 'ERR_IDENTITY_STATUS_LIST_INVALID' }

let clock: FakeClock
let store: KeyValueStore
let signed: number
let registry: StatusRegistry
beforeEach(() => {
  clock = createFakeClock({ now: start })
  store = createMemoryStore()
  signed = 0
  registry = open()
})

function open(seed = 1, by = issuer): StatusRegistry {
  return createStatusRegistry(
    { issuer: by.did, lists },
    {
      store,
      clock,
      random: createSeededRandom(seed),
      issue: async (credential) => {
        signed++
        return issue(credential, by, { now: clock.now() })
      }
    }
  )
}

async function verified(credential: Credential, from: StatusRegistry = registry): Promise<VerifyResult> {
  const status = createStatusChecker(
    {},
    {
      clock,
      fetchDocument: async (url) => {
        const purpose = Object.entries(lists).find(([, at]) => at === url)?.[0]
        if (purpose === undefined) return undefined
        return { bytes: new TextEncoder().encode(JSON.stringify(await from.credential(purpose))) }
      }
    }
  )
  return verify(credential, { status, now: clock.now() })
}

const codes = ({ checks }: VerifyResult): unknown[] => checks.filter(({ ok }) => !ok).map(({ code }) => code)

test('what a new key issues stands at once, on the list that the old key has signed until then', async () => {
  await registry.allocate()
  await registry.credential('revocation')
  await registry.credential('suspension')
  const next = createIdentity({ seed: new Uint8Array(32).fill(3) })
  const after = open(2, next)
  const { entries } = await after.allocate()
  const member = networkCredential({
    type: 'MemberCredential',
    issuer: next.did,
    subject: subject.did,
    claims: { memberOf: 'Kwaai' },
    validFrom: start,
    status: entries
  })
  const credential = await issue(member, next, { now: start })
  expect(codes(await verified(credential, after))).toEqual([])
  // Signed once for each purpose and key, and then kept.
  expect(codes(await verified(credential, after))).toEqual([])
  expect(signed).toBe(4)
})

test('what was issued stands, is suspended, stands again, and is revoked for good', async () => {
  const { index, entries } = await registry.allocate()
  const credential = await issue(
    networkCredential({
      type: 'MemberCredential',
      issuer: issuer.did,
      subject: subject.did,
      claims: { memberOf: 'Kwaai' },
      validFrom: start,
      status: entries
    }),
    issuer,
    { now: start }
  )
  expect(codes(await verified(credential))).toEqual([])
  await registry.set(index, 'suspension', true)
  expect(codes(await verified(credential))).toEqual(['STATUS_SUSPENDED'])
  await registry.set(index, 'suspension', false)
  expect(codes(await verified(credential))).toEqual([])
  await registry.set(index, 'revocation', true)
  expect(codes(await verified(credential))).toEqual(['STATUS_REVOKED'])
  await expect(registry.set(index, 'revocation', false)).rejects.toMatchObject(invalid)
  // Another process over the same store says the same.
  expect(codes(await verified(credential, open(2)))).toEqual(['STATUS_REVOKED'])
  expect(await open(2).get(index, 'revocation')).toBe(true)
})

describe('entries', () => {
  test('are given away once each, in no order', async () => {
    const given = await Promise.all(Array.from({ length: 400 }, () => registry.allocate()))
    const indexes = given.map(({ index }) => index)
    expect(new Set(indexes).size).toBe(400)
    // Half of the steps go up and half go down, and both halves of the list are used.
    const ups = indexes.filter((index, i) => i > 0 && index > (indexes[i - 1] as number)).length
    expect(ups).toBeGreaterThan(150)
    expect(ups).toBeLessThan(250)
    expect(indexes.filter((index) => index < 65_536).length).toBeGreaterThan(150)
    expect(given[0]?.entries.map(({ statusPurpose }) => statusPurpose)).toEqual(['revocation', 'suspension'])
  })

  test('are not given away again after a start', async () => {
    // The same randomness: the first try falls on the entry that is taken.
    const first = await registry.allocate()
    const second = await open().allocate()
    expect(second.index).not.toBe(first.index)
  })

  test('that nobody has, and lists that are not there, are refused', async () => {
    await expect(registry.set(5, 'revocation', true)).rejects.toMatchObject(invalid)
    await expect(registry.set(5, 'toString', true)).rejects.toMatchObject(invalid)
    await expect(registry.credential('message')).rejects.toMatchObject(invalid)
  })
})

describe('the published list', () => {
  test('is signed anew when an entry changed or half of its period is over, and not before', async () => {
    const { index } = await registry.allocate()
    const first = await registry.credential('revocation')
    await clock.advance(day / 2 - 1)
    expect(await registry.credential('revocation')).toEqual(first)
    expect(await open(2).credential('revocation')).toEqual(first)
    expect(signed).toBe(1)
    await clock.advance(1)
    const second = await registry.credential('revocation')
    expect(second.validFrom).not.toBe(first.validFrom)
    await registry.set(index, 'revocation', true)
    await registry.set(index, 'revocation', true)
    expect(await registry.credential('revocation')).not.toEqual(second)
    expect(signed).toBe(3)
  })

  test('is not out of date where an entry changes while it is signed', async () => {
    const { index } = await registry.allocate()
    let late = true
    const slow = createStatusRegistry(
      { issuer: issuer.did, lists },
      {
        store,
        clock,
        issue: async (credential) => {
          // Another process revokes after this one has read the entries.
          if (late) await registry.set(index, 'revocation', true)
          late = false
          return issue(credential, issuer, { now: clock.now() })
        }
      }
    )
    const before = await slow.credential('revocation')
    expect(await slow.credential('revocation')).not.toEqual(before)
  })
})
