import { createIdentity, didFromPeerId, type Identity } from '@kwaai/identity'
import { createStatusRegistry } from '@kwaai/identity/status'
import {
  issue,
  present,
  readNetworkCredential,
  verify,
  type Credential,
  type Presentation
} from '@kwaai/identity/vc'
import type { KeyValueStore, Network } from '@kwaai/interface'
import { createMemoryHub, createMemoryNetwork, createMemoryStore } from '@kwaai/interface/memory'
import { createFakeClock, createSeededRandom, type FakeClock } from '@kwaai/testing'
import { beforeEach, describe, expect, test } from 'vitest'
import { createIssuerHandler, type IssuerHandler } from '../src/issuer/issuer-handler.ts'
import { createIssuing } from '../src/issuer/issuing.ts'
import {
  createObservationLog,
  throughputOf,
  totalsOf,
  type ObservationLog,
  type PeerObservations
} from '../src/issuer/observations.ts'
import { createWatcher, type WatcherComponents } from '../src/issuer/watcher.ts'

const start = Date.parse('2026-11-01T12:00:00Z')
const day = 86_400_000
const url = 'https://issuer.example.org'
const person = (seed: number): Identity => createIdentity({ seed: new Uint8Array(32).fill(seed) })
const [issuer, alice, bob] = [person(1), person(2), person(3)] as [Identity, Identity, Identity]

let clock: FakeClock
let store: KeyValueStore
let observations: ObservationLog
beforeEach(() => {
  clock = createFakeClock({ now: start })
  store = createMemoryStore()
  observations = createObservationLog({ windowDays: 3, maxPeers: 2, forgetDays: 2 }, { store, clock })
})

describe('observations', () => {
  test('are the sum of the days that count', async () => {
    expect(await observations.watch('p')).toBe(true)
    for (const answered of [true, false, true, true, true]) {
      await observations.probed(new Map([['p', answered]]))
      await clock.advance(day / 2)
    }
    // Noon of day 0 and midnight before day 1 are two days; the first three of five half days are out of the window.
    const kept = (await observations.get('p')) as PeerObservations
    expect(Object.keys(kept.days)).toHaveLength(2)
    expect(totalsOf(kept)).toEqual({ from: start + day / 2, until: start + 2 * day, probes: 4, answered: 3 })
    // Another process over the same store knows the same.
    expect(await createObservationLog({ windowDays: 3 }, { store, clock }).get('p')).toEqual(kept)
  })

  test('are of as many peers as may be, and end where one does not answer for days', async () => {
    expect(await observations.watch('a')).toBe(true)
    expect(await observations.watch('b')).toBe(true)
    expect(await observations.watch('c')).toBe(false)
    await observations.probed(new Map([['c', true]]))
    expect(await observations.get('c')).toBeUndefined()
    for (let i = 0; i < 3; i++) {
      await observations.probed(new Map([['a', false]]))
      await observations.probed(new Map([['b', true]]))
      await clock.advance(day)
    }
    expect(await observations.peers()).toEqual(['b'])
    expect(await observations.watch('c')).toBe(true)
  })

  test('keep no place for peers that pass by, where others come', async () => {
    const round = async (...answering: string[]): Promise<void> => {
      const peers = await observations.peers()
      await observations.probed(new Map(peers.map((peer) => [peer, answering.includes(peer)])))
    }
    await observations.watch('steady')
    await round('steady')
    // Many names, each there for one round alone.
    for (let i = 0; i < 5; i++) {
      expect(await observations.watch(`passing ${i}`), `${i}`).toBe(true)
      await round('steady', `passing ${i}`)
      await round('steady')
    }
    expect(await observations.watch('new')).toBe(true)
    await round('steady', 'new')
    expect(await observations.peers()).toEqual(['steady', 'new'])
    expect(totalsOf((await observations.get('steady')) as PeerObservations)).toMatchObject({ probes: 12 })
    // Who answers stays, and who answered most is the last to go.
    expect(await observations.watch('late')).toBe(false)
    await round()
    expect(await observations.watch('late')).toBe(true)
    expect(await observations.peers()).toEqual(['steady', 'late'])
    // Another process over the same store begins with what was answered.
    const next = createObservationLog({ maxPeers: 2 }, { store, clock })
    await next.probed(new Map([['late', false]]))
    await next.probed(new Map([['steady', false]]))
    expect(await next.watch('later')).toBe(true)
    expect(await next.peers()).toEqual(['steady', 'later'])
  })

  test('begin anew with a peer that was forgotten', async () => {
    await observations.watch('p')
    await observations.probed(new Map([['p', true]]))
    // As another process does that erases a person.
    await store.delete('observed/p')
    await observations.probed(new Map([['p', true]]))
    expect(await observations.peers()).toEqual([])
    expect(await observations.watch('p')).toBe(true)
    await observations.probed(new Map([['p', true]]))
    expect(totalsOf((await observations.get('p')) as PeerObservations)).toMatchObject({ probes: 1 })
  })

  test.each([
    ['an hour', 3_600_000],
    ['three days', 3 * day]
  ])('of a clock that is set back by %s end now and not later', async (_, back) => {
    await observations.watch('p')
    const sample = { model: 'm', modelHash: 'h', tokens: 10, tokensPerSecond: 5 }
    await observations.probed(new Map([['p', true]]))
    await observations.measured('p', { ...sample, at: start })
    const earlier = createFakeClock({ now: start - back })
    const after = createObservationLog({}, { store, clock: earlier })
    await after.probed(new Map([['p', false]]))
    const kept = (await after.get('p')) as PeerObservations
    const totals = totalsOf(kept)
    expect(totals).toMatchObject({ from: start - back, until: start - back, answered: back < day ? 1 : 0 })
    expect(throughputOf(kept)?.samples ?? 0).toBe(back < day ? 1 : 0)
  })

  test('of throughput are the median of the model measured last', async () => {
    await observations.watch('p')
    const sample = { at: start, model: 'm', tokens: 10 }
    for (const [modelHash, tokensPerSecond] of [
      ['old', 1_000],
      ['new', 5],
      ['new', 7],
      ['new', 100],
      ['new', 6]
    ] as const) {
      await observations.measured('p', { ...sample, modelHash, tokensPerSecond })
    }
    expect(throughputOf((await observations.get('p')) as PeerObservations)).toMatchObject({
      modelHash: 'new',
      samples: 4,
      tokens: 40,
      tokensPerSecond: 6.5
    })
    await clock.advance(3 * day)
    expect(throughputOf((await observations.get('p')) as PeerObservations)).toBeUndefined()
  })
})

