import { replayRows } from '../constants.ts'
import type { ChainCore } from './core.ts'
import { createRun, type Run } from './flow.ts'
import { guarded } from './guard.ts'
import { hopError, type HopLink } from './hop.ts'
import type { StepLog } from './step-log.ts'
import type { Succession } from './successors.ts'
import { announce, carry, wire } from './wiring.ts'

/** What a succession tells. */
export interface SuccessionEvents {
  /** New links are in the place of old ones. */
  replaced(old: readonly HopLink[], fresh: readonly HopLink[]): void
  /** The results of a link do not reach the next one any more. */
  cut(link: HopLink): void
  /** They do again. */
  joined(link: HopLink): void
}

/** Where in the chain links are replaced. */
interface Place {
  old: readonly HopLink[]
  fresh: readonly HopLink[]
  /** The runs in which the place begins and ends; more than one only where whole runs are replaced. */
  start: Run
  end: Run
  /** The neighbours in these runs: they hand rows to the new links and take rows from them. */
  left: HopLink | undefined
  right: HopLink | undefined
  /** The new links hand rows to each other. */
  joined: boolean
}

/**
 * Puts servers in the place of others: opens sessions there, has them run what went through before, joins them
 * with their neighbours. Old links keep their place until the new ones are ready for it.
 *
 * @throws Why a new server, or a neighbour, cannot go on; nothing that is open and in no run is left then.
 */
export async function succeed(
  succession: Succession,
  core: ChainCore,
  events: SuccessionEvents
): Promise<void> {
  const { flow, lifetime, settings } = core
  const { first, last, hops } = widened(succession, core)
  const old = core.links().slice(first, last + 1)
  const [start, end] = [flow.runOf(old[0] as HopLink), flow.runOf(old.at(-1) as HopLink)]
  if (start === undefined || end === undefined) return
  const left = start.links[start.links.indexOf(old[0] as HopLink) - 1]
  const right = end.links[end.links.indexOf(old.at(-1) as HopLink) + 1]
  const push = settings.topology === 'push'
  // Where the client still fetches what the last link of a run gave out, that has to be kept.
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
  const place = { old, fresh, start, end, left, right, joined: push || fresh.length === 1 }
  try {
    checkLimits(fresh, core)
    // What the client carries between new servers it has to have computed again, from the first row on.
    const cursor = left === undefined && place.joined ? await prefill(head, start.log, end.done, core) : 0
    const around = [...fresh, left, right].filter((link) => link !== undefined)
    await guarded(around, core, async () => {
      if (right !== undefined && tail.forward) await announce(right, tail.hop, core, lifetime, events.cut)
      const chain = right === undefined ? fresh : [...fresh, right]
      const refused = place.joined ? await wire(chain, flow.answered, lifetime) : []
      install(place, cursor, core)
      events.replaced(old, fresh)
      if (left !== undefined) {
        events.joined(left)
        refused.unshift(...(await wire([left, head], flow.answered, lifetime)))
      }
      await carry(refused, core, lifetime, events.cut)
      if (fetching && right === undefined && head.before !== undefined) {
        const { answered } = flow
        await tail.route({ before: tail.before, after: undefined, answered, last: end.done }, lifetime)
      }
    })
  } catch (error) {
    for (const link of fresh) if (flow.runOf(link) === undefined) link.abort(error)
    throw error
  } finally {
    for (const run of flow.runs) flow.pump(run)
  }
}

/** A place that reaches into several runs, made to hold them whole: the client has the history between runs. */
function widened({ first, last, hops }: Succession, { flow, ...core }: ChainCore): Succession {
  const links = core.links()
  const [a, b] = [flow.runOf(links[first] as HopLink), flow.runOf(links[last] as HopLink)]
  if (a === b || a === undefined || b === undefined) return { first, last, hops }
  const start = links.indexOf(a.links[0] as HopLink)
  const end = links.indexOf(b.links.at(-1) as HopLink)
  const before = links.slice(start, first).map((link) => link.hop)
  const after = links.slice(last + 1, end + 1).map((link) => link.hop)
  return { first: start, last: end, hops: [...before, ...hops, ...after] }
}

/** A new server that takes less at once than the others would refuse what is in the history. */
function checkLimits(fresh: readonly HopLink[], core: ChainCore): void {
  for (const { hop, opened } of fresh) {
    if (opened.maxStepRows >= core.maxStepRows && opened.maxPendingSteps >= core.window) continue
    throw hopError('ERR_SHARD_HOP_FAILED', hop, 0, 'takes less at once than the chain was opened for')
  }
}

/** Gives a new first link what is answered already, before it takes its place. @returns the last step. */
function prefill(link: HopLink, log: StepLog, done: number, core: ChainCore): Promise<number> {
  const { flow, lifetime, settings } = core
  const send = async (): Promise<number> => {
    for (;;) {
      const request = { last: link.sent, answered: flow.answered, maxRows: replayRows, maxSteps: 1 }
      const [step] = log.resume(request)
      if (step === undefined || step.step > done) break
      await link.room(link.opened.maxPendingSteps, lifetime)
      link.send(step, 'none', settings.stepTimeoutMs)
    }
    await link.room(1, lifetime)
    return link.sent
  }
  return guarded([link], core, send, (_, report, sent) => {
    // Results may be lost on their way; steps must not.
    if (report.last >= sent) return link.settle(report.done)
    link.fail(hopError('ERR_SHARD_HOP_FAILED', link.hop, sent, 'did not get all rows'))
  })
}

/** Nothing may come in between: from now on the new links are the chain. */
function install(
  { old, fresh, start, end, left, right, joined }: Place,
  cursor: number,
  core: ChainCore
): void {
  const { runs } = core.flow
  if (left !== undefined || right !== undefined) {
    start.links.splice(start.links.indexOf(old[0] as HopLink), old.length, ...fresh)
    if (left === undefined) start.cursor = cursor
    return
  }
  // Whole runs are replaced: the first history goes on, and the client gives them all that is not answered.
  const { done, usualMs, movedAt } = end
  const ends = { done, sent: done, usualMs, movedAt }
  const parts = joined
    ? [createRun({ links: [...fresh], log: start.log, cursor, ...ends })]
    : fresh.map((link, index) =>
        createRun({
          links: [link],
          log: index === 0 ? start.log : core.createLog(),
          movedAt,
          ...(index === fresh.length - 1 ? ends : {})
        })
      )
  const from = runs.indexOf(start)
  runs.splice(from, runs.indexOf(end) - from + 1, ...parts)
}
