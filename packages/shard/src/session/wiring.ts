import type { ChainCore } from './core.ts'
import { createRun } from './flow.ts'
import type { Report } from '../gen/shard_pb.ts'
import type { HopLink, PlannedHop } from './hop.ts'

/**
 * Tells each link that the next one gets its results. The next one expects it already.
 *
 * @param onAnswer - told of each link that has answered, or failed.
 * @returns those whose results cannot go there; the client has to carry them.
 * @throws why a link is lost, or the signal's reason.
 */
export async function wire(
  links: readonly HopLink[],
  answered: number,
  signal: AbortSignal,
  onAnswer?: (link: HopLink) => void
): Promise<HopLink[]> {
  const refused = await Promise.all(
    links.slice(0, -1).map(async (link, index) => {
      const after = links[index + 1] as HopLink
      if (!link.forward || after.before?.peer !== link.hop.peer) return true
      try {
        // Whoever waits for a server to join one that is lost waits in vain.
        await link.route({ before: link.before, after, answered }, AbortSignal.any([signal, after.ended]))
        return false
      } catch {
        signal.throwIfAborted()
        for (const { lost } of [link, after]) if (lost !== undefined) throw lost.error
        return true
      } finally {
        onAnswer?.(link)
      }
    })
  )
  return links.filter((_, index) => refused[index] === true)
}

/**
 * Tells a link who hands rows to it from now on. It finds the next one anew then, and `onCut` is told where it
 * does not.
 *
 * @returns what it has, once it takes rows from nobody else.
 */
export function announce(
  link: HopLink,
  before: PlannedHop | undefined,
  { flow }: ChainCore,
  signal: AbortSignal,
  onCut: (link: HopLink) => void
): Promise<Report> {
  const { after } = link
  link.route({ before, after, answered: flow.answered }, signal).catch(() => {
    const still = link.before === before && link.after === after
    if (still && link.lost === undefined && !signal.aborted) onCut(link)
  })
  // Asked after the route, so answered after it.
  return link.probe(signal)
}

/**
 * Lets the client carry rows from these links to the next ones: each run is cut there. What a link has given out
 * before is fetched from what it keeps, so that the client has the next one's history.
 *
 * @param onCut - told of links that lost their own way on.
 * @throws why a link is lost, or the signal's reason.
 */
export async function carry(
  cuts: readonly HopLink[],
  core: ChainCore,
  signal: AbortSignal,
  onCut: (link: HopLink) => void
): Promise<void> {
  const { flow } = core
  for (const link of cuts) {
    const run = flow.runOf(link)
    const next = run?.links[run.links.indexOf(link) + 1]
    if (run === undefined || next === undefined) continue
    const told =
      next.before === undefined ? next.probe(signal) : announce(next, undefined, core, signal, onCut)
    const { last } = await told
    // Nothing may come in between: what the link answers from now on is for the client.
    cut(core, link, last)
    if (!link.forward) flow.pump(run)
    else {
      await link.route({ before: link.before, after: undefined, answered: flow.answered, last: 0 }, signal)
    }
  }
}

/** Makes two runs of one. `admitted` is the last step the second part was given. */
function cut({ flow, createLog }: ChainCore, link: HopLink, admitted: number): void {
  const index = flow.runs.findIndex((run) => run.links.includes(link))
  const run = flow.runs[index]
  if (run === undefined) return
  const rest = run.links.splice(run.links.indexOf(link) + 1)
  const { done, fetchUntil, movedAt, usualMs } = run
  const later = createRun({ links: rest, log: createLog(), done, movedAt, usualMs })
  later.cursor = admitted
  // What it was not given yet comes from the client, and is answered to it.
  later.fetchUntil = Math.min(fetchUntil, admitted)
  later.sent = Math.max(done, Math.min(admitted, run.sent))
  later.expected = run.expected
    .filter(({ step }) => step.step <= admitted)
    .map((one) => ({ ...one, step: { ...one.step, data: new Uint8Array(0) } }))
  flow.runs.splice(index + 1, 0, later)
  run.done = 0
  run.fetchUntil = run.sent
  if (link.forward) return
  // It keeps nothing: it is fresh, and whatever it is given is answered to the client.
  run.cursor = 0
  run.sent = 0
  run.expected = []
  run.fetchUntil = 0
}
