import type { CallOptions, Clock } from '@kwaai/interface'
import { shardError } from '../errors.ts'

/** How many are served, and how many wait. */
export interface WaitingLineInit {
  maxActive: number
  maxWaiting: number
  /** When to come back, in milliseconds, while nothing was measured. */
  retryAfterMs: number
}

/** A bounded line in front of a bounded number of places. */
export interface WaitingLine {
  /**
   * Waits for a place. Callers take turns, however many of the waiting are theirs.
   *
   * @returns what gives the place back.
   * @throws A KwaaiError `ERR_MODEL_UNAVAILABLE` with `details.queueFull` and `details.retryAfterMs` when too many
   * wait already; where the line is full, the last one of the caller with most in it makes place for who has fewer.
   */
  enter(caller: string, options?: CallOptions): Promise<() => void>
  /**
   * Lets those who wait now go first: gives a place back and waits for another one, as the last of its caller. Who
   * had a place is not refused another, however full the line is.
   *
   * @returns what gives the other place back; where nobody waits, what was handed in.
   */
  again(caller: string, leave: () => void, options?: CallOptions): Promise<() => void>
  /** Takes a place that is free and that nobody waits for; what gives it back. */
  tryEnter(): (() => void) | undefined
  /** How many wait. */
  readonly waiting: number
}

/** Milliseconds nobody is asked to wait longer than, whatever was measured. */
const maxRetryAfterMs = 60_000
/** The weight of the latest duration in the mean. */
const newest = 0.25

interface Waiter {
  /** It had a place already, and does not count among those that may wait. */
  kept: boolean
  admit(): void
  refuse(): void
}

/** Makes a line. Durations are measured between taking a place and giving it back. */
export function createWaitingLine(init: WaitingLineInit, components: { clock: Clock }): WaitingLine {
  const { maxActive, maxWaiting } = init
  const { clock } = components
  /** Who waits, by caller; the caller whose turn is next comes first. */
  const line = new Map<string, Waiter[]>()
  let active = 0
  let waiting = 0
  let kept = 0
  let meanMs: number | undefined

  const refusal = (): Error => {
    // One place comes free each mean duration over the number of places.
    const turnMs = meanMs === undefined ? init.retryAfterMs : ((waiting + 1) * meanMs) / maxActive
    const retryAfterMs = Math.max(1, Math.min(Math.ceil(turnMs), maxRetryAfterMs))
    const others = waiting === 0 ? '' : `, and ${waiting} requests wait`
    return shardError(
      'ERR_MODEL_UNAVAILABLE',
      `Cannot generate: ${active} answers are under way already${others}`,
      {
        details: { retryAfterMs, queueFull: true }
      }
    )
  }

  const remove = (caller: string, waiter: Waiter): void => {
    const queue = line.get(caller) ?? []
    queue.splice(queue.indexOf(waiter), 1)
    waiting--
    if (waiter.kept) kept--
    if (queue.length === 0) line.delete(caller)
  }

  const makePlace = (caller: string): void => {
    if (waiting - kept < maxWaiting) return
    const refusable = new Map(
      [...line].map(([name, queue]) => [name, queue.filter((waiter) => !waiter.kept)])
    )
    const own = refusable.get(caller)?.length ?? 0
    const [most, queue] = [...refusable].reduce(
      (a, b) => (b[1].length > a[1].length ? b : a),
      [caller, [] as Waiter[]]
    )
    const last = queue.at(-1)
    if (last === undefined || queue.length <= own + 1) throw refusal()
    remove(most, last)
    last.refuse()
  }

  const wait = (caller: string, signal: AbortSignal | undefined, keeps: boolean): Promise<void> =>
    new Promise((resolve, reject) => {
      const abort = (): void => {
        remove(caller, waiter)
        reject(signal?.reason)
      }
      const settled = (): void => signal?.removeEventListener('abort', abort)
      const waiter: Waiter = {
        kept: keeps,
        admit() {
          settled()
          resolve()
        },
        refuse() {
          settled()
          reject(refusal())
        }
      }
      line.set(caller, [...(line.get(caller) ?? []), waiter])
      waiting++
      if (keeps) kept++
      signal?.addEventListener('abort', abort, { once: true })
    })

  /** Hands a place on, or keeps it free. */
  const pass = (): void => {
    const [first] = line
    if (first === undefined) {
      active--
      return
    }
    const [caller, queue] = first
    const [waiter] = queue as [Waiter]
    // To the end of the turns, if there is more of it.
    line.delete(caller)
    line.set(caller, queue)
    remove(caller, waiter)
    waiter.admit()
  }

  /** Begins the time in a place. */
  const occupy = (): (() => void) => {
    const startedAt = clock.monotonic()
    let left = false
    return () => {
      if (left) return
      left = true
      const tookMs = clock.monotonic() - startedAt
      meanMs = meanMs === undefined ? tookMs : (1 - newest) * meanMs + newest * tookMs
      pass()
    }
  }

  return {
    async enter(caller, { signal } = {}) {
      signal?.throwIfAborted()
      if (active < maxActive) active++
      else {
        makePlace(caller)
        await wait(caller, signal, false)
      }
      return occupy()
    },
    async again(caller, leave, { signal } = {}) {
      signal?.throwIfAborted()
      if (waiting === 0) return leave
      const turn = wait(caller, signal, true)
      leave()
      await turn
      return occupy()
    },
    tryEnter() {
      if (active >= maxActive || waiting > 0) return undefined
      active++
      return occupy()
    },
    get waiting() {
      return waiting
    }
  }
}
