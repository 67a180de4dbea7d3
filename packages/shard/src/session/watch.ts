import { deadlineSignal } from '@kwaai/interface'
import type { Report } from '../gen/shard_pb.ts'
import type { ChainCore, Flight } from './core.ts'
import type { Run } from './flow.ts'
import { hopError, type HopLink } from './hop.ts'
import type { Recovery } from './recovery.ts'

/** How many times the usual time of a step may pass before somebody asks what became of it. */
const patience = 6
/** How often a step is sent again over a way on which it does not arrive. */
const maxRepeats = 2

/** Keeps an eye on steps under way. */
export interface Watch {
  /** Watches while steps are under way. */
  start(): void
}

/**
 * Ends the chain when a step is late. Before that, when nothing comes for a while, it asks all servers that owe
 * something what became of it: who does not answer is replaced, who computes for too long too, and what was lost
 * on its way is sent again.
 */
export function createWatch(core: ChainCore, recovery: Recovery): Watch {
  const { clock, flow, flights, lifetime, settings } = core
  // The step that was last sent again, and how often.
  const repeated = new WeakMap<Run, { step: number; times: number }>()
  let watching = false
  let asking = false
  // The run that is waited for, when it last moved, and how long it may rest.
  let slow: { run: Run; movedAt: number; askAt: number; restMs: number; mostMs: number } | undefined

  /** Where the oldest step is, and what it waits for. */
  const runWith = (step: number): Run | undefined => flow.runs.find((run) => run.done < step)

  /** Asks one link; no answer in time counts as none. */
  const report = async (link: HopLink): Promise<Report | undefined> => {
    const { probeTimeoutMs } = settings
    const timer = deadlineSignal(clock, probeTimeoutMs, () => new Error('It did not answer'), lifetime)
    try {
      return await link.probe(timer.signal)
    } catch {
      return undefined
    } finally {
      timer.clear()
    }
  }

  /** A server may compute for half of its share of the step's time, so that another one has as long. */
  const isStuck = ({ hop }: HopLink, run: Run, flight: Flight): boolean => {
    const share = (hop.to - hop.from) / settings.blockCount
    return clock.monotonic() - run.movedAt > (share * (flight.deadlineAt - flight.startedAt)) / 2
  }

  /** The first link that has done a step which the next one was not given. */
  const gapBefore = (
    step: number,
    links: readonly HopLink[],
    reports: readonly (Report | undefined)[]
  ): HopLink | undefined =>
    links.find((_, index) => {
      const [here, there] = [reports[index], reports[index + 1]]
      return here !== undefined && there !== undefined && here.done >= step && there.last < step
    })

  const ask = async (): Promise<void> => {
    asking = true
    const owing = flow.runs.filter((run) => run.done < run.sent)
    await Promise.all(
      owing.map(async (run) => {
        const { links, done } = run
        const asked = [...links]
        const reports = await Promise.all(asked.map(report))
        // What has moved meanwhile needs no help; a link that was replaced meanwhile neither.
        if (lifetime.aborted || run.done !== done || !flow.runs.includes(run)) return
        if (asked.some((link) => !run.links.includes(link))) return
        const [flight] = flights.values()
        const next = run.expected[0]?.step.step ?? done + 1
        let busy = false
        for (const [index, link] of asked.entries()) {
          const told = reports[index]
          if (link.lost !== undefined) continue
          const code = 'ERR_SHARD_HOP_FAILED'
          if (told === undefined) {
            busy = true
            recovery.doubt(link, hopError(code, link.hop, next, 'does not answer'))
          } else if (told.last >= next && told.done < next) {
            busy = true
            if (flight === undefined || !isStuck(link, run, flight)) continue
            recovery.doubt(link, hopError(code, link.hop, next, 'computes for too long'))
          }
        }
        if (busy) return
        const gap = gapBefore(next, asked, reports)
        const repeats = repeated.get(run)?.step === next ? (repeated.get(run)?.times ?? 0) : 0
        // A frame may be lost, or slow; where two repeats of it do not arrive either, the way itself is lost.
        if (gap !== undefined && repeats >= maxRepeats) return recovery.cut(gap)
        repeated.set(run, { step: next, times: repeats + 1 })
        flow.askAgain(run)
      })
    )
    asking = false
  }

  /** When somebody should ask next, in milliseconds of the monotonic clock. */
  const askAt = (oldest: Flight, now: number): number => {
    const run = runWith(oldest.step)
    if (run === undefined) return Infinity
    const movedAt = Math.max(run.movedAt, oldest.startedAt)
    if (slow?.run !== run || slow.movedAt !== movedAt) {
      // Whatever is usual: time for several attempts is left.
      const mostMs = (oldest.deadlineAt - oldest.startedAt) / 8
      const restMs = Math.min(mostMs, Math.max(settings.hedgeMs, patience * run.usualMs))
      slow = { run, movedAt, askAt: movedAt + restMs, restMs, mostMs }
    }
    if (now >= slow.askAt) {
      slow.restMs = Math.min(slow.mostMs, 2 * slow.restMs)
      slow.askAt = now + slow.restMs
      if (!asking) void ask()
    }
    return slow.askAt
  }

  const watch = async (): Promise<void> => {
    while (flights.size > 0 && !lifetime.aborted) {
      const now = clock.monotonic()
      let late: Flight | undefined
      for (const flight of flights.values()) {
        if (late === undefined || flight.deadlineAt < late.deadlineAt) late = flight
      }
      const [oldest] = flights.values()
      if (late === undefined || oldest === undefined) break
      if (late.deadlineAt <= now) {
        const link = runWith(late.step)?.links[0]
        const why = 'did not answer before the deadline'
        if (link !== undefined) core.fail(hopError('ERR_SHARD_HOP_FAILED', link.hop, late.step, why))
        break
      }
      // Steps come and go meanwhile: none of them has to be asked for sooner.
      const wakeAt = Math.min(late.deadlineAt, now + settings.hedgeMs, askAt(oldest, now))
      await clock.sleep(Math.max(1, wakeAt - now), { signal: lifetime }).catch(() => undefined)
    }
    watching = false
  }

  return {
    start() {
      if (watching) return
      watching = true
      void watch()
    }
  }
}
