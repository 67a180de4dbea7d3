import type { Advert } from './advert.ts'

/** Milliseconds a block takes where a server has measured nothing: a slow laptop. */
const unknownBlockMs = 1
/** Milliseconds of a round trip nobody has measured yet: another city. */
const unknownRttMs = 20
/** Round trips of an opening: one for the channel, one for the session. */
const openingRoundTrips = 2
/** Milliseconds of an opening at the server. */
const openingMs = 10
/** Tokens over which an opening is spread: a short answer. */
const openingTokens = 64

/** A server as the search sees it. */
export interface Candidate {
  advert: Advert
  /** Round trip between client and server in milliseconds. */
  rttMs: number
  /** False where the round trip is assumed. */
  rttMeasured: boolean
  /** False where round trip or speed is assumed. */
  measured: boolean
  /** Milliseconds a token is computed and waits here. */
  computeMs: number
  /** Milliseconds a token of a short answer bears of the opening. */
  openMs: number
}

/** Puts figures on a server. */
export function candidateOf(advert: Advert, measuredRttMs: number | undefined, kept: boolean): Candidate {
  const rttKnown = measuredRttMs !== undefined && measuredRttMs >= 0 && Number.isFinite(measuredRttMs)
  const rttMs = rttKnown ? measuredRttMs : unknownRttMs
  const speedKnown = advert.tokensPerSecond > 0
  const stepMs = speedKnown ? 1000 / advert.tokensPerSecond : unknownBlockMs * (advert.to - advert.from)
  return {
    advert,
    rttMs,
    rttMeasured: rttKnown,
    measured: rttKnown && speedKnown,
    computeMs: stepMs * (1 + advert.queuedSteps),
    openMs: kept ? 0 : (openingMs + openingRoundTrips * rttMs) / openingTokens
  }
}

/** Milliseconds a token spends at a server: its round trip, its computing, and the steps before it. */
export function hopCostMs(advert: Advert, rttMs: number | undefined): number {
  const candidate = candidateOf(advert, rttMs, true)
  return candidate.rttMs + candidate.computeMs
}

/**
 * Milliseconds a row is on its way from one place to the next; `undefined` is the client. Half a round trip at
 * the client's ends. Between two servers half of the round trip that the first one tells, where it tells one and
 * rows go straight on (`push`), else the way through the client: so in a star a chain costs the full round trip
 * to each of its servers.
 */
export function legMs(from: Candidate | undefined, to: Candidate | undefined, push: boolean): number {
  if (push && from !== undefined && to !== undefined) {
    const { nextMs = {} } = from.advert
    const roundTripMs = Object.hasOwn(nextMs, to.advert.peer) ? nextMs[to.advert.peer] : undefined
    if (roundTripMs !== undefined) return roundTripMs / 2
  }
  return ((from?.rttMs ?? 0) + (to?.rttMs ?? 0)) / 2
}
