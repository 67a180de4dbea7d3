import type { CallOptions } from '@kwaai/interface'
import { shardError } from '../errors.ts'

/** One call of a batch. */
export interface Batched<I> {
  readonly item: I
  /** False once its caller has given up: nobody reads its result then. */
  readonly wanted: boolean
}

/** Gathers calls while others are under way, and runs them together. */
export interface Batcher<I, O> {
  /**
   * @throws A KwaaiError `ERR_BACKEND_BUSY` when too many calls wait; the signal's reason; or what the batch fails with.
   */
  add(item: I, options?: CallOptions): Promise<O>
}

interface Waiting<I, O> {
  item: I
  wanted: boolean
  resolve(result: O): void
  reject(error: unknown): void
}

/**
 * A call that comes alone runs at once and alone: nobody waits for company.
 *
 * @param init.fit how many of these, from the first on, go into one batch: one at least.
 * @param init.run computes a batch; results in the order of the calls.
 */
export function createBatcher<I, O>(init: {
  maxWaiting: number
  fit(items: readonly I[]): number
  run(batch: readonly Batched<I>[]): Promise<readonly O[]>
}): Batcher<I, O> {
  const { maxWaiting, fit, run } = init
  let waiting: Waiting<I, O>[] = []
  let busy = false

  const take = (): Waiting<I, O>[] => {
    if (waiting.length === 0) return []
    return waiting.splice(0, fit(waiting.map(({ item }) => item)))
  }
  const pump = async (): Promise<void> => {
    if (busy) return
    busy = true
    for (let batch = take(); batch.length > 0; batch = take()) {
      try {
        const results = await run(batch)
        for (const [i, call] of batch.entries()) call.resolve(results[i] as O)
      } catch (error) {
        for (const call of batch) call.reject(error)
      }
    }
    busy = false
  }

  return {
    add(item, { signal } = {}) {
      return new Promise((resolve, reject) => {
        if (signal?.aborted === true) return reject(signal.reason)
        if (waiting.length >= maxWaiting)
          return reject(
            shardError('ERR_BACKEND_BUSY', `Cannot take the call: ${waiting.length} are waiting`, {
              details: { limit: maxWaiting }
            })
          )
        const abort = (): void => {
          call.wanted = false
          waiting = waiting.filter((other) => other !== call)
          reject(signal?.reason)
        }
        const settled = (): void => signal?.removeEventListener('abort', abort)
        const call: Waiting<I, O> = {
          item,
          wanted: true,
          resolve(result) {
            settled()
            resolve(result)
          },
          reject(error) {
            settled()
            reject(error)
          }
        }
        signal?.addEventListener('abort', abort, { once: true })
        waiting.push(call)
        void pump()
      })
    }
  }
}
