/** Something to wait at until somebody wakes all who wait. */
export interface Gate {
  /** @throws the signal's reason when it aborts first. */
  wait(signal?: AbortSignal): Promise<void>
  wake(): void
}

/** Makes a {@link Gate}. */
export function createGate(): Gate {
  const waiting = new Set<() => void>()
  return {
    wait: (signal) =>
      new Promise((resolve, reject) => {
        if (signal?.aborted) return reject(signal.reason)
        const leave = (): void => {
          waiting.delete(go)
          signal?.removeEventListener('abort', abort)
        }
        const go = (): void => {
          leave()
          resolve()
        }
        const abort = (): void => {
          leave()
          reject(signal?.reason)
        }
        waiting.add(go)
        signal?.addEventListener('abort', abort, { once: true })
      }),
    wake: () => {
      for (const go of waiting) go()
    }
  }
}

/** Runs tasks one after the other, in the order they were given. */
export interface Turns {
  /** @throws the signal's reason when it aborts before the task's turn; the task then never runs. */
  run<T>(task: () => Promise<T>, signal?: AbortSignal): Promise<T>
}

/** Makes {@link Turns}. */
export function createTurns(): Turns {
  let busy = false
  const queue: (() => void)[] = []
  const enter = (signal?: AbortSignal): Promise<void> =>
    new Promise((resolve, reject) => {
      const go = (): void => {
        signal?.removeEventListener('abort', abort)
        resolve()
      }
      const abort = (): void => {
        queue.splice(queue.indexOf(go), 1)
        reject(signal?.reason)
      }
      queue.push(go)
      signal?.addEventListener('abort', abort, { once: true })
    })
  return {
    async run(task, signal) {
      signal?.throwIfAborted()
      // The turn is handed from task to task without a gap, so that nobody slips in between.
      if (busy) await enter(signal)
      busy = true
      try {
        return await task()
      } finally {
        const next = queue.shift()
        if (next === undefined) busy = false
        else next()
      }
    }
  }
}
