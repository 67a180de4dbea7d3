import type { Network } from '@kwaai/interface'
import { createMemoryHub, createMemoryNetwork } from '@kwaai/interface/memory'
import { createFakeClock, createSeededRandom } from '@kwaai/testing'
import { expect, test } from 'vitest'
import { backOffMs, keepConnected } from '../src/bootstrap.ts'
import { BOOTSTRAP_BACK_OFF_MS } from '../src/constants.ts'

test('pauses double, are bounded and vary', () => {
  const random = createSeededRandom(1)
  const { first, longest } = BOOTSTRAP_BACK_OFF_MS
  for (const attempt of [0, 1, 2, 5, 10, 1000, Number.MAX_SAFE_INTEGER]) {
    const base = Math.min(longest, first * 2 ** Math.min(attempt, 30))
    const pause = backOffMs(attempt, random)
    expect(pause).toBeGreaterThanOrEqual(base)
    expect(pause).toBeLessThan(base * 1.25)
  }
  expect(backOffMs(1, random)).not.toBe(backOffMs(1, random))
})

test('a peer that is not there is dialled again, and again after it was lost', async () => {
  const clock = createFakeClock()
  const hub = createMemoryHub({ clock })
  const network = createMemoryNetwork(hub, { peerId: 'a' })
  await network.start()
  const dials: number[] = []
  const counted: Pick<Network, 'connect' | 'peers' | 'onPeer'> = {
    ...network,
    connect: (address, options) => {
      dials.push(clock.monotonic())
      return network.connect(address, options)
    }
  }
  const stop = new AbortController()
  const components = { clock, random: createSeededRandom(1), signal: stop.signal }
  const done = keepConnected(counted, '/memory/hub/p2p/b', components)
  await clock.advance(10_000)
  expect(dials.length).toBeGreaterThanOrEqual(4)
  expect(dials.length).toBeLessThanOrEqual(6)

  const other = createMemoryNetwork(hub, { peerId: 'b' })
  await other.start()
  await clock.advance(20_000)
  expect(network.peers()).toEqual(['b'])
  const count = dials.length
  await clock.advance(1_000_000)
  expect(dials.length).toBe(count)

  hub.kill('b')
  await other.start()
  await clock.advance(2000)
  expect(network.peers()).toEqual(['b'])
  expect(dials.length).toBe(count + 1)

  stop.abort()
  await done
  hub.kill('b')
  await clock.advance(1_000_000)
  expect(dials.length).toBe(count + 1)
  expect(clock.sleeping).toBe(0)
})
