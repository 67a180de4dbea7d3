import type { Random } from '../common.ts'

// Asking the platform costs more than the bytes, so it is asked for many at once. No byte is given out twice.
const pool = new Uint8Array(1024)
let used: number = pool.length

function bytes(length: number): Uint8Array<ArrayBuffer> {
  if (length > pool.length / 8) return crypto.getRandomValues(new Uint8Array(length))
  if (used + length > pool.length) {
    crypto.getRandomValues(pool)
    used = 0
  }
  const taken = pool.slice(used, used + length)
  pool.fill(0, used, used + length)
  used += length
  return taken
}

/** The platform's cryptographic randomness. */
export const systemRandom: Random = {
  bytes,
  next: () => {
    const words = crypto.getRandomValues(new Uint32Array(2))
    // 53 bits, the precision of a double.
    return ((words[0] as number) * 2 ** 21 + ((words[1] as number) >>> 11)) / 2 ** 53
  }
}
