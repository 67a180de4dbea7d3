import { deadlineSignal, KwaaiError } from '@kwaai/interface'
import { replayRows } from '../constants.ts'
import type { ChainCore } from './core.ts'
import type { Report } from '../gen/shard_pb.ts'
import { createRun, type Run } from './flow.ts'
import { hopError, nameOf, type HopLink } from './hop.ts'
import type { StepLog } from './step-log.ts'
import { createSuccessors, type Succession } from './successors.ts'
import { carry, wire } from './wiring.ts'

/** Milliseconds before nobody is asked for again, the first of four times; doubled each time. */
const firstWaitMs = 250
const maxWaits = 4

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

  /** Fails links that do not answer while a task waits for them. */
  const guarded = async <T>(
    links: readonly HopLink[],
    task: (signal: AbortSignal) => Promise<T>,
    onReport?: (link: HopLink, report: Report, sent: number) => void
  ): Promise<T> => {
    const over = new AbortController()
    const signal = AbortSignal.any([lifetime, over.signal])
    const check = async (link: HopLink): Promise<void> => {
      const { sent } = link
      const report = await ask(link, core, signal)
      if (report !== undefined) onReport?.(link, report, sent)
    }
    const guard = async (): Promise<void> => {
      for (;;) {
        await clock.sleep(settings.probeTimeoutMs, { signal })
        await Promise.all(links.map(check))
      }
    }
    guard().catch(() => undefined)
    try {
      return await task(lifetime)
    } finally {
      over.abort()
    }
  }

  /** Gives a new first link what is answered already, before it takes its place. @returns the last step. */
  const prefill = (link: HopLink, log: StepLog, done: number): Promise<number> =>
    guarded(
      [link],
      async () => {
        for (;;) {
          const request = { last: link.sent, answered: flow.answered, maxRows: replayRows, maxSteps: 1 }
          const [step] = log.resume(request)
          if (step === undefined || step.step > done) break
          await link.room(link.opened.maxPendingSteps, lifetime)
          link.send(step, 'none', settings.stepTimeoutMs)
        }
        await link.room(1, lifetime)
        return link.sent
      },
      (_, report, sent) => {
        // Results may be lost on their way; steps must not.
        if (report.last >= sent) return link.settle(report.done)
        link.fail(hopError('ERR_SHARD_HOP_FAILED', link.hop, sent, 'did not get all rows'))
      }
    )

  /** A place in the chain that includes whole runs where it reaches into several: between runs the client has the history. */
  const widened = ({ first, last, hops }: Succession): Succession => {
    const links = core.links()
    const [a, b] = [runAt(links, first), runAt(links, last)]
    if (a === b || a === undefined || b === undefined) return { first, last, hops }
    const start = links.indexOf(a.links[0] as HopLink)
    const end = links.indexOf(b.links.at(-1) as HopLink)
    const before = links.slice(start, first).map((link) => link.hop)
    const after = links.slice(last + 1, end + 1).map((link) => link.hop)
    return { first: start, last: end, hops: [...before, ...hops, ...after] }
  }
  const runAt = (links: readonly HopLink[], index: number): Run | undefined =>
    flow.runOf(links[index] as HopLink)

  /** Puts new servers in the place of old ones. */
  const succeed = async ({ first, last, hops }: Succession): Promise<void> => {
    const links = core.links()
    const old = links.slice(first, last + 1)
    const [start, end] = [runAt(links, first), runAt(links, last)]
    if (start === undefined || end === undefined) return
    const left = start.links[start.links.indexOf(old[0] as HopLink) - 1]
    const right = end.links[end.links.indexOf(old.at(-1) as HopLink) + 1]
    const push = settings.topology === 'push'
    // A run whose client still fetches what its last link gave out needs that kept.
    const fetching = end.done < end.fetchUntil
    const fresh = await core.openLinks(
      hops.map((hop, index) => ({
        hop,
        before: index === 0 ? left?.hop : push ? hops[index - 1] : undefined,
        forward: index < hops.length - 1 ? push : right !== undefined || (fetching && left !== undefined)
      })),
      lifetime
    )
    const head = fresh[0] as HopLink
    const tail = fresh.at(-1) as HopLink
    try {
      checkLimits(fresh)
      // What the client carries between new servers it has to have computed again, from the first row on.
      const single = push || fresh.length === 1
      const cursor =
        left === undefined && single ? await guarded(fresh, () => prefill(head, start.log, end.done)) : 0
      await guarded(
        [...fresh, ...(left === undefined ? [] : [left]), ...(right === undefined ? [] : [right])],
        async (signal) => {
          if (right !== undefined && tail.forward) await expect(right, tail, signal)
          const refused = single
            ? await wire(right === undefined ? fresh : [...fresh, right], flow.answered, signal)
            : []
          install({ first, last, start, end, left, fresh, cursor, single })
          if (left !== undefined) cuts.delete(left)
          tell(old, fresh)
          for (const link of old) retire(link)
          if (left !== undefined) refused.unshift(...(await wire([left, head], flow.answered, signal)))
          await carry(refused, core, signal)
          if (fetching && right === undefined && head.before !== undefined) {
            await tail.route(
              { before: tail.before, after: undefined, answered: flow.answered, last: end.done },
              signal
            )
          }
        }
      )
    } catch (error) {
      for (const link of fresh) {
        if (flow.runOf(link) === undefined) link.abort(error)
      }
      throw error
    } finally {
      for (const run of flow.runs) flow.pump(run)
    }
  }

  /** Tells a link who hands rows to it from now on. */
  const expect = async (link: HopLink, before: HopLink, signal: AbortSignal): Promise<void> => {
    try {
      await link.route({ before: before.hop, after: link.after, answered: flow.answered }, signal)
    } catch {
      signal.throwIfAborted()
      if (link.lost !== undefined) throw link.lost.error
      // It expects them now; it is the next one after it that cannot be reached, and that comes next.
      cuts.add(link)
    }
  }

  const install = (place: {
    first: number
    last: number
    start: Run
    end: Run
    left: HopLink | undefined
    fresh: HopLink[]
    cursor: number
    single: boolean
  }): void => {
    const { start, end, left, fresh, cursor, single, first, last } = place
    if (start === end && single) {
      const at = left === undefined ? 0 : start.links.indexOf(left) + 1
      start.links.splice(at, last - first + 1, ...fresh)
      if (left === undefined) start.cursor = cursor
      return
    }
    // Whole runs are replaced: the first log goes on, the last results are those that are awaited.
    const from = flow.runs.indexOf(start)
    const { done, usualMs, movedAt } = end
    const ends = { done, sent: done, usualMs, movedAt }
    const runs = single
      ? [createRun({ links: fresh, log: start.log, cursor, ...ends })]
      : fresh.map((link, index) =>
          createRun({
            links: [link],
            log: index === 0 ? start.log : core.createLog(),
            movedAt,
            ...(index === fresh.length - 1 ? ends : {})
          })
        )
    flow.runs.splice(from, flow.runs.indexOf(end) - from + 1, ...runs)
  }

  /** A new server that takes less at once than the others would refuse what is in the history. */
  const checkLimits = (fresh: readonly HopLink[]): void => {
    for (const { hop, opened } of fresh) {
      if (opened.maxStepRows >= core.maxStepRows && opened.maxPendingSteps >= core.window) continue
      throw hopError('ERR_SHARD_HOP_FAILED', hop, 0, 'takes less at once than the chain was opened for')
    }
  }

  const retire = (link: HopLink): void => {
    const error = doubts.get(link) ?? link.lost?.error
    if (doubts.delete(link)) successors.blame(link.hop, error)
    cuts.delete(link)
    link.abort(error)
  }

  const tell = (old: readonly HopLink[], fresh: readonly HopLink[]): void => {
    const cause: unknown = old.map((link) => causes.get(link)).find((error) => error !== undefined)
    const event = {
      step: flow.answered + 1,
      blocks: { from: (fresh[0] as HopLink).hop.from, to: (fresh.at(-1) as HopLink).hop.to },
      from: old.map((link) => link.hop.peer),
      to: fresh.map((link) => link.hop.peer),
      cause: KwaaiError.is(cause) ? cause.code : 'ERR_SHARD_HOP_FAILED',
      stallMs: 0,
      replayedRows: flow.runs[0]?.log.length ?? 0
    }
    core.changed(event, old)
  }
  // Why links were replaced, for whoever is told.
  const causes = new WeakMap<HopLink, unknown>()

  /** Attempts are counted from step to step: what goes on is worth going on with. */
  const mayTry = (): boolean => {
    if (flow.answered > answered) {
      answered = flow.answered
      attempts = 0
      waits = 0
      successors.forgive()
    }
    return ++attempts <= settings.maxRecoveries
  }

  const repair = async (bad: { first: number; last: number }): Promise<void> => {
    const links = core.links().slice(bad.first, bad.last + 1)
    const gone = links.find((link) => link.lost !== undefined)
    for (const link of links) causes.set(link, link.lost?.error ?? doubts.get(link))
    if (!mayTry()) return giveUp(links, gone, `${settings.maxRecoveries} attempts failed`)
    const found = await successors.find(core.links(), { ...bad, isBad }, { signal: lifetime })
    if ('problem' in found) {
      if (gone === undefined || ++waits > maxWaits) return giveUp(links, gone, found.problem)
      await clock.sleep(firstWaitMs * 2 ** (waits - 1), { signal: lifetime })
      return
    }
    try {
      await succeed(widened(found))
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
    if (!mayTry()) {
      const why = 'does not take what it is handed'
      return after.fail(hopError('ERR_SHARD_HOP_FAILED', after.hop, flow.stepAt(after), why))
    }
    try {
      await guarded([link, after], async (signal) => {
        await carry(await wire([link, after], flow.answered, signal), core, signal)
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
    cut(link) {
      cuts.add(link)
      runIfWanted()
    }
  }
}

/** Whether a link answers; one that does not is given up. */
async function ask(
  link: HopLink,
  { clock, settings }: ChainCore,
  outer: AbortSignal
): Promise<Report | undefined> {
  const { probeTimeoutMs } = settings
  const timer = deadlineSignal(
    clock,
    probeTimeoutMs,
    () => hopError('ERR_SHARD_HOP_FAILED', link.hop, 0, `did not answer within ${probeTimeoutMs} ms`),
    outer
  )
  try {
    return await link.probe(timer.signal)
  } catch {
    outer.throwIfAborted()
    link.fail(timer.signal.reason)
    return undefined
  } finally {
    timer.clear()
  }
}
