import { deadlineSignal } from '@kwaai/interface'
import { defaultJoinTimeoutMs } from '../constants.ts'
import type { Report } from '../gen/shard_pb.ts'
import type { ChainCore } from './core.ts'
import { hopError, type HopLink } from './hop.ts'

/** Whether a link answers a question in time; one that does not is given up. */
export async function ask(
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

/** Tells of routes that a server should have answered by now: the frame, or its answer, is lost. */
function createRouteWatch({ clock, settings }: ChainCore): (link: HopLink) => boolean {
  const seen = new Map<HopLink, { route: number; at: number }>()
  return (link) => {
    const now = clock.monotonic()
    const last = seen.get(link)
    if (link.routing === 0 || last?.route !== link.routing) {
      seen.set(link, { route: link.routing, at: now })
      return false
    }
    // A server has so long to reach the next one; all else it answers at once.
    const joinMs = link.after === undefined ? 0 : defaultJoinTimeoutMs
    return now - last.at >= joinMs + settings.probeTimeoutMs
  }
}

/**
 * Gives up links that stop answering while a task waits for them.
 *
 * @param onReport - told what a link says, with the last step it had been sent when it was asked.
 */
export async function guarded<T>(
  links: readonly HopLink[],
  core: ChainCore,
  task: () => Promise<T>,
  onReport?: (link: HopLink, report: Report, sent: number) => void
): Promise<T> {
  const over = new AbortController()
  const signal = AbortSignal.any([core.lifetime, over.signal])
  const isOverdue = createRouteWatch(core)
  const check = async (link: HopLink): Promise<void> => {
    const { sent } = link
    const report = await ask(link, core, signal)
    if (report !== undefined) onReport?.(link, report, sent)
    if (isOverdue(link)) link.fail(hopError('ERR_SHARD_HOP_FAILED', link.hop, 0, 'did not get its route'))
  }
  const guard = async (): Promise<void> => {
    for (;;) {
      await core.clock.sleep(core.settings.probeTimeoutMs, { signal })
      await Promise.all(links.map(check))
    }
  }
  guard().catch(() => undefined)
  try {
    return await task()
  } finally {
    over.abort()
  }
}
