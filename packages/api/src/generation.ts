import type { CallOptions, GenerationEvent } from '@kwaai/interface'
import type { ApiRequest } from './api-request.ts'

/** A running generation that can be ended from outside at any moment. Its events are taken one by one or all at once. */
export interface Generation {
  /** Aborted once the generation was stopped. */
  readonly signal: AbortSignal
  /** The next event, `undefined` after the last; rejects at once when stopped. One call at a time. */
  next(): Promise<GenerationEvent | undefined>
  /** Hands over all events; rejects at once when stopped, and with what `take` throws. */
  each(take: (event: GenerationEvent) => void): Promise<void>
  /** Aborts the model's signal and lets go of its iterator. A second call does nothing. */
  stop(): void
}

/**
 * Starts a generation. When the client of the request goes, the model is told in the same turn of the event loop, and
 * nobody waits for a model that does not listen.
 * @param open asks the model; called when the first event is wanted
 * @param onEnd called once, when nothing more will come; with the error where the model failed
 */
export function startGeneration(
  open: (options: CallOptions) => AsyncIterable<GenerationEvent>,
  client: Pick<ApiRequest, 'onGone' | 'offGone'>,
  onEnd: (error?: unknown) => void
): Generation {
  const controller = new AbortController()
  const { signal } = controller
  let ended = false
  let rejectPending: ((reason: unknown) => void) | undefined
  let iterator: AsyncIterator<GenerationEvent> | undefined

  const end = (error?: unknown): void => {
    if (ended) return
    ended = true
    client.offGone(stop)
    onEnd(error)
  }
  const stop = (): void => {
    if (ended) return
    controller.abort()
    end()
    rejectPending?.(signal.reason)
    letGo().catch(() => undefined)
  }

  const letGo = async (): Promise<void> => {
    await iterator?.return?.()
  }

  client.onGone(stop)

  const ask = (): Promise<IteratorResult<GenerationEvent, unknown>> => {
    iterator ??= open({ signal })[Symbol.asyncIterator]()
    return iterator.next()
  }

  // One promise an event. `Promise.race` with one long-lived promise would keep a reaction for every event.
  const next = (): Promise<GenerationEvent | undefined> =>
    new Promise((resolve, reject) => {
      if (signal.aborted) return reject(signal.reason)
      if (ended) return resolve(undefined)
      rejectPending = reject
      const fail = (error: unknown): void => {
        end(error)
        reject(error)
      }
      const take = (result: IteratorResult<GenerationEvent, unknown>): void => {
        if (result.done !== true) return resolve(result.value)
        end()
        resolve(undefined)
      }
      try {
        ask().then(take, fail)
      } catch (error) {
        fail(error)
      }
    })

  const takeAll = async (take: (event: GenerationEvent) => void): Promise<void> => {
    for (;;) {
      let result: IteratorResult<GenerationEvent, unknown>
      try {
        result = await ask()
      } catch (error) {
        end(error)
        throw error
      }
      if (ended) return
      if (result.done === true) return end()
      take(result.value)
    }
  }
  // And one promise for all of them, where nobody waits for a single one.
  const each = (take: (event: GenerationEvent) => void): Promise<void> =>
    new Promise((resolve, reject) => {
      if (signal.aborted) return reject(signal.reason)
      rejectPending = reject
      takeAll(take).then(resolve, reject)
    })

  return { signal, next, each, stop }
}
