import { createSeededRandom } from '@kwaai/testing'
import { describe, expect, test } from 'vitest'
import { compareDistance, idOfKey, idOfPeer, type DhtId } from '../src/id.ts'
import { createLookup, runLookup } from '../src/lookup.ts'
import { createRoutingTable } from '../src/routing-table.ts'

const never = new AbortController().signal

/** A world of peers with the tables Kademlia would give them, each meeting the others in an order of its own. */
function world(
  size: number,
  k: number,
  seed: number
): { peers: string[]; closer: (peer: string, target: DhtId) => string[] } {
  const random = createSeededRandom(seed)
  const peers = Array.from({ length: size }, (_, i) => `peer${seed}x${i}`)
  const tables = new Map(
    peers.map((self) => {
      const table = createRoutingTable({ self, k })
      const order = peers.map((peer) => ({ peer, at: random.next() })).toSorted((a, b) => a.at - b.at)
      for (const { peer } of order) table.seen(peer)
      return [self, table]
    })
  )
  return { peers, closer: (peer, target) => tables.get(peer)?.closest(target, k) ?? [] }
}

function nearest(peers: readonly string[], target: DhtId, count: number): string[] {
  return peers.toSorted((a, b) => compareDistance(target, idOfPeer(a), idOfPeer(b))).slice(0, count)
}

describe.each([1, 2, 3])('among three hundred peers with k = 8, seed %i', (seed) => {
  const k = 8
  const { peers, closer } = world(300, k, seed)
  const self = peers[0] as string
  const target = idOfKey(`key ${seed}`)
  const seeds = closer(self, target)
  const others = peers.slice(1)

  test('finds the very closest, asking few', async () => {
    let asked = 0
    const found = await runLookup(createLookup({ self, target, k, seeds }), {
      alpha: 3,
      signal: never,
      ask: async (peer) => {
        asked += 1
        return closer(peer, target)
      }
    })
    expect(found).toEqual(nearest(others, target, k))
    expect(asked).toBeLessThan(3 * k)
  })

  test('finds the closest of the living when a third of all is dead', async () => {
    const random = createSeededRandom(seed)
    const dead = new Set(others.filter(() => random.next() < 1 / 3))
    const found = await runLookup(createLookup({ self, target, k, seeds }), {
      alpha: 3,
      signal: never,
      ask: async (peer) => {
        if (dead.has(peer)) throw new Error('dead')
        return closer(peer, target)
      }
    })
    const living = nearest(
      others.filter((peer) => !dead.has(peer)),
      target,
      k
    )
    expect(found.filter((peer) => living.includes(peer)).length).toBeGreaterThanOrEqual(k - 1)
    expect(found[0]).toBe(living[0])
  })

  test('is not led astray by peers that name peers who do not exist, closer than all others', async () => {
    // Names whose hashes lie closest to the target, as an attacker can find them by trying; each liar has its own.
    const lies = new Map(
      nearest(others, target, 5)
        .slice(1)
        .map((liar) => [
          liar,
          nearest(
            Array.from({ length: 1000 }, (_, i) => `invented${liar}x${i}`),
            target,
            30
          )
        ])
    )
    const made = new Set([...lies.values()].flat())
    let wasted = 0
    const found = await runLookup(createLookup({ self, target, k, seeds }), {
      alpha: 3,
      signal: never,
      ask: async (peer) => {
        if (made.has(peer)) {
          wasted += 1
          throw new Error('nobody')
        }
        return lies.get(peer) ?? closer(peer, target)
      }
    })
    expect(found).toEqual(nearest(others, target, k))
    // Each of the four liars is believed three times, and what was in flight then; not eight times, which is k.
    expect(wasted).toBeLessThanOrEqual(4 * (3 + 2))
  })
})

test('asks at most 4k + 32 however many peers are named', async () => {
  const target = idOfKey('flood')
  let asked = 0
  await runLookup(createLookup({ self: 'self', target, k: 4, seeds: ['a'] }), {
    alpha: 3,
    signal: never,
    ask: async (peer) =>
      Array.from({ length: 100 }, (_, i) => `${peer}x${i}`.slice(-60) + String((asked += i === 0 ? 1 : 0)))
  })
  expect(asked).toBeGreaterThan(4)
  expect(asked).toBeLessThanOrEqual(4 * 4 + 32)
})

test('keeps at most alpha requests in flight and never asks twice, nor itself', async () => {
  const { peers, closer } = world(60, 4, 9)
  const self = peers[0] as string
  const target = idOfKey('flight')
  let flying = 0
  let most = 0
  const asked: string[] = []
  await runLookup(createLookup({ self, target, k: 4, seeds: closer(self, target) }), {
    alpha: 3,
    signal: never,
    ask: async (peer) => {
      asked.push(peer)
      most = Math.max(most, ++flying)
      for (let i = 0; i < 5; i++) await undefined
      flying -= 1
      return [...closer(peer, target), self]
    }
  })
  expect(most).toBe(3)
  expect(new Set(asked).size).toBe(asked.length)
  expect(asked).not.toContain(self)
})

test('without seeds there is nobody to find', async () => {
  const lookup = createLookup({ self: 'a', target: idOfKey('x'), k: 4, seeds: ['a'] })
  expect(await runLookup(lookup, { alpha: 3, signal: never, ask: async () => [] })).toEqual([])
})

test('ends with the reason of its signal, and tells those being asked', async () => {
  const controller = new AbortController()
  const reason = new Error('enough')
  let told = 0
  const running = runLookup(createLookup({ self: 's', target: idOfKey('x'), k: 4, seeds: ['a', 'b'] }), {
    alpha: 2,
    signal: controller.signal,
    ask: (_peer, signal) =>
      new Promise((_resolve, reject) => {
        signal.addEventListener('abort', () => {
          told += 1
          reject(signal.reason)
        })
      })
  })
  controller.abort(reason)
  await expect(running).rejects.toBe(reason)
  expect(told).toBe(2)
})
