import type { CallOptions, GenerationEvent } from '@kwaai/interface'

/** A running generation that can be ended from outside at any moment. */
export interface Generation {
  /** Aborted once the generation was stopped. */
  readonly signal: AbortSignal
  /** The next event, `undefined` after the last; rejects at once when stopped. One call at a time. */
  next(): Promise<GenerationEvent | undefined>
  /** Aborts the model's signal and lets go of its iterator. A second call does nothing. */
  stop(): void
}

/**
 * Starts a generation. `client` is the signal of the request: when it aborts, the model is told in the same turn
 * of the event loop, and nobody waits for a model that does not listen.
 * @param open asks the model; called when the first event is wanted
 * @param onEnd called once, when nothing more will come; with the error where the model failed
 */
export function startGeneration(
  open: (options: CallOptions) => AsyncIterable<GenerationEvent>,
  client: AbortSignal,
  onEnd: (error?: unknown) => void
): Generation {
  const controller = new AbortController()
  const { signal } = controller
  let ended = false
  let rejectPending: ((reason: unknown) => void) | undefined
  let iterator: AsyncIterator<GenerationEvent> | undefined

  const end = (error?: unknown): void => {
    ended = true
    client.removeEventListener('abort', stop)
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

  client.addEventListener('abort', stop)

  // One promise an event. `Promise.race` with one long-lived promise would keep a reaction for every event.
  const next = (): Promise<GenerationEvent | undefined> =>
    new Promise((resolve, reject) => {
      if (signal.aborted) return reject(signal.reason)
      if (ended) return resolve(undefined)
      rejectPending = reject
      const fail = (error: unknown): void => {
        if (!ended) end(error)
        reject(error)
      }
      const take = (result: IteratorResult<GenerationEvent>): void => {
        if (result.done !== true) return resolve(result.value)
        if (!ended) end()
        resolve(undefined)
      }
      try {
        iterator ??= open({ signal })[Symbol.asyncIterator]()
        iterator.next().then(take, fail)
      } catch (error) {
        fail(error)
      }
    })

  return { signal, next, stop }
}
