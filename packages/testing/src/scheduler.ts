import type { CallOptions, Random } from '@kwaai/interface'
import { macrotask } from './macrotask.ts'

/** Lets tasks go on one at a time, in an order that the seed decides. */
export interface SeededScheduler {
  /** Waits to be picked. @throws the signal's reason when it aborts first. */
  turn(options?: CallOptions): Promise<void>
  /** Picks those who wait, one at a time, until nobody waits or `maxTurns` (default 100,000) have been given. */
  run(options?: { maxTurns?: number }): Promise<number>
  /** How many wait now. */
  readonly waiting: number
}

/**
 * Makes a {@link SeededScheduler}. As the `transfer` hook of an in-memory network it makes every order of
 * arrivals possible that a real network allows, and each of them repeatable.
 */
export function createSeededScheduler(random: Random): SeededScheduler {
  const waiting: (() => void)[] = []
  return {
    turn: ({ signal } = {}) =>
      new Promise((resolve, reject) => {
        if (signal?.aborted) return reject(signal.reason)
        const go = (): void => {
          signal?.removeEventListener('abort', abort)
          resolve()
        }
        const abort = (): void => {
          waiting.splice(waiting.indexOf(go), 1)
          reject(signal?.reason)
        }
        waiting.push(go)
        signal?.addEventListener('abort', abort, { once: true })
      }),
    async run({ maxTurns = 100_000 } = {}) {
      await macrotask()
      let turns = 0
      while (turns < maxTurns) {
        const [go] = waiting.splice(Math.floor(random.next() * waiting.length), 1)
        if (go === undefined) break
        go()
        turns += 1
        await macrotask()
      }
      return turns
    },
    get waiting() {
      return waiting.length
    }
  }
}
