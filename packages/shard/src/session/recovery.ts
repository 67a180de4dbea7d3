import { KwaaiError } from '@kwaai/interface'
import type { ChainCore } from './core.ts'
import { ask, guarded } from './guard.ts'
import { hopError, nameOf, type HopLink } from './hop.ts'
import { succeed, type SuccessionEvents } from './succession.ts'
import { createSuccessors } from './successors.ts'
import { carry, wire } from './wiring.ts'

/** Milliseconds before the planner is asked again when it knew nobody: the first time; doubled each time, up to. */
const firstWaitMs = 250
const mostWaitMs = 2_000
/** How often it is asked again while no step is under way, and so no deadline ends the wait. */
const maxIdleWaits = 4

/** Replaces servers while a session goes on. */
export interface Recovery {
  /** A link cannot go on. */
  lost(link: HopLink, error: unknown): void
  /** A link should be replaced, and stays in its place until it is. */
  doubt(link: HopLink, error: unknown): void
  /** The results of a link do not reach the next one, though both are there. */
  cut(link: HopLink): void
  /** Replaces what was lost while nobody waited. */
  resume(): void
}

/** Makes what keeps a chain going. Without a planner every loss is the end of it. */
export function createRecovery(core: ChainCore): Recovery {
  const { clock, flow, lifetime, logger, planner, settings } = core
  const successors = createSuccessors(core)
  const doubts = new Map<HopLink, unknown>()
  const cuts = new Set<HopLink>()
  let running = false
  let waiting = false
  let attempts = 0
  let waits = 0
  let answered = 0

  const isBad = (link: HopLink): boolean => link.lost !== undefined || doubts.has(link)

  /** The first links that have to be replaced, as far as one numerics class goes. */
  const firstBad = (): { first: number; last: number } | undefined => {
    const links = core.links()
    const first = links.findIndex(isBad)
    if (first < 0) return undefined
    let last = first
    for (let next = links[last + 1]; next !== undefined && isBad(next); next = links[last + 1]) {
      if (next.hop.numericsClass !== links[first]?.hop.numericsClass) break
      last++
    }
    return { first, last }
  }

  const retire = (link: HopLink): void => {
    const error = doubts.get(link) ?? link.lost?.error
    if (doubts.delete(link)) successors.blame(link.hop, error)
    cuts.delete(link)
    link.abort(error)
  }

  const events: SuccessionEvents = {
    cut(link) {
      cuts.add(link)
      runIfWanted()
    },
    joined: (link) => void cuts.delete(link),
    replaced(old, fresh) {
      const cause: unknown = old.map((link) => causes.get(link)).find((error) => error !== undefined)
      core.changed(
        {
          step: flow.answered + 1,
          blocks: { from: (fresh[0] as HopLink).hop.from, to: (fresh.at(-1) as HopLink).hop.to },
          from: old.map((link) => link.hop.peer),
          to: fresh.map((link) => link.hop.peer),
          cause: KwaaiError.is(cause) ? cause.code : 'ERR_SHARD_HOP_FAILED',
          stallMs: 0,
          replayedRows: flow.runs[0]?.log.length ?? 0
        },
        old
      )
      for (const link of old) retire(link)
    }
  }
  // Why links were replaced, for whoever is told.
  const causes = new WeakMap<HopLink, unknown>()

  /** Attempts are counted from step to step: what goes on is worth going on with. */
  const countAnew = (): void => {
    if (flow.answered === answered) return
    answered = flow.answered
    attempts = 0
    waits = 0
    successors.forgive()
  }

  /** @returns false where it is too late to wait and try again before a step has to be answered. */
  const waited = async (): Promise<boolean> => {
    const waitMs = Math.min(mostWaitMs, firstWaitMs * 2 ** waits++)
    const deadlines = [...core.flights.values()].map(({ deadlineAt }) => deadlineAt)
    if (deadlines.length === 0 && waits > maxIdleWaits) return false
    // Whoever comes then needs time for what went through before: as long again at least.
    if (clock.monotonic() + 2 * waitMs >= Math.min(...deadlines)) return false
    await clock.sleep(waitMs, { signal: lifetime })
    return true
  }

  const repair = async (bad: { first: number; last: number }): Promise<void> => {
    const links = core.links().slice(bad.first, bad.last + 1)
    const gone = links.find((link) => link.lost !== undefined)
    for (const link of links) causes.set(link, link.lost?.error ?? doubts.get(link))
    countAnew()
    const { maxRecoveries } = settings
    if (attempts >= maxRecoveries) return giveUp(links, gone, `${maxRecoveries} attempts failed`)
    const found = await successors.find(core.links(), { ...bad, isBad }, { signal: lifetime })
    if ('problem' in found) {
      // Somebody may come back in time. Who is only in doubt need not be replaced.
      if (gone === undefined || !(await waited())) giveUp(links, gone, found.problem)
      return
    }
    attempts++
    try {
      await succeed(found, core, events)
    } catch (error) {
      lifetime.throwIfAborted()
      const peer = KwaaiError.is(error) ? error.details['peer'] : undefined
      const hop = found.hops.find((one) => one.peer === peer)
      logger?.log('info', 'shard.recovery.failed', { error: String(error) })
      if (hop !== undefined) successors.blame(hop, error)
    }
  }

  /** The chain ends, or keeps what it only doubts. */
  const giveUp = (links: readonly HopLink[], gone: HopLink | undefined, why: string): void => {
    for (const link of links) doubts.delete(link)
    if (gone === undefined) return
    const lost = gone.lost?.error
    const step = flow.answered + 1
    throw hopError('ERR_SHARD_HOP_FAILED', gone.hop, step, `is lost and nobody takes its place: ${why}`, lost)
  }

  /** Tries once more to hand rows on; the client carries them where that fails. */
  const mend = async (link: HopLink): Promise<void> => {
    cuts.delete(link)
    const { after } = link
    const run = flow.runOf(link)
    if (after === undefined || run === undefined || !run.links.includes(after)) return
    for (const one of [after, link]) if ((await ask(one, core, lifetime)) === undefined) return
    countAnew()
    if (++attempts > settings.maxRecoveries) {
      const why = 'does not take what it is handed'
      return after.fail(hopError('ERR_SHARD_HOP_FAILED', after.hop, flow.stepAt(after), why))
    }
    try {
      await guarded([link, after], core, async () => {
        const refused = await wire([link, after], flow.answered, lifetime)
        await carry(refused, core, lifetime, events.cut)
      })
    } catch (error) {
      lifetime.throwIfAborted()
      logger?.log('info', 'shard.recovery.failed', { error: String(error) })
    }
  }

  const work = async (): Promise<void> => {
    running = true
    waiting = false
    try {
      while (!lifetime.aborted) {
        const bad = firstBad()
        const [severed] = cuts
        if (bad !== undefined) await repair(bad)
        else if (severed !== undefined) await mend(severed)
        else break
      }
    } catch (error) {
      if (!lifetime.aborted) core.fail(error)
    } finally {
      running = false
    }
  }

  const run = (): void => {
    if (!running) void work()
  }

  /** Nobody may ever wait for an idle session again: others need the servers' room and time more. */
  const runIfWanted = (): void => {
    if (core.flights.size === 0) waiting = true
    else run()
  }

  return {
    resume() {
      if (waiting) run()
    },
    lost(link, error) {
      logger?.log('warn', 'shard.hop.lost', { hop: nameOf(link.hop), error: String(error) })
      successors.blame(link.hop, error)
      if (planner === undefined) core.fail(error)
      else runIfWanted()
    },
    doubt(link, error) {
      if (planner === undefined || doubts.has(link) || link.lost !== undefined) return
      // It may only be busy. Where nobody takes its place, others go on with it too.
      successors.suspect(link.hop, error)
      doubts.set(link, error)
      run()
    },
    cut: events.cut
  }
}
