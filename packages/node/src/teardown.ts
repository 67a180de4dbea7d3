/** Undoes what was started, the latest first. */
export interface Teardown {
  /** What is added after the end is undone at once. */
  add(step: () => Promise<unknown> | undefined): void
  /** Runs every step once, whatever the others do. */
  run(): Promise<void>
}

/** A list of things to undo. A step that fails does not keep the others from running. */
export function createTeardown(): Teardown {
  const steps: (() => Promise<unknown> | undefined)[] = []
  let running: Promise<void> | undefined
  return {
    add(step) {
      if (running === undefined) steps.push(step)
      else void running.then(() => step()).catch(() => undefined)
    },
    run: () => {
      running ??= (async () => {
        for (const step of steps.toReversed()) await Promise.resolve(step()).catch(() => undefined)
      })()
      return running
    }
  }
}
