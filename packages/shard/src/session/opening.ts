import { deadlineSignal, KwaaiError, type Clock, type Network, type Random } from '@kwaai/interface'
import { sessionKeyBytes } from '../constants.ts'
import type { ChainSettings } from './chain-options.ts'
import { hopError, openHop, type HopLink, type LinkEvents, type PlannedHop } from './hop.ts'

/** A session to open. */
export interface OpenRequest {
  hop: PlannedHop
  /** Who hands rows to it. Default: the caller. */
  before?: PlannedHop | undefined
  /** Its results will go to another server. */
  forward: boolean
}

/** What it takes to open sessions. */
export interface OpeningComponents {
  network: Network
  clock: Clock
  random: Random
  events: LinkEvents & { currentStep(link: HopLink): number }
}

/**
 * Opens a session at each of these servers, or at none. One that does not take part in handing rows on is opened
 * so that the client carries them.
 *
 * @throws What {@link openHop} throws for the first one that fails; the deadline names one that did not answer.
 */
export async function openLinks(
  requests: readonly OpenRequest[],
  settings: ChainSettings,
  { network, clock, random, events }: OpeningComponents,
  outer: AbortSignal | undefined
): Promise<HopLink[]> {
  const { openTimeoutMs } = settings
  const waited = new Set(requests.map(({ hop }) => hop))
  const timer = deadlineSignal(
    clock,
    openTimeoutMs,
    () => {
      const [hop] = waited
      return hopError(
        'ERR_SHARD_HOP_FAILED',
        hop as PlannedHop,
        0,
        `did not answer within ${openTimeoutMs} ms`
      )
    },
    outer
  )
  // One that fails ends the wait for the others.
  const first = new AbortController()
  const signal = AbortSignal.any([timer.signal, first.signal])
  const open = async ({ hop, before, forward }: OpenRequest): Promise<HopLink> => {
    const link = await openHop(
      {
        ...settings,
        hop,
        session: random.bytes(sessionKeyBytes),
        forward,
        ...(before === undefined ? {} : { before })
      },
      { network },
      signal,
      events
    )
    waited.delete(hop)
    return link
  }
  const opening = requests.map(async (request) => {
    try {
      return await open(request).catch((error: unknown) => {
        if (!KwaaiError.is(error, 'ERR_SHARD_PUSH_REFUSED')) throw error
        return open({ hop: request.hop, forward: false })
      })
    } catch (error) {
      first.abort(error)
      throw error
    }
  })
  const settled = await Promise.allSettled(opening)
  timer.clear()
  const links = settled.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []))
  const lost = links.find((link) => link.lost !== undefined)?.lost
  if (!signal.aborted && lost === undefined) return links
  const reason: unknown = signal.aborted ? signal.reason : lost?.error
  for (const link of links) link.abort(reason)
  throw reason
}
