import { createFakeClock, type FakeClock } from '@kwaai/testing'
import { beforeEach, describe, expect, test } from 'vitest'
import { createIdentity } from '../src/index.ts'
import {
  createStatusChecker,
  createStatusList,
  encodeBitstring,
  statusEntry,
  statusListCredential,
  type StatusCheckerInit
} from '../src/status/index.ts'
import {
  addProof,
  eddsaJcs2022,
  networkCredential,
  verify,
  type Credential,
  type StatusChecker,
  type StatusEntry,
  type StatusOutcome
} from '../src/vc/index.ts'

const start = Date.parse('2026-11-01T00:00:00Z')
const hour = 3_600_000
const url = 'https://example.org/status/revocation'
const issuer = createIdentity({ seed: new Uint8Array(32).fill(1) })
const stranger = createIdentity({ seed: new Uint8Array(32).fill(2) })
const subject = createIdentity({ seed: new Uint8Array(32).fill(3) })

interface ListInit {
  set?: readonly [index: number, value: number][]
  purpose?: string
  at?: number
  by?: typeof issuer
  statusSize?: number
  url?: string
  more?: Partial<Credential>
  subject?: object
}

async function publish(init: ListInit = {}): Promise<Credential> {
  const { set = [], purpose = 'revocation', at = start, by = issuer, statusSize = 1 } = init
  const list = createStatusList({ statusSize })
  for (const [index, value] of set) list.set(index, value)
  const made = await statusListCredential({
    url: init.url ?? url,
    issuer: by.did,
    purpose,
    list,
    validFrom: at,
    validUntil: at + 24 * hour,
    ttlMs: 300_000
  })
  const credentialSubject = { ...(made.credentialSubject as object), ...init.subject }
  const credential = { ...made, credentialSubject, ...init.more } as Credential
  return (await addProof(credential, { signer: by, suite: eddsaJcs2022, created: at })) as Credential
}

function credentialWith(...entries: StatusEntry[]): Credential {
  return networkCredential({
    type: 'MemberCredential',
    issuer: issuer.did,
    subject: subject.did,
    claims: { memberOf: 'Kwaai' },
    validFrom: start,
    status: entries
  })
}

const entry = (index = 7, more: object = {}): StatusEntry => ({
  ...statusEntry({ statusListCredential: url, index, purpose: 'revocation' }),
  ...more
})

let clock: FakeClock
let served: Map<string, Credential | Uint8Array | Error>
let fetches: string[]
beforeEach(() => {
  clock = createFakeClock({ now: start })
  served = new Map()
  fetches = []
})

function checker(init: StatusCheckerInit = {}): StatusChecker {
  return createStatusChecker(init, {
    clock,
    fetchDocument: async (asked) => {
      fetches.push(asked)
      const found = served.get(asked)
      if (found instanceof Error) throw found
      if (found === undefined) return undefined
      return { bytes: found instanceof Uint8Array ? found : new TextEncoder().encode(JSON.stringify(found)) }
    }
  })
}
const ask = (status: StatusChecker, ...entries: StatusEntry[]): Promise<StatusOutcome> =>
  status.check(credentialWith(...entries), { now: clock.now() })

describe('a status', () => {
  test('stands, is revoked, or is suspended', async () => {
    served.set(url, await publish({ set: [[8, 1]] }))
    expect(await ask(checker(), entry(7))).toEqual({ ok: true })
    expect(await ask(checker(), entry(8))).toMatchObject({ ok: false, code: 'STATUS_REVOKED' })
    served.set(url, await publish({ set: [[8, 1]], purpose: 'suspension' }))
    expect(await ask(checker(), entry(8, { statusPurpose: 'suspension' }))).toMatchObject({
      code: 'STATUS_SUSPENDED'
    })
  })

  test('of several is the worst, and none at all stands', async () => {
    const suspension = 'https://example.org/status/suspension'
    served.set(url, await publish({ set: [[8, 1]] }))
    served.set(suspension, await publish({ set: [[8, 1]], purpose: 'suspension', url: suspension }))
    const other = statusEntry({ statusListCredential: suspension, index: 8, purpose: 'suspension' })
    expect(await ask(checker(), other, entry(8))).toMatchObject({ code: 'STATUS_REVOKED' })
    expect(await ask(checker(), entry(7), other)).toMatchObject({ code: 'STATUS_SUSPENDED' })
    expect(await ask(checker())).toEqual({ ok: true })
  })

  test('for refresh tells of a newer credential; for a message it is for the caller to say', async () => {
    served.set(url, await publish({ set: [[8, 1]], purpose: 'refresh' }))
    const refresh = await ask(checker(), entry(8, { statusPurpose: 'refresh' }))
    expect(refresh).toMatchObject({ ok: true, message: expect.any(String) as string })
    served.set(url, await publish({ set: [[8, 2]], purpose: 'message', statusSize: 2 }))
    const message = entry(8, {
      statusPurpose: 'message',
      statusSize: 2,
      statusMessage: ['open', 'held', 'closed', 'lost'].map((text, i) => ({
        status: `0x${i}`,
        message: text
      }))
    })
    expect(await ask(checker(), message)).toMatchObject({
      code: 'STATUS_SET',
      message: expect.stringContaining('closed') as string
    })
    const accept = checker({
      accept: ({ purpose, value, message: told }) => `${purpose}${value}${told}` === 'message2closed'
    })
    expect(await ask(accept, message)).toMatchObject({ ok: true })
  })

  test('is a part of every verification', async () => {
    served.set(url, await publish({ set: [[8, 1]] }))
    const sign = (index: number): Promise<Credential> =>
      addProof(credentialWith(entry(index)), {
        signer: issuer,
        suite: eddsaJcs2022,
        created: start
      }) as Promise<Credential>
    const status = checker()
    expect((await verify(await sign(7), { status, now: start })).ok).toBe(true)
    const revoked = await verify(await sign(8), { status, now: start })
    expect(revoked.ok).toBe(false)
    expect(revoked.checks.filter(({ ok }) => !ok)).toMatchObject([{ name: 'status', code: 'STATUS_REVOKED' }])
  })
})

