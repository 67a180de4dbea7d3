import type { Random } from '../common.ts'

/** The platform's cryptographic randomness. */
export const systemRandom: Random = {
  bytes: (length) => crypto.getRandomValues(new Uint8Array(length)),
  next: () => {
    const words = crypto.getRandomValues(new Uint32Array(2))
    // 53 bits, the precision of a double.
    return ((words[0] as number) * 2 ** 21 + ((words[1] as number) >>> 11)) / 2 ** 53
  }
}
