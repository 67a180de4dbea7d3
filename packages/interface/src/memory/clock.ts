import type { CallOptions, Clock } from '../common.ts'

function sleep(ms: number, options: CallOptions = {}): Promise<void> {
  const { signal } = options
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason)
    const abort = (): void => {
      clearTimeout(timer)
      reject(signal?.reason)
    }
    const wake = (): void => {
      signal?.removeEventListener('abort', abort)
      resolve()
    }
    // Node.js warns of a time that is past.
    const timer = setTimeout(wake, Math.max(0, ms))
    signal?.addEventListener('abort', abort, { once: true })
  })
}

/** The time of this machine. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  sleep
}
