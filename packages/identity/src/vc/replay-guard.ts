import { sha256 } from '@noble/hashes/sha2.js'
import type { CallOptions, Clock, KeyValueStore } from '@kwaai/interface'
import { createMemoryStore, systemClock } from '@kwaai/interface/memory'
import { toHex } from '../bytes.ts'
import { createExpiringSet } from '../expiring-set.ts'

/** Remembers presentations, so that each is accepted once. */
export interface ReplayGuard {
  /**
   * Takes a key for itself. Answers false where it was taken before, or where that cannot be known. Of two calls at
   * once with the same key one alone is answered with true.
   */
  claim(key: string, options?: CallOptions): boolean | Promise<boolean>
}

/** How long and how much is remembered. */
export interface ReplayGuardInit {
  /** How long a key is kept, in milliseconds: longer than a challenge of yours is good for. Default ten minutes. */
  keepMs?: number
  /** Most keys; while there are so many every new one is refused. Default 100 000. */
  maxKeys?: number
}

/** What a guard needs. */
export interface ReplayGuardComponents {
  /** Where keys are kept, for one process at a time. Default in memory, which forgets when the process ends. */
  store?: KeyValueStore
  clock?: Clock
}

/** Makes a guard. */
export function createReplayGuard(
  init: ReplayGuardInit = {},
  components: ReplayGuardComponents = {}
): ReplayGuard {
  const { keepMs = 600_000, maxKeys = 100_000 } = init
  const { store = createMemoryStore(), clock = systemClock } = components
  const taken = createExpiringSet({ prefix: 'vc/shown/', maxEntries: maxKeys }, { store, clock })
  return {
    async claim(key, options) {
      const name = toHex(sha256(new TextEncoder().encode(key)))
      const until = Math.ceil((clock.now() + keepMs) / 1000)
      return (await taken.add(name, until, new Uint8Array(0), options)) === 'added'
    }
  }
}
