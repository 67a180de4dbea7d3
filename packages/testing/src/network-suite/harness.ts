import type { Network, PeerId } from '@kwaai/interface'
import { assert, type TestFunction } from '../assert.ts'

/** How a suite gets the networks it tests. */
export interface NetworkSuiteFactory {
  /** So many networks: started, and not connected to each other. They can reach each other. */
  create(count: number): Promise<Network[]>
  /** A well-formed id of a peer that does not exist. */
  readonly unknownPeer: PeerId
}

/** Runs one test of the suite with networks of its own. */
export type NetworkTest = (
  name: string,
  count: number,
  run: (networks: Network[], factory: NetworkSuiteFactory) => Promise<void>
) => void

/** Makes the function with which the suite's parts declare their tests. */
export function networkTest(test: TestFunction, factory: NetworkSuiteFactory): NetworkTest {
  return (name, count, run) => {
    test(`network: ${name}`, async () => {
      const networks = await factory.create(count)
      try {
        await run(networks, factory)
      } finally {
        await Promise.all(networks.map((network) => network.stop()))
      }
    })
  }
}

/** Two networks of a test, the first connected to the second. */
export async function connectedPair(networks: Network[]): Promise<[Network, Network]> {
  const [a, b] = networks
  assert(a !== undefined && b !== undefined, 'the test needs two networks')
  await a.connect(address(b))
  return [a, b]
}

/** An address of a network. */
export function address(network: Network): string {
  const [first] = network.addresses()
  assert(first !== undefined, 'a started network has an address')
  return first
}

/** A byte array that tells its place. */
export function pattern(length: number, seed: number): Uint8Array {
  const bytes = new Uint8Array(length)
  for (let index = 0; index < length; index++) bytes[index] = (index * 31 + (index >>> 8) + seed) & 0xff
  return bytes
}

/** A promise that will be looked at later: until then nobody is to call its rejection unhandled. */
export function later<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => undefined)
  return promise
}

/**
 * True when the promise is still open after a good number of round trips to the peer: a wait without a timer,
 * long enough on any network for whatever is on its way to arrive.
 */
export async function staysOpen(promise: Promise<unknown>, from: Network, peer: PeerId): Promise<boolean> {
  const state = { open: true }
  const note = (): void => {
    state.open = false
  }
  promise.then(note, note)
  for (let round = 0; round < 25 && state.open; round++) await from.ping(peer)
  return state.open
}

/** Asks again, a pause apart, until the condition holds; throws after a million times. */
export async function until(
  condition: () => boolean | Promise<boolean>,
  pause: () => Promise<unknown>,
  what: string
): Promise<void> {
  for (let round = 0; round < 1_000_000; round++) {
    if (await condition()) return
    await pause()
  }
  throw new Error(`${what}: it did not come to pass`)
}
