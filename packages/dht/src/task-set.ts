/** Work that nobody waits for, until the end: it is bounded in number and ends with its owner. */
export interface TaskSet {
  /** Aborts when the owner stops. */
  readonly signal: AbortSignal
  /** Begins a task, unless too many run or the owner has stopped. A task that fails has said why itself. */
  run(task: (signal: AbortSignal) => Promise<unknown>): void
  /** Aborts all tasks and waits for their end. */
  stop(): Promise<void>
}

/** Makes a task set of at most `max` tasks at once; its signal aborts with `reason`. */
export function createTaskSet(max: number, reason: () => Error): TaskSet {
  const stopped = new AbortController()
  const tasks = new Set<Promise<unknown>>()
  return {
    signal: stopped.signal,
    run: (task) => {
      if (stopped.signal.aborted || tasks.size >= max) return
      const running: Promise<unknown> = task(stopped.signal)
        .catch(() => undefined)
        .finally(() => tasks.delete(running))
      tasks.add(running)
    },
    stop: async () => {
      stopped.abort(reason())
      await Promise.all(tasks)
    }
  }
}
