import { type CallOptions, type Clock, deadlineSignal, KwaaiError } from '@kwaai/interface'
import { shardError } from '../errors.ts'
import { abortable } from './abortable.ts'
import { maxRestarts, restartWindowMs } from './constants.ts'
import { findLibraries, unavailable } from './library.ts'
import type { StartReply, StartRequest } from './messages.ts'
import { startGgmlProcess, type GgmlProcess } from './process.ts'

/** A process that computes, and what it found when it started. */
export interface Started {
  process: GgmlProcess
  facts: StartReply
}

/** Keeps one process that computes, and starts another one when it has crashed and is needed again. */
export interface Supervisor {
  /**
   * The process; its start, where there is none.
   *
   * @throws A KwaaiError `ERR_BACKEND_UNAVAILABLE` when it cannot start, `ERR_BACKEND_CRASHED` when it crashed too
   * often of late, `ERR_BACKEND_CLOSED` after `end`.
   */
  ready(options?: CallOptions): Promise<Started>
  /** Ends the process for good. */
  end(): Promise<void>
}

/** What a {@link Supervisor} starts. */
export interface SupervisorInit {
  /** What each process is told; folder of libraries: that of the installed package by default. */
  start: Omit<StartRequest, 'dir' | 'firstSession'> & { dir: string | undefined }
  maxWaitingCalls: number
  startTimeoutMs: number
}

// Sessions of one process are numbered from a multiple of this on, so that no other process takes them for its own.
const sessionsPerProcess = 2 ** 32

/** @returns a supervisor that has started nothing yet. */
export function createSupervisor(init: SupervisorInit, { clock }: { clock: Clock }): Supervisor {
  const { maxWaitingCalls, startTimeoutMs } = init
  let starting: Promise<Started> | undefined
  let current: GgmlProcess | undefined
  /** The current one, once it has started well. */
  let running: GgmlProcess | undefined
  let started = 0
  let closed = false
  /** When processes were found dead that had started well. */
  let crashes: number[] = []

  async function start(): Promise<Started> {
    const dir = init.start.dir ?? (await findLibraries())
    if (closed) throw closedError()
    const process = startProcess(maxWaitingCalls)
    current = process
    const late = (): Error => new Error(`it was not ready after ${startTimeoutMs} ms`)
    const deadline = deadlineSignal(clock, startTimeoutMs, late)
    try {
      const request = { ...init.start, dir, firstSession: started++ * sessionsPerProcess + 1 }
      const { reply } = await process.call('start', request, { signal: deadline.signal })
      running = process
      return { process, facts: reply }
    } catch (error) {
      await process.end()
      if (KwaaiError.is(error, 'ERR_BACKEND_CLOSED')) throw error
      throw unavailable(error instanceof Error ? error.message : String(error), error)
    } finally {
      deadline.clear()
    }
  }

  function countCrash(): void {
    const now = clock.monotonic()
    crashes = [...crashes.filter((at) => now - at < restartWindowMs), now]
  }

  function checkCrashes(): void {
    const now = clock.monotonic()
    const recent = crashes.filter((at) => now - at < restartWindowMs)
    if (recent.length <= maxRestarts) return
    const retryAfterMs = Math.ceil(restartWindowMs - (now - (recent[0] as number)))
    throw shardError(
      'ERR_BACKEND_CRASHED',
      `The process that computes ended ${recent.length} times within ${restartWindowMs / 60_000} minutes: no other is started for now`,
      { details: { crashes: recent.length, retryAfterMs } }
    )
  }

  return {
    async ready({ signal } = {}) {
      signal?.throwIfAborted()
      if (closed) throw closedError()
      if (running?.alive === false) {
        running = starting = undefined
        countCrash()
      }
      checkCrashes()
      starting ??= start()
      const attempt = starting
      attempt.catch(() => {
        // A failed start may be tried again: somebody may have installed what was missing.
        if (starting === attempt) starting = undefined
      })
      const result = await abortable(attempt, signal)
      if (closed) throw closedError()
      return result
    },
    async end() {
      closed = true
      await current?.end()
      await starting?.catch(() => undefined)
    }
  }
}

function startProcess(maxWaitingCalls: number): GgmlProcess {
  try {
    return startGgmlProcess(maxWaitingCalls)
  } catch (error) {
    throw unavailable(error instanceof Error ? error.message : String(error), error)
  }
}

function closedError(): Error {
  return shardError('ERR_BACKEND_CLOSED', 'The backend was closed')
}
