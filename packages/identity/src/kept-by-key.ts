import { toHex } from './bytes.ts'
import { VERIFY_CACHE_KEYS } from './constants.ts'

/** Keeps what was made of a public key, for as many keys as are kept. */
export function keptByKey<T>(make: (bytes: Uint8Array) => T): (bytes: Uint8Array) => T {
  const kept = new Map<string, T>()
  return (bytes) => {
    const name = toHex(bytes)
    const made = kept.get(name) ?? make(bytes)
    kept.delete(name)
    kept.set(name, made)
    // The map remembers the order of insertion, so its first key is the one unused for longest.
    for (const oldest of kept.keys()) {
      if (kept.size <= VERIFY_CACHE_KEYS) break
      kept.delete(oldest)
    }
    return made
  }
}
