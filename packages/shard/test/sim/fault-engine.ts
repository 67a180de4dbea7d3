import { KwaaiError } from '@kwaai/interface'
import type { FrameVerdict } from '@kwaai/testing'
import { describeFault, type Fault } from './faults.ts'
import type { SeenFrame } from './frames.ts'
import type { CallFate, ServerHost } from './server-host.ts'
import type { World } from './world.ts'

/** Makes a story's faults happen when their moment comes. */
export interface FaultEngine {
  /** Faults that have happened, by number. */
  readonly fired: ReadonlySet<number>
  /** From here on awaits, frames and calls are counted. */
  begin(): void
  onAwait(at: number): void
  onFrame(
    from: string,
    to: string,
    frame: SeenFrame
  ): { verdict: FrameVerdict; delayMs: number; note: string }
  onCall(server: string): CallFate
  /** The static ones: they are there from the beginning. */
  isFull(server: string): boolean
  lieOf(server: string): { from: number; to: number } | undefined
  /** Ends everything that would end later, and lets nothing new begin; what is dead stays dead. */
  heal(): void
}

/** What an engine does its work on. */
export interface FaultSubjects {
  world(): World
  host(name: string): ServerHost | undefined
  /** A client dies. */
  onDeath(client: string): void
  /** A client gives its generation up. */
  onCancel(client: string): void
  /** A task of a fault failed in a way nobody expects. */
  onError(error: unknown): void
}

export function createFaultEngine(faults: readonly Fault[], subjects: FaultSubjects): FaultEngine {
  const fired = new Set<number>()
  const frames = new Map<string, number>()
  const results = new Map<string, number>()
  const endings = new Set<() => void>()
  const runs = new Map<string, number>()
  let beganAt: number | undefined
  let awaits = 0
  let healed = false

  const fire = (fault: Fault, who: string, where = ''): void => {
    fired.add(fault.id)
    subjects.world().journal.add('fault', who, `fault ${fault.id}: ${describeFault(fault)}${where}`)
  }
  /** Ends a fault after its time, or when the world is healed. */
  const later = (ms: number, end: () => void): void => {
    const over = new AbortController()
    const once = (): void => {
      over.abort()
      endings.delete(once)
      end()
    }
    endings.add(once)
    const { signal } = over
    subjects
      .world()
      .wait(ms, { signal })
      .then(once, () => undefined)
  }
  const start = (host: ServerHost): void => {
    if (healed) return
    subjects.world().journal.add('fault', host.plan.name, 'comes back')
    host.start().catch((error: unknown) => {
      // The next fault may have stopped it before it ran.
      if (!KwaaiError.is(error, 'ERR_SHARD_STOPPED')) subjects.onError(error)
    })
  }

  const happen = (fault: Fault): void => {
    const world = subjects.world()
    switch (fault.kind) {
      case 'kill': {
        const host = subjects.host(fault.peer)
        if (host?.server === undefined) return
        fire(fault, fault.peer)
        host.kill()
        if (fault.ms > 0) later(fault.ms, () => start(host))
        return
      }
      case 'drain': {
        const host = subjects.host(fault.peer)
        if (host?.server === undefined) return
        fire(fault, fault.peer)
        host.drain().then(() => later(fault.ms, () => start(host)), subjects.onError)
        return
      }
      case 'restart': {
        const host = subjects.host(fault.peer)
        if (host?.server === undefined) return
        fire(fault, fault.peer)
        host.stop().then(() => start(host), subjects.onError)
        return
      }
      case 'amnesia':
        fire(fault, fault.peer)
        return subjects.host(fault.peer)?.forget()
      case 'hang':
        fire(fault, fault.peer)
        world.stall(fault.peer)
        return later(fault.ms, () => {
          world.journal.add('fault', fault.peer, 'goes on')
          world.resume(fault.peer)
        })
      case 'partition':
        fire(fault, fault.peer)
        world.hub.partition([world.peerOf(fault.peer)], fault.others.map(world.peerOf))
        return later(fault.ms, () => {
          // The hub mends all cuts at once; a longer one is mended early.
          world.journal.add('fault', fault.peer, 'all cuts are mended')
          world.hub.heal()
        })
      case 'records':
        fire(fault, 'records')
        world.board.fail(true)
        return later(fault.ms, () => {
          world.journal.add('fault', 'records', 'within reach again')
          world.board.fail(false)
        })
      case 'death':
        fire(fault, fault.peer)
        return subjects.onDeath(fault.peer)
      case 'cancel':
        fire(fault, fault.peer)
        return subjects.onCancel(fault.peer)
      default:
    }
  }

  const count = (counts: Map<string, number>, name: string): number => {
    const next = (counts.get(name) ?? 0) + 1
    counts.set(name, next)
    return next
  }

  return {
    fired,
    begin: () => void (beganAt = awaits),
    onAwait(at) {
      awaits = at
      if (healed || beganAt === undefined) return
      for (const fault of faults) if ('at' in fault && fault.at === at - beganAt) happen(fault)
    },
    onFrame(from, to, { body, text }) {
      if (healed || beganAt === undefined) return { verdict: 'pass', delayMs: 0, note: '' }
      const numbers = new Map([from, to].map((name) => [name, count(frames, name)]))
      const result = body?.case === 'result' ? count(results, from) : 0
      let verdict: FrameVerdict = 'pass'
      let delayMs = 0
      const notes: string[] = []
      for (const fault of faults) {
        if (!('nth' in fault)) continue
        const { kind, nth, peer } = fault
        const hit =
          kind === 'late' || kind === 'twice' ? peer === from && nth === result : numbers.get(peer) === nth
        if (!hit || kind === 'runner' || kind === 'nan' || kind === 'slow') continue
        fire(fault, `${from} → ${to}`, `, which is ${subjects.world().named(text)}`)
        if (kind === 'delay' || kind === 'late') delayMs += fault.ms
        else verdict = kind === 'twice' ? 'duplicate' : kind
        notes.push(`fault ${fault.id}: ${kind}`)
      }
      return { verdict, delayMs, note: notes.length === 0 ? '' : ` [${notes.join(', ')}]` }
    },
    onCall(server) {
      const fate: CallFate = { result: 'good', held: Promise.resolve() }
      if (healed || beganAt === undefined) return fate
      const call = count(runs, server)
      for (const fault of faults) {
        const { kind } = fault
        if (kind !== 'runner' && kind !== 'nan' && kind !== 'slow') continue
        if (fault.peer !== server || fault.nth !== call) continue
        fire(fault, server)
        if (kind === 'slow') fate.held = new Promise((resolve) => later(fault.ms, resolve))
        else fate.result = kind === 'nan' ? 'nan' : 'failure'
      }
      return fate
    },
    isFull: (server) =>
      faults.some((fault) => fault.kind === 'full' && fault.peer === server && fired.add(fault.id)),
    lieOf: (server) => {
      const lie = faults.find((fault) => fault.kind === 'lie' && fault.peer === server)
      if (lie?.kind !== 'lie') return undefined
      fired.add(lie.id)
      return { from: lie.from, to: lie.to }
    },
    heal() {
      healed = true
      for (const end of endings) end()
    }
  }
}
