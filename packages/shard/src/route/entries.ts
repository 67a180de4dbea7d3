import type { RouteConstraints } from '@kwaai/interface'
import type { Advert } from './advert.ts'
import { failuresOf, type ConstraintFailure } from './constraints.ts'
import { candidateOf, type Candidate } from './cost.ts'
import type { SpanInit } from './plan.ts'
import { blocksOf, figure } from './words.ts'

/** An advert on the way through the plan. */
export interface Entry {
  advert: Advert
  candidate: Candidate
  failed: readonly ConstraintFailure[]
  /** Why it is no candidate whatever the constraints are. */
  unfit?: string
  /** Why it is none now. */
  busy?: string
}

/** Milliseconds of a round trip above which servers do not share a model between them. */
const defaultMaxSplitRttMs = 150

/** Puts figures on every advert, and looks at it alone: in one order, whatever order they come in. */
export function entriesOf(adverts: readonly Advert[], init: SpanInit): Entry[] {
  const { from, to, blockCount, constraints = {} } = init
  const seen = new Set<string>()
  const kept = new Set((init.keep ?? []).map(placeOf))
  return adverts.toSorted(byPlace).map((advert): Entry => {
    const place = placeOf(advert)
    const candidate = candidateOf(advert, init.rttMs?.(advert.peer), kept.has(place))
    const entry: Entry = {
      advert,
      candidate,
      failed: failuresOf(
        { ...candidate, aloneMs: aloneMs(candidate, init), trust: init.trust?.(advert.peer) },
        constraints
      )
    }
    const maxSplitRttMs = init.maxSplitRttMs ?? defaultMaxSplitRttMs
    const whole = advert.from === 0 && advert.to === blockCount
    if (seen.has(place)) entry.unfit = 'The same server is listed twice'
    else if (advert.blockCount !== blockCount) {
      entry.unfit = `It counts ${advert.blockCount} blocks in the model, which has ${blockCount}`
    } else if (advert.from < from || advert.to > to) {
      entry.unfit = `Its blocks are not among those that are looked for, ${blocksOf(from, to)}`
    } else if (!whole && candidate.rttMs > maxSplitRttMs) {
      entry.unfit = `Its round trip is ${figure(candidate.rttMs)} ms, and above ${figure(maxSplitRttMs)} ms no server gets a part of a model`
    }
    seen.add(place)
    const busy = busyWith(advert, kept.has(place), init)
    if (busy !== undefined) entry.busy = busy
    return entry
  })
}

function busyWith(advert: Advert, kept: boolean, init: SpanInit): string | undefined {
  const excluded = init.excluded?.(advert.peer)
  if (excluded !== undefined) return excluded
  const tokens = init.maxTokens ?? 1
  if (advert.maxTokens < tokens)
    return `Its sessions hold ${advert.maxTokens} tokens and ${tokens} are needed`
  if (!kept && advert.freeTokens < tokens) {
    return `It has room for ${advert.freeTokens} tokens and ${tokens} are needed`
  }
  return undefined
}

/**
 * Milliseconds a token spends at a server in whatever chain: where rows may go straight on, only the client's
 * ways count.
 */
function aloneMs(candidate: Candidate, { blockCount, topology }: SpanInit): number {
  const { advert, rttMs, computeMs } = candidate
  if (topology === 'star') return rttMs + computeMs
  return computeMs + (advert.from === 0 ? rttMs / 2 : 0) + (advert.to === blockCount ? rttMs / 2 : 0)
}

/** Why an advert is no candidate; undefined for a candidate. */
export function whyOut({ unfit, busy, failed }: Entry, active: RouteConstraints): string | undefined {
  if (unfit !== undefined) return unfit
  const failing = failed.filter(({ constraint }) => active[constraint] !== undefined)
  return failing.length === 0 ? busy : failing.map(({ reason }) => reason).join('. ')
}

/** Those that hold the whole model. */
export function wholeOf(candidates: readonly Candidate[], { blockCount }: SpanInit): Candidate[] {
  return candidates.filter(({ advert }) => advert.from === 0 && advert.to === blockCount)
}

function placeOf({ peer, from, to }: { peer: string; from: number; to: number }): string {
  return JSON.stringify([peer, from, to])
}

function byPlace(a: Advert, b: Advert): number {
  return (
    a.from - b.from ||
    a.to - b.to ||
    compare(a.peer, b.peer) ||
    compare(a.numericsClass, b.numericsClass) ||
    b.freeTokens - a.freeTokens ||
    b.tokensPerSecond - a.tokensPerSecond
  )
}

/** The order of texts by their code units. */
export function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}
