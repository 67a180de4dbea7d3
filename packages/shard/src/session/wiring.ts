import type { ChainCore } from './core.ts'
import { createRun } from './flow.ts'
import type { HopLink } from './hop.ts'

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
        await link.route({ before: link.before, after, answered }, signal)
        return false
      } catch {
        signal.throwIfAborted()
        if (link.lost !== undefined) throw link.lost.error
        return true
      } finally {
        onAnswer?.(link)
      }
    })
  )
  return links.filter((_, index) => refused[index] === true)
}

/**
 * Lets the client carry rows from these links to the next ones: each run is cut there. What a link has given out
 * before is fetched from what it keeps, so that the client has the next one's history.
 *
 * @throws why a link is lost, or the signal's reason.
 */
export async function carry(cuts: readonly HopLink[], core: ChainCore, signal: AbortSignal): Promise<void> {
  const { flow } = core
  const queue = [...cuts]
  for (let link = queue.shift(); link !== undefined; link = queue.shift()) {
    const run = flow.runOf(link)
    const next = run?.links[run.links.indexOf(link) + 1]
    if (run === undefined || next === undefined) continue
    if (next.before !== undefined) {
      try {
        await next.route({ before: undefined, after: next.after, answered: flow.answered }, signal)
      } catch {
        signal.throwIfAborted()
        if (next.lost !== undefined) throw next.lost.error
        // It takes rows from here now; where its own go is another cut.
        queue.push(next)
      }
    }
    const report = await next.probe(signal)
    // Nothing may come in between: what the link answers from now on is for the client.
    cut(core, link, report.last)
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
  run.expected = []
  run.fetchUntil = run.sent
  if (link.forward) return
  // It keeps nothing: it is fresh, and whatever it is given is answered to the client.
  run.cursor = 0
  run.sent = 0
  run.fetchUntil = 0
}
