import type { ChainPlan } from '../session/chain.ts'
import type { Advert } from './advert.ts'

/** What a chain has to be. */
export interface PlanInit {
  /** SHA-256 of the model file, hex. */
  modelHash: string
  /** Blocks of the whole model. */
  blockCount: number
  /** Rows the session will hold at most. Default 1. */
  maxTokens?: number
  /** The measured round trip to a peer in milliseconds, where there is one. */
  rttMs?: (peer: string) => number | undefined
  /** Why a peer is left out now, where it is. */
  excluded?: (peer: string) => string | undefined
  /** The class preferred before all others, such as that of the own machine. */
  numericsClass?: string
  /** Take the cheapest chain even where one server holds the whole model. Default false. */
  split?: boolean
}

/** What became of one advert. */
export interface PlanVerdict {
  advert: Advert
  chosen: boolean
  /** One plain sentence. */
  reason: string
}

/** A chain, or why there is none; and what became of every advert. */
export interface Planning {
  plan?: ChainPlan
  /** Milliseconds a token is expected to take, where there is a plan. */
  costMs?: number
  /** Why there is none: "the chain has no server for blocks 12 to 17". */
  problem?: string
  explain: readonly PlanVerdict[]
}

/** Milliseconds a block takes where a server has measured nothing: a slow laptop. */
const unknownBlockMs = 1
/** Milliseconds of a round trip nobody has measured yet: another city. */
const unknownRttMs = 20

/** Milliseconds a token spends at a server: its round trip, its computing, and the steps before it. */
export function hopCostMs(advert: Advert, rttMs: number | undefined): number {
  const computeMs =
    advert.tokensPerSecond > 0 ? 1000 / advert.tokensPerSecond : unknownBlockMs * (advert.to - advert.from)
  return (rttMs ?? unknownRttMs) + computeMs * (1 + advert.queuedSteps)
}

interface Candidate {
  advert: Advert
  costMs: number
}

interface Path {
  costMs: number
  hops: readonly Advert[]
}

/**
 * Finds the servers that run every block once: the cheapest path over their exact spans. One server that holds
 * the whole model goes before any chain, a chain of one numerics class before a mixed one. Pure, and the same
 * for the same adverts in whatever order.
 */
export function planChain(adverts: readonly Advert[], init: PlanInit): Planning {
  const { blockCount } = init
  const ordered = adverts.toSorted(byPlace)
  const fallen = new Map<Advert, string>()
  const candidates: Candidate[] = []
  const seen = new Set<string>()
  for (const advert of ordered) {
    const place = JSON.stringify([advert.peer, advert.from, advert.to])
    const why = seen.has(place) ? 'The same server is listed twice' : unfit(advert, init)
    seen.add(place)
    if (why === undefined) candidates.push({ advert, costMs: hopCostMs(advert, init.rttMs?.(advert.peer)) })
    else fallen.set(advert, why)
  }

  const whole = candidates.filter(({ advert }) => advert.from === 0 && advert.to === blockCount)
  const splitting = init.split === true || whole.length === 0
  const best = choose(splitting ? candidates : whole, init)
  const explain = ordered.map((advert): PlanVerdict => {
    const chosen = best?.hops.includes(advert) === true
    const reason = chosen
      ? 'It is part of the cheapest chain'
      : (fallen.get(advert) ?? notChosen(advert, candidates, best, splitting, init))
    return { advert, chosen, reason }
  })
  if (best === undefined) {
    // Who only asks for too much, or comes a moment too early, should learn that servers exist.
    const left = [...fallen].find(
      ([{ from }]) => !candidates.some(({ advert }) => advert.from <= from && from < advert.to)
    )
    const hint =
      left === undefined ? '' : `; one of blocks ${left[0].from} to ${left[0].to - 1} is left out: ${left[1]}`
    return { problem: problemOf(candidates, blockCount) + hint, explain }
  }
  const hops = best.hops.map(({ peer, from, to, numericsClass }) => ({ peer, from, to, numericsClass }))
  return { plan: { modelHash: init.modelHash, blockCount, hops }, costMs: best.costMs, explain }
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

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}

