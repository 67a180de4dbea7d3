import type { PeerId } from '@kwaai/interface'
import type { Failure } from '../gen/shard_pb.ts'
import type { ChainCore } from './core.ts'
import type { Run } from './flow.ts'
import { ask } from './guard.ts'
import { hopError, type HopLink, type LinkEvents } from './hop.ts'
import type { Recovery } from './recovery.ts'

/** Makes what decides who is to blame for a step that a server refuses, and what helps. */
export function createRefusals(core: ChainCore, recovery: Recovery): LinkEvents['refused'] {
  const { flow, fail, planner } = core
  /** Who could not compute a step: the step may be the reason. */
  const refusals = new Map<number, Set<PeerId>>()
  /** Links that accused the one before them. */
  const accusers = new WeakSet<HopLink>()

  /** Of rows that came from another server, the other one is to blame, until the same one complains again. */
  const accused = (link: HopLink, failure: Failure, before: HopLink | undefined): HopLink | undefined => {
    if (failure.details['sender'] !== before?.hop.peer || accusers.has(link)) return undefined
    accusers.add(link)
    return before
  }

  /** A refusal may be old news. A link that has not what is answered already has lost its memory. */
  const missing = async (
    link: HopLink,
    run: Run,
    before: HopLink | undefined,
    error: unknown
  ): Promise<void> => {
    const { done } = run
    const report = await ask(link, core, core.lifetime).catch(() => undefined)
    if (report === undefined || !run.links.includes(link)) return
    if (report.last >= done) flow.askForAll(run)
    else if (before === undefined) link.fail(error)
    else recovery.cut(before)
  }

  return (link, failure, error) => {
    const run = flow.runOf(link)
    // One that is only on its way into the chain.
    if (run === undefined) return link.fail(error)
    const { step, code } = failure
    const before = run.links[run.links.indexOf(link) - 1]
    const sender = failure.details['sender']
    if (code === 'ERR_SHARD_NEXT_LOST' && step === 0) return recovery.cut(link)
    // Rows that were still on their way when another one was named to send them.
    if (code === 'ERR_SHARD_PUSH_REFUSED' && sender !== undefined && sender !== link.before?.peer) return
    if (code === 'ERR_SHARD_STEP_GAP' && step !== 0) {
      // A frame was lost on its way; where the oldest step is the one refused, rows may be missing.
      return step > run.done + 1 ? flow.askForAll(run) : void missing(link, run, before, error)
    }
    if (code === 'ERR_SHARD_STEP_STALE' && step !== 0) {
      // A late repeat; or it did the step, and the next one did not get what it hands on from its history.
      if (step <= run.done) return
      if (link !== run.links.at(-1)) return recovery.cut(link)
    }
    if (code === 'ERR_SHARD_INVALID_VALUES' && step !== 0) {
      const guilty = accused(link, failure, before)
      if (guilty !== undefined) {
        return guilty.fail(
          hopError('ERR_SHARD_INVALID_RESULT', guilty.hop, step, 'sent values no model makes', error)
        )
      }
      const peers = refusals.get(step) ?? new Set()
      for (const old of refusals.keys()) if (old <= flow.answered) refusals.delete(old)
      refusals.set(step, peers.add(link.hop.peer))
      // Two servers agree: it is so.
      if (peers.size > 1 || planner === undefined) return fail(error)
    }
    link.fail(error)
  }
}