describe('a watch', () => {
  async function networks(): Promise<{ own: Network; other: Network; kill: () => void }> {
    const hub = createMemoryHub({ clock })
    const [own, other] = ['own', 'other'].map((peerId) => createMemoryNetwork(hub, { peerId })) as [
      Network,
      Network
    ]
    await own.start()
    await other.start()
    await own.connect('other')
    return { own, other, kill: () => hub.kill('other') }
  }
  const without: WatcherComponents['node'] = undefined as never

  test('counts whom it has met, also when it is gone, and whom it meets again', async () => {
    const { own, other, kill } = await networks()
    const watcher = createWatcher({}, { network: own, node: without, observations, clock })
    expect(await watcher.probe()).toEqual({ probed: 1, answered: 1 })
    kill()
    expect(await watcher.probe()).toEqual({ probed: 1, answered: 0 })
    await other.start()
    expect(await watcher.probe()).toEqual({ probed: 1, answered: 1 })
    expect(totalsOf((await observations.get('other')) as PeerObservations)).toMatchObject({
      probes: 3,
      answered: 2
    })
  })

  test('goes on at its interval until it is stopped', async () => {
    const { own } = await networks()
    const init = { probeIntervalMs: 60_000, throughputIntervalMs: 0 }
    const watcher = createWatcher(init, { network: own, node: without, observations, clock })
    await watcher.start()
    await watcher.start()
    await clock.advance(150_000)
    const probes = async (): Promise<number | undefined> =>
      totalsOf((await observations.get('other')) as PeerObservations)?.probes
    expect(await probes()).toBe(3)
    await watcher.stop()
    await clock.advance(600_000)
    expect(await probes()).toBe(3)
    expect(clock.sleeping).toBe(0)
  })
})

/** What the server may say. */
interface Answer {
  issuer: string
  challenge: string
  credentials: Credential[]
  refused: unknown[]
  error: { code: string }
}

