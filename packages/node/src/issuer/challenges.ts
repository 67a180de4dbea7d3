import { createHmac, timingSafeEqual } from 'node:crypto'
import type { Clock, Random } from '@kwaai/interface'

/** Challenges that need no memory: each says when it ends and proves that it is from here. */
export interface Challenges {
  next(): { challenge: string; expires: number }
  /** Whether a challenge is from here and has not ended. */
  holds(challenge: string): boolean
}

/** Milliseconds a challenge is good for. */
const lifeMs = 300_000

/** Makes challenges under a key that lives as long as the process. */
export function createChallenges({ clock, random }: { clock: Clock; random: Random }): Challenges {
  const key = random.bytes(32)
  const proof = (text: string): Buffer => createHmac('sha256', key).update(text).digest()
  return {
    next() {
      const expires = clock.now() + lifeMs
      const text = `${expires}.${Buffer.from(random.bytes(16)).toString('base64url')}`
      return { challenge: `${text}.${proof(text).toString('base64url')}`, expires }
    },
    holds(challenge) {
      const match = /^((\d{1,16})\.[\w-]{22})\.([\w-]{43})$/.exec(challenge)
      const [, text, expires, given] = match ?? []
      if (text === undefined || given === undefined) return false
      const wanted = proof(text)
      const bytes = Buffer.from(given, 'base64url')
      return bytes.length === wanted.length && timingSafeEqual(bytes, wanted) && Number(expires) > clock.now()
    }
  }
}