function unfit(advert: Advert, init: PlanInit): string | undefined {
  const tokens = init.maxTokens ?? 1
  if (advert.blockCount !== init.blockCount) {
    return `It counts ${advert.blockCount} blocks in the model, which has ${init.blockCount}`
  }
  const excluded = init.excluded?.(advert.peer)
  if (excluded !== undefined) return excluded
  if (advert.maxTokens < tokens)
    return `Its sessions hold ${advert.maxTokens} tokens and ${tokens} are needed`
  if (advert.freeTokens < tokens)
    return `It has room for ${advert.freeTokens} tokens and ${tokens} are needed`
  return undefined
}

/** The preferred class, then the cheapest of one class, then whatever there is. */
function choose(candidates: readonly Candidate[], init: PlanInit): Path | undefined {
  const of = (numericsClass: string): Path | undefined =>
    shortest(
      candidates.filter(({ advert }) => advert.numericsClass === numericsClass),
      init.blockCount
    )
  const preferred = init.numericsClass === undefined ? undefined : of(init.numericsClass)
  if (preferred !== undefined) return preferred
  let best: Path | undefined
  for (const numericsClass of new Set(
    candidates.map(({ advert }) => advert.numericsClass).toSorted(compare)
  )) {
    best = better(best, of(numericsClass))
  }
  return best ?? shortest(candidates, init.blockCount)
}

/**
 * The cheapest exact cover of `[0, blockCount)`. Spans only lead forward, so one pass in the order of their
 * first block sees every path to a block before it is left.
 */
function shortest(candidates: readonly Candidate[], blockCount: number): Path | undefined {
  const paths = new Map<number, Path>([[0, { costMs: 0, hops: [] }]])
  for (const { advert, costMs } of candidates) {
    const before = paths.get(advert.from)
    if (before === undefined) continue
    const path = { costMs: before.costMs + costMs, hops: [...before.hops, advert] }
    paths.set(advert.to, better(paths.get(advert.to), path) as Path)
  }
  return paths.get(blockCount)
}

function better(a: Path | undefined, b: Path | undefined): Path | undefined {
  if (a === undefined || b === undefined) return a ?? b
  // The one that was there first stays where they are alike: candidates come in one order.
  return b.costMs < a.costMs || (b.costMs === a.costMs && b.hops.length < a.hops.length) ? b : a
}

function notChosen(
  advert: Advert,
  candidates: readonly Candidate[],
  best: Path | undefined,
  splitting: boolean,
  init: PlanInit
): string {
  const { blockCount } = init
  if (!splitting && !(advert.from === 0 && advert.to === blockCount)) {
    return 'Another server holds the whole model'
  }
  const all = candidates.map((candidate) => candidate.advert)
  if (!reach(all, 0).has(advert.from)) return `No servers before it end at block ${advert.from}`
  const backwards = all.map(({ from, to }) => ({ from: to, to: from }))
  if (!reach(backwards, blockCount).has(advert.to)) return `No servers after it begin at block ${advert.to}`
  const classes = new Set(best?.hops.map((hop) => hop.numericsClass))
  if (classes.size === 1 && !classes.has(advert.numericsClass)) {
    return 'The chain is of another numerics class, all through'
  }
  return 'Another chain is cheaper'
}

/** Every boundary that spans lead to, one after the other, from a start. */
function reach(spans: readonly { from: number; to: number }[], start: number): Set<number> {
  const reached = new Set([start])
  for (let before = 0; before !== reached.size;) {
    before = reached.size
    for (const { from, to } of spans) if (reached.has(from)) reached.add(to)
  }
  return reached
}

/** What is missing, in words that are true of these candidates. */
function problemOf(candidates: readonly Candidate[], blockCount: number): string {
  const gaps: string[] = []
  let gapFrom = -1
  for (let block = 0; block <= blockCount; block++) {
    const missing =
      block < blockCount && !candidates.some(({ advert }) => advert.from <= block && block < advert.to)
    if (missing && gapFrom < 0) gapFrom = block
    if (!missing && gapFrom >= 0) {
      gaps.push(gapFrom === block - 1 ? `block ${gapFrom}` : `blocks ${gapFrom} to ${block - 1}`)
      gapFrom = -1
    }
  }
  if (gaps.length > 0) return `the chain has no server for ${gaps.join(' and ')}`
  const furthest = Math.max(
    ...reach(
      candidates.map(({ advert }) => advert),
      0
    )
  )
  return `the servers overlap: each block has one, but none begins at block ${furthest}, where the others end`
}
