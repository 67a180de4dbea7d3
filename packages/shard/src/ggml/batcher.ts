import type { CallOptions, Clock } from '@kwaai/interface'
import { shardError } from '../errors.ts'
import { createCompany } from './company.ts'

/** One call of a batch. */
export interface Batched<I> {
  readonly item: I
  /** False once its caller has given up: nobody reads its result then. */
  readonly wanted: boolean
}

/** How a batch is held back for others that come in a moment, as those do that went together before. */
export interface Hold {
  /** Calls that are worth it: fewer wait, where as many callers came lately. */
  enough: number
  /** Milliseconds a batch waits at most. */
  maxMs: number
  clock: Clock
}

/** Options of {@link Batcher.add}. */
export interface AddOptions extends CallOptions {
  /** Whose call it is: an object of its own. Nobody is waited for on behalf of callers that are not known. */
  caller?: object
}

/** Gathers calls while others are under way, and runs them together. */
export interface Batcher<I, O> {
  /**
   * @throws A KwaaiError `ERR_BACKEND_BUSY` when too many calls wait; the signal's reason; or what the batch fails with.
   */
  add(item: I, options?: AddOptions): Promise<O>
}

interface Waiting<I, O> {
  item: I
  /** Milliseconds of the clock of {@link Hold}; 0 without one. */
  arrivedAt: number
  wanted: boolean
  resolve(result: O): void
  reject(error: unknown): void
}

/**
 * A call that comes alone runs at once and alone: nobody waits for company that was not there before.
 *
 * @param init.fit how many of these, from the first on, go into one batch: one at least.
 * @param init.run computes a batch; results in the order of the calls.
 */
export function createBatcher<I, O>(init: {
  maxWaiting: number
  fit(items: readonly I[]): number
  run(batch: readonly Batched<I>[]): Promise<readonly O[]>
  /** Default: no batch is held back. */
  hold?: Hold
}): Batcher<I, O> {
  const { maxWaiting, fit, run, hold } = init
  const company = hold === undefined ? undefined : createCompany(2 * hold.enough)
  let waiting: Waiting<I, O>[] = []
  let busy = false
  /** Set while a batch is held back. */
  let nap: AbortController | undefined

  const take = (): Waiting<I, O>[] => {
    if (waiting.length === 0) return []
    return waiting.splice(0, fit(waiting.map(({ item }) => item)))
  }
  /** Waits until enough are there, or the first has waited long enough. */
  const gather = async ({ enough, maxMs, clock }: Hold): Promise<void> => {
    const [first] = waiting
    if (first === undefined || waiting.length >= enough || (company?.size ?? 0) < enough) return
    const leftMs = first.arrivedAt + maxMs - clock.monotonic()
    if (leftMs <= 0) return
    nap = new AbortController()
    await clock.sleep(leftMs, { signal: nap.signal }).catch(() => undefined)
    nap = undefined
  }
  const pump = async (): Promise<void> => {
    if (busy) {
      if (hold !== undefined && waiting.length >= hold.enough) nap?.abort()
      return
    }
    busy = true
    for (;;) {
      if (hold !== undefined) await gather(hold)
      const batch = take()
      if (batch.length === 0) break
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
    add(item, { signal, caller } = {}) {
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
          arrivedAt: hold?.clock.monotonic() ?? 0,
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
        company?.came(caller)
        void pump()
      })
    }
  }
}