describe('a list is refused', () => {
  test.each<[string, string, () => Promise<Credential | Uint8Array>]>([
    ['by another issuer', 'not by the issuer of the credential', () => publish({ by: stranger })],
    ['of another purpose', 'is not for revocation', () => publish({ purpose: 'suspension' })],
    ['that is another one', 'is another one', () => publish({ url: 'https://example.org/status/other' })],
    [
      'of an issuer that did not sign it',
      'PROOF_INVALID_SIGNATURE',
      async () => ({ ...(await publish({ by: stranger })), issuer: issuer.did })
    ],
    ['that was changed', 'PROOF_INVALID_SIGNATURE', async () => ({ ...(await publish()), name: 'changed' })],
    ['of yesterday but one', 'PERIOD_OVER', () => publish({ at: start - 48 * hour })],
    ['of tomorrow', 'PROOF_FROM_THE_FUTURE', () => publish({ at: start + 24 * hour })],
    ['without a proof', 'PROOF_MISSING', async () => ({ ...(await publish()), proof: [] })],
    [
      'that can itself be revoked',
      'STATUS_UNAVAILABLE',
      () => publish({ more: { credentialStatus: entry(3) } })
    ],
    [
      'of another type',
      'is no BitstringStatusListCredential',
      () => publish({ more: { type: ['VerifiableCredential'] } })
    ],
    [
      'with several subjects',
      'not one subject',
      () => publish({ more: { credentialSubject: [{ id: 'urn:x:1' }, { id: 'urn:x:2' }] } })
    ],
    ['with a list that is none', 'not GZIP', () => publish({ subject: { encodedList: 'uAAAA' } })],
    [
      'that inflates to more than may be',
      'bytes allowed',
      async () => publish({ subject: { encodedList: await encodeBitstring(new Uint8Array(2 ** 20 + 1)) } })
    ],
    ['with a time to live that is none', 'ttl', () => publish({ subject: { ttl: -1 } })],
    ['that is no JSON', 'is not JSON', async () => new TextEncoder().encode('{')],
    ['that has a name twice', 'is not JSON', async () => new TextEncoder().encode('{"id":"a","id":"b"}')],
    ['that is larger than it may be', 'larger than', async () => new Uint8Array(3 * 2 ** 20)]
  ])('%s', async (_, why, make) => {
    served.set(url, await make())
    expect(await ask(checker(), entry())).toMatchObject({
      ok: false,
      code: 'STATUS_INVALID',
      message: expect.stringContaining(why) as string
    })
  })

  test('unless the caller lets another publish it', async () => {
    served.set(url, await publish({ by: stranger }))
    const mayPublish: StatusCheckerInit['mayPublish'] = ({ listIssuer, credentialIssuer }) =>
      listIssuer === stranger.did && credentialIssuer === issuer.did
    expect(await ask(checker({ mayPublish }), entry())).toEqual({ ok: true })
  })

  test.each<[string, object]>([
    ['an index beyond the list', { statusListIndex: '131072' }],
    ['an index that is a number', { statusListIndex: 7 }],
    ['a negative index', { statusListIndex: '-1' }],
    ['an index with a sign', { statusListIndex: '+7' }],
    ['another type', { type: 'StatusList2021Entry' }],
    ['no purpose', { statusPurpose: '' }],
    ['a list that is a file', { statusListCredential: 'file:///etc/passwd' }],
    ['a list behind a password', { statusListCredential: 'https://user:word@example.org/' }],
    ['the id of the list', { id: url }],
    ['several bits without messages', { statusSize: 2 }],
    ['more bits than the list has', { statusSize: 2, statusMessage: [] }]
  ])('for %s', async (_, more) => {
    served.set(url, await publish())
    expect(await ask(checker(), entry(7, more))).toMatchObject({ ok: false, code: 'STATUS_INVALID' })
  })

  test('before anything is fetched where a credential names more than eight', async () => {
    const entries = Array.from({ length: 9 }, (_, i) =>
      entry(i, { statusListCredential: `${url}/${i}`, id: `${url}/${i}#` })
    )
    expect(await ask(checker(), ...entries)).toMatchObject({ code: 'STATUS_INVALID' })
    expect(fetches).toEqual([])
  })
})

