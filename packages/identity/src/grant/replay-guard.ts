import { sha256 } from '@noble/hashes/sha2.js'
import type { CallOptions, Clock, KeyValueStore } from '@kwaai/interface'
import { toBase64Url } from './bundle.ts'
import type { InvocationClaims } from './claims.ts'
import { createExpiringSet } from '../expiring-set.ts'
import { DEFAULT_MAX_REMEMBERED } from './limits.ts'

/** Remembers which invocations were done, so that none is done twice. */
export interface ReplayGuard {
  /** Takes an invocation: `used` where it was taken before, `full` where there is no room to remember it. */
  take(claims: InvocationClaims, options?: CallOptions): Promise<'ok' | 'used' | 'full'>
}

/** How much a replay guard remembers. */
export interface ReplayGuardInit {
  /** Invocations at once; more are refused, none is forgotten before its time. Default 100,000. */
  maxEntries?: number
}

/**
 * Makes a guard that remembers each nonce of each issuer until its invocation is over. It forgets with its store: over
 * one in memory, whoever starts anew should take invocations only some minutes later.
 */
export function createReplayGuard(
  init: ReplayGuardInit,
  components: { store: KeyValueStore; clock: Clock }
): ReplayGuard {
  const { maxEntries = DEFAULT_MAX_REMEMBERED } = init
  const taken = createExpiringSet({ prefix: 'grant/used/', maxEntries }, components)
  return {
    async take({ iss, nonce, exp }, options) {
      const name = toBase64Url(sha256(new TextEncoder().encode(`${iss} ${nonce}`)))
      const outcome = await taken.add(name, exp, new Uint8Array(0), options)
      if (outcome === 'added') return 'ok'
      return outcome === 'known' ? 'used' : 'full'
    }
  }
}
