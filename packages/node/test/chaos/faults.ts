import type { ChildProcess } from 'node:child_process'
import type { WireRule } from '../wire/index.ts'
import type { FrameRates } from './child.ts'
import type { Fleet, Server } from './fleet.ts'
import type { Fault, FaultKind } from './schedule.ts'

/** A server that is asked to end has so long. */
const endTimeoutMs = 30_000

/** Does to a fleet what a schedule says. */
export interface Injector {
  /** Runs a fault from its beginning to its end; when the signal aborts, it ends early. */
  run(fault: Fault, signal: AbortSignal): Promise<void>
  /** What is wrong now. */
  now(): string[]
  /** The latest faults, with the second at which each began. */
  history: { atS: number; text: string }[]
  counts: Record<FaultKind, number>
  /** Frames lost and doubled, as far as it is known. */
  frames(): FrameRates
}

/** What an injector tells. */
export interface InjectorInit {
  fleet: Fleet
  /** Seconds since the faults began. */
  seconds(): number
  /** A server did not do what it has to, whatever is done to it. */
  onFinding(what: string, where: string): void
}

/** Waits; an abort ends the wait and is no error. */
export function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve()
    const done = (): void => {
      clearTimeout(timer)
      signal.removeEventListener('abort', done)
      resolve()
    }
    const timer = setTimeout(done, ms)
    signal.addEventListener('abort', done, { once: true })
  })
}

export function createInjector({ fleet, seconds, onFinding }: InjectorInit): Injector {
  const rules = new Set<WireRule>()
  const active = new Set<string>()
  const history: Injector['history'] = []
  const counts: Record<FaultKind, number> = {
    kill: 0,
    stop: 0,
    partition: 0,
    drain: 0,
    delay: 0,
    'delay-all': 0,
    drop: 0,
    duplicate: 0,
    cut: 0
  }

  const frames = new Map<ChildProcess, FrameRates>()
  const nameOf = (index: number): string => fleet.servers[index]?.name ?? fleet.clientName
  const withRule = async (rule: WireRule, ms: number, signal: AbortSignal): Promise<void> => {
    rules.add(rule)
    await fleet.wire.shape([...rules])
    await pause(ms, signal)
    rules.delete(rule)
    await fleet.wire.shape([...rules])
  }
  const restart = async (server: Server): Promise<void> => {
    try {
      await fleet.start(server)
    } catch (error) {
      onFinding(
        `a server does not start again: ${error instanceof Error ? error.message : String(error)}`,
        server.name
      )
    }
  }

  const hard = async (fault: Fault, server: Server, signal: AbortSignal): Promise<void> => {
    const { running } = server
    if (running === undefined) return
    const { child, ended } = running
    if (fault.kind === 'partition') {
      await withRule({ between: [server.name], held: true }, fault.forMs, signal)
      return
    }
    if (fault.kind === 'stop') {
      child.kill('SIGSTOP')
      await pause(fault.forMs, signal)
      child.kill('SIGCONT')
      return
    }
    fleet.look()
    server.running = undefined
    if (fault.kind === 'kill') {
      child.kill('SIGKILL')
      await ended
    } else {
      child.kill('SIGTERM')
      const late = setTimeout(() => {
        onFinding(`a server did not end within ${endTimeoutMs} ms of SIGTERM`, server.name)
        child.kill('SIGKILL')
      }, endTimeoutMs)
      const { status, signal: by } = await ended
      clearTimeout(late)
      if (status !== 0) onFinding(`a drained server ended with ${by ?? `status ${status}`}`, server.name)
    }
    await pause(fault.forMs, signal)
    await restart(server)
  }

  const soft = async (fault: Fault, signal: AbortSignal): Promise<void> => {
    const names = fault.whom.map(nameOf)
    if (fault.kind === 'delay' || fault.kind === 'delay-all') {
      await withRule({ between: names, delayMs: fault.amount }, fault.forMs, signal)
      return
    }
    if (fault.kind === 'cut') {
      for (const name of names) await fleet.wire.cut(name)
      return
    }
    for (const index of fault.whom) {
      const call =
        fleet.servers[index]?.running?.call ?? (index < fleet.servers.length ? undefined : fleet.client.call)
      const set = async (rates: FrameRates): Promise<void> => {
        // It may have ended meanwhile; the next one begins without faults.
        await call?.('frames', rates).catch(() => undefined)
      }
      await set({ drop: 0, duplicate: 0, [fault.kind]: fault.amount })
      await pause(fault.forMs, signal)
      await set({ drop: 0, duplicate: 0 })
      await countFrames(index)
    }
  }
  /** Notes what a process has done so far; a later fault may kill it. */
  const countFrames = async (index: number): Promise<void> => {
    const server = fleet.servers[index]
    const running = server === undefined ? fleet.client : server.running
    const done = await running?.call('frameFaults').catch(() => undefined)
    if (running !== undefined && done !== undefined) frames.set(running.child, done)
  }

  return {
    history,
    counts,
    frames() {
      const sum = { drop: 0, duplicate: 0 }
      for (const { drop, duplicate } of frames.values()) {
        sum.drop += drop
        sum.duplicate += duplicate
      }
      return sum
    },
    now: () => [...active],
    async run(fault, signal) {
      const names = fault.whom.length === 0 ? 'all' : fault.whom.map(nameOf).join(' and ')
      const much =
        fault.amount === 0
          ? ''
          : fault.kind.startsWith('delay')
            ? ` by ${fault.amount} ms`
            : ` ${(100 * fault.amount).toFixed(1)} % of frames`
      const text = `${fault.kind} ${names}${much} for ${(fault.forMs / 1000).toFixed(1)} s`
      counts[fault.kind]++
      history.push({ atS: seconds(), text })
      active.add(text)
      try {
        if (fault.kind in softKinds) await soft(fault, signal)
        else {
          await Promise.all(
            fault.whom.map((index) => {
              const server = fleet.servers[index]
              return server === undefined ? undefined : hard(fault, server, signal)
            })
          )
        }
      } finally {
        active.delete(text)
      }
    }
  }
}

const softKinds: Partial<Record<FaultKind, true>> = {
  delay: true,
  'delay-all': true,
  drop: true,
  duplicate: true,
  cut: true
}