describe('an issuer', () => {
  let handler: IssuerHandler
  let allocated: number
  const registry = (): ReturnType<typeof createStatusRegistry> =>
    createStatusRegistry(
      {
        issuer: issuer.did,
        lists: { revocation: `${url}/status/revocation`, suspension: `${url}/status/suspension` }
      },
      { store, clock, issue: (credential) => issue(credential, issuer, { now: clock.now() }) }
    )
  beforeEach(async () => {
    allocated = 0
    const issuing = createIssuing(
      { minProbes: 3 },
      {
        signer: issuer,
        observations,
        store,
        clock,
        registry: async () => registry(),
        allocate: async () => {
          allocated++
          return (await registry().allocate()).entries
        }
      }
    )
    const random = createSeededRandom(1)
    handler = createIssuerHandler(
      { issuer: issuer.did, url },
      { issuing, registry: async () => registry(), clock, random }
    )
    await observations.watch(alice.peerId)
    for (const answered of [true, true, false, true])
      await observations.probed(new Map([[alice.peerId, answered]]))
  })

  async function send(
    method: string,
    path: string,
    body?: unknown,
    headers: Record<string, string> = {}
  ): Promise<{ status: number; body: Answer }> {
    const response = await handler.fetch(
      new Request(url + path, {
        method,
        headers,
        ...(body === undefined ? {} : { body: JSON.stringify(body) })
      })
    )
    return { status: response.status, body: (await response.json()) as Answer }
  }
  const challenge = async (): Promise<string> => (await send('POST', '/challenge', {})).body.challenge
  async function shown(
    holder: Identity,
    more: { challenge?: string; domain?: string } = {}
  ): Promise<Presentation> {
    return present([], holder, { challenge: await challenge(), domain: url, now: clock.now(), ...more })
  }

  test('issues what it saw, to whoever proves the key that it saw', async () => {
    const { status, body } = await send('POST', '/credentials', { presentation: await shown(alice) })
    expect(status).toBe(200)
    const [credential] = body.credentials as [Credential]
    expect(body.credentials).toHaveLength(1)
    expect(body.refused).toMatchObject([{ type: 'ThroughputCredential', code: 'not_observed' }])
    expect(readNetworkCredential(credential)).toMatchObject({
      ok: true,
      credential: {
        type: 'UptimeCredential',
        issuer: issuer.did,
        subject: alice.did,
        claims: { probes: 4, probesAnswered: 3 }
      }
    })
    const list = await send('GET', '/status/revocation')
    expect(list.status).toBe(200)
    expect((await verify(list.body as unknown as Credential, { now: clock.now() })).ok).toBe(true)
  })

  test('gives the same again within the hour, then a new one with the same entry, and none once it is revoked', async () => {
    const ask = async (): Promise<{ status: number; body: Answer }> =>
      send('POST', '/credentials', { presentation: await shown(alice), types: ['UptimeCredential'] })
    const first = (await ask()).body.credentials[0] as Credential
    expect((await ask()).body.credentials[0]).toEqual(first)
    await clock.advance(3_600_000)
    const second = (await ask()).body.credentials[0] as Credential
    expect(second).not.toEqual(first)
    expect(second.credentialStatus).toEqual(first.credentialStatus)
    expect(allocated).toBe(1)
    const [entry] = first.credentialStatus as unknown as { statusListIndex: string }[]
    await registry().set(Number(entry?.statusListIndex), 'revocation', true)
    expect(await ask()).toMatchObject({ status: 404, body: { refused: [{ code: 'revoked' }] } })
  })

  test('gives none of a key that it gave up', async () => {
    const next = person(4)
    const seen = { observations, store, clock, registry: async () => undefined, allocate: async () => [] }
    const by = async (signer: Identity): Promise<unknown> => {
      const issued = await createIssuing({ minProbes: 3 }, { ...seen, signer }).issue(
        alice.did,
        'UptimeCredential'
      )
      return 'credential' in issued ? issued.credential.issuer : issued
    }
    expect([await by(issuer), await by(issuer), await by(next)]).toEqual([issuer.did, issuer.did, next.did])
  })

  test.each<[string, () => Promise<unknown>, number, string]>([
    ['somebody it never saw', () => shown(bob), 404, ''],
    ['a foreign challenge', () => shown(alice, { challenge: 'made up' }), 403, 'invalid_challenge'],
    [
      'another domain',
      () => shown(alice, { domain: 'https://other.example.org' }),
      403,
      'proof_wrong_domain'
    ],
    ['a holder that did not sign', async () => ({ ...(await shown(bob)), holder: alice.did }), 403, ''],
    ['no presentation', async () => undefined, 403, 'invalid_challenge'],
    [
      'a presentation that was changed',
      async () => ({ ...(await shown(alice)), id: 'urn:uuid:1' }),
      403,
      'proof_invalid_signature'
    ]
  ])('gives nothing for %s', async (_, make, status, code) => {
    const answer = await send('POST', '/credentials', { presentation: await make() })
    expect(answer.status, JSON.stringify(answer.body)).toBe(status)
    if (code !== '') expect(answer.body.error.code).toBe(code)
    expect(answer.body.credentials ?? []).toEqual([])
  })

  test('takes a presentation once, and none whose challenge is too old', async () => {
    const presentation = await shown(alice)
    expect((await send('POST', '/credentials', { presentation })).status).toBe(200)
    expect((await send('POST', '/credentials', { presentation })).body.error.code).toBe(
      'presentation_replayed'
    )
    const late = await shown(alice)
    await clock.advance(300_000)
    expect((await send('POST', '/credentials', { presentation: late })).body.error.code).toBe(
      'invalid_challenge'
    )
  })

  test('answers to its own names, to no pages of others, and to nothing else', async () => {
    expect((await send('GET', '/', undefined, { host: '127.0.0.1:1234' })).body.issuer).toBe(issuer.did)
    expect((await send('GET', '/', undefined, { host: 'rebound.example' })).status).toBe(403)
    const origin = { origin: 'https://evil.example' }
    expect((await send('POST', '/challenge', {}, origin)).body.error.code).toBe('origin_not_allowed')
    expect((await send('GET', '/status/message')).status).toBe(404)
    expect((await send('GET', '/nothing')).status).toBe(404)
    expect((await send('POST', '/credentials', 'x'.repeat(70_000))).body.error.code).toBe('invalid_body')
    expect((await send('POST', '/credentials', { types: ['MemberCredential'] })).body.error.code).toBe(
      'invalid_types'
    )
  })

  test('names peers by their keys', () => {
    expect(didFromPeerId(alice.peerId)).toBe(alice.did)
  })
})