describe('a list that was fetched', () => {
  test('is used until its time to live is over', async () => {
    served.set(url, await publish())
    const status = checker()
    await ask(status, entry())
    await clock.advance(299_000)
    await ask(status, entry())
    expect(fetches).toHaveLength(1)
    served.set(url, await publish({ set: [[7, 1]], at: clock.now() }))
    await clock.advance(1_000)
    expect(await ask(status, entry())).toMatchObject({ code: 'STATUS_REVOKED' })
    expect(fetches).toHaveLength(2)
  })

  test('stands for one that cannot be had, and no longer than its age allows', async () => {
    served.set(url, await publish())
    const status = checker({ maxAgeMs: hour })
    expect(await ask(checker(), entry(7, { statusListCredential: `${url}/none` }))).toMatchObject({
      code: 'STATUS_UNAVAILABLE'
    })
    await ask(status, entry())
    served.set(url, new Error('unreachable'))
    await clock.advance(hour)
    expect(await ask(status, entry())).toEqual({ ok: true })
    await clock.advance(1)
    expect(await ask(status, entry())).toMatchObject({ ok: false, code: 'STATUS_UNAVAILABLE' })
  })

  test('is of no use past its own end, however long it may be kept', async () => {
    served.set(url, await publish())
    const status = checker({ maxAgeMs: 100 * hour })
    await ask(status, entry())
    served.set(url, new Error('unreachable'))
    await clock.advance(24 * hour + 300_001)
    expect(await ask(status, entry())).toMatchObject({ ok: false, code: 'STATUS_UNAVAILABLE' })
  })

  test('gives way to none that is older, or by somebody else', async () => {
    const old = await publish({ at: start - hour })
    served.set(url, await publish({ set: [[7, 1]] }))
    const status = checker({ maxAgeMs: hour })
    await ask(status, entry())
    await clock.advance(301_000)
    served.set(url, old)
    expect(await ask(status, entry())).toMatchObject({ code: 'STATUS_REVOKED' })
    served.set(url, await publish({ by: stranger, at: clock.now() }))
    expect(await ask(status, entry())).toMatchObject({ code: 'STATUS_INVALID' })
    served.set(url, old)
    await clock.advance(hour)
    expect(await ask(status, entry())).toMatchObject({ code: 'STATUS_INVALID' })
    expect(await ask(status, entry())).toMatchObject({ code: 'STATUS_INVALID' })
  })

  test('is fetched once for all who ask at once', async () => {
    served.set(url, await publish())
    const status = checker()
    await Promise.all([1, 2, 3, 4].map((index) => ask(status, entry(index))))
    expect(fetches).toHaveLength(1)
  })

  test('is dropped when others were used later', async () => {
    const status = checker({ maxLists: 2 })
    for (const name of ['a', 'b', 'a', 'c', 'a', 'b']) {
      const at = `https://example.org/${name}`
      served.set(at, await publish({ url: at }))
      expect(await ask(status, entry(7, { statusListCredential: at }))).toEqual({ ok: true })
    }
    expect(fetches.map((at) => at.at(-1)).join('')).toBe('abcb')
  })

  test('gives way to none that is older after it was dropped, nor to one of another issuer', async () => {
    const other = 'https://example.org/other'
    const old = await publish({ at: start - hour })
    served.set(url, await publish({ set: [[7, 1]] }))
    served.set(other, await publish({ url: other }))
    const status = checker({ maxLists: 1 })
    await ask(status, entry())
    await ask(status, entry(7, { statusListCredential: other }))
    served.set(url, old)
    expect(await ask(status, entry())).toMatchObject({ code: 'STATUS_INVALID' })
    served.set(url, await publish({ by: stranger }))
    const theirs = { ...credentialWith(entry()), issuer: stranger.did }
    expect(await status.check(theirs, { now: clock.now() })).toEqual({ ok: true })
    served.set(url, await publish({ set: [[7, 1]] }))
    expect(await ask(status, entry())).toMatchObject({ code: 'STATUS_REVOKED' })
  })

  test('is waited for no longer than allowed, nor longer than the caller does', async () => {
    const never = createStatusChecker({}, { clock, fetchDocument: () => new Promise(() => undefined) })
    const late = ask(never, entry())
    const abort = new AbortController()
    const gone = never.check(credentialWith(entry()), { now: start, signal: abort.signal })
    abort.abort(new Error('the caller is gone'))
    await expect(gone).rejects.toThrow('the caller is gone')
    await clock.advance(10_000)
    expect(await late).toMatchObject({ code: 'STATUS_UNAVAILABLE' })
  })
})
