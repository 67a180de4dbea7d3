import type { RouteConstraintName, RouteConstraints, TrustAssessment, TrustTier } from '@kwaai/interface'
import { shardError } from '../errors.ts'
import type { Advert } from './advert.ts'
import { candidateOf, type Candidate } from './cost.ts'
import { figure, plain } from './words.ts'

/** A constraint a server fails, and how. */
export interface ConstraintFailure {
  constraint: RouteConstraintName
  /** One plain sentence with the figures: "Its region is us, and only eu is allowed". */
  reason: string
}

/** How far a peer is trusted, or why nobody can say. */
export type TrustFact = TrustAssessment | string

/** What a constraint is held against. */
export interface ConstrainedServer extends Candidate {
  /** Milliseconds a token spends at this server at least, in whatever chain. */
  aloneMs: number
  trust: TrustFact | undefined
}

/** From little to much. */
const tiers: readonly TrustTier[] = ['unknown', 'known', 'verified', 'trusted']
/** Peers or regions a list may name. */
const maxListed = 1_024

/** All constraints, in the order in which their failures are told. */
const names: readonly RouteConstraintName[] = [
  'denyPeers',
  'allowPeers',
  'numericsClass',
  'region',
  'maxPrice',
  'minTier',
  'minScore',
  'maxRttMs',
  'maxLatencyMs'
]

/**
 * The constraints of a request over those of its source: what the request names takes the place of the
 * default; denied peers add up.
 */
export function mergeConstraints(
  defaults: RouteConstraints | undefined,
  own: RouteConstraints | undefined
): RouteConstraints {
  const denyPeers = [...(defaults?.denyPeers ?? []), ...(own?.denyPeers ?? [])]
  return { ...defaults, ...own, ...(denyPeers.length === 0 ? {} : { denyPeers }) }
}

/** The constraints without some of them. */
export function withoutConstraints(
  constraints: RouteConstraints,
  given: readonly RouteConstraintName[]
): RouteConstraints {
  const left = { ...constraints }
  for (const name of given) delete left[name]
  return left
}

/** The constraints that are set. */
export function constraintsSet(constraints: RouteConstraints): RouteConstraintName[] {
  return names.filter((name) => constraints[name] !== undefined)
}

/**
 * Refuses constraints that make no sense, before anybody is held to them.
 *
 * @throws A KwaaiError `ERR_SHARD_INVALID_INIT`.
 */
export function checkConstraints(constraints: RouteConstraints): void {
  const wrong = (why: string): never => {
    throw shardError('ERR_SHARD_INVALID_INIT', `Cannot plan the chain: ${why}`)
  }
  for (const name of ['minScore', 'maxLatencyMs', 'maxRttMs', 'maxPrice'] as const) {
    const value = constraints[name]
    if (value !== undefined && !(typeof value === 'number' && value >= 0)) {
      wrong(`${name} is no number of at least 0`)
    }
  }
  if (constraints.minTier !== undefined && !tiers.includes(constraints.minTier)) {
    wrong(`minTier is none of ${tiers.join(', ')}`)
  }
  for (const name of ['region', 'allowPeers', 'denyPeers'] as const) {
    const list = listOf(constraints[name] ?? [])
    if (list.length > maxListed || list.some((one) => typeof one !== 'string')) {
      wrong(`${name} is no list of at most ${maxListed} texts`)
    }
  }
  for (const name of constraints.relax ?? []) {
    // Callers without types may name anything.
    const named: string = String(name)
    if (named === 'denyPeers') wrong('denied peers are never let in: denyPeers cannot be given up')
    if (!names.some((name) => name === named)) wrong(`there is no constraint ${plain(named)} to give up`)
  }
}

/**
 * Every constraint a server fails, whatever the other servers are. Where something is not known, it fails.
 */
export function failuresOf(server: ConstrainedServer, constraints: RouteConstraints): ConstraintFailure[] {
  const { advert, rttMs, aloneMs, measured, trust } = server
  const found: ConstraintFailure[] = []
  const hold = <Name extends RouteConstraintName>(
    constraint: Name,
    check: (wanted: NonNullable<RouteConstraints[Name]>) => string | undefined
  ): void => {
    const wanted = constraints[constraint]
    const reason = wanted === undefined || wanted === null ? undefined : check(wanted)
    if (reason !== undefined) found.push({ constraint, reason })
  }
  const unjudged = (): string =>
    `How far it is trusted cannot be told: ${typeof trust === 'string' ? trust : 'nobody has judged it'}`

  hold('denyPeers', (denied) =>
    denied.includes(advert.peer) ? 'It is among the peers that are denied' : undefined
  )
  hold('allowPeers', (allowed) =>
    allowed.includes(advert.peer) ? undefined : 'It is not among the peers that are allowed'
  )
  hold('numericsClass', (wanted) =>
    advert.numericsClass === wanted
      ? undefined
      : `It computes in the class ${plain(advert.numericsClass)}, and only ${plain(wanted)} is allowed`
  )
  hold('region', (wanted) => {
    const allowed = listOf(wanted)
    if (advert.region !== undefined && allowed.includes(advert.region)) return undefined
    const its = advert.region === undefined ? 'It names no region' : `Its region is ${plain(advert.region)}`
    return `${its}, and only ${allowed.map(plain).join(' or ') || 'none'} is allowed`
  })
  hold('maxPrice', (most) =>
    advert.price <= most
      ? undefined
      : `It costs ${figure(advert.price)} credits a token, and at most ${figure(most)} are allowed`
  )
  hold('minTier', (least) => {
    if (typeof trust !== 'object') return unjudged()
    if (tiers.indexOf(trust.tier) >= tiers.indexOf(least)) return undefined
    return `Its tier is ${plain(String(trust.tier))}, and at least ${least} is asked for`
  })
  hold('minScore', (least) => {
    if (typeof trust !== 'object') return unjudged()
    if (trust.lowerBound >= least) return undefined
    return `Its trust is at least ${figure(trust.lowerBound)}, and ${figure(least)} is asked for`
  })
  hold('maxRttMs', (most) => {
    if (server.rttMeasured && rttMs <= most) return undefined
    const its = server.rttMeasured ? `is ${figure(rttMs)} ms` : 'is not known'
    return `Its round trip ${its}, and at most ${figure(most)} ms are allowed`
  })
  hold('maxLatencyMs', (most) => {
    if (!measured)
      return `How fast it is has not been measured, and a token may take ${figure(most)} ms at most`
    if (aloneMs <= most) return undefined
    return `A token takes ${figure(aloneMs)} ms at it alone, and at most ${figure(most)} are allowed`
  })
  return found
}

/** Whether an advert meets all constraints that can be held against an advert alone. */
export function passesAlone(advert: Advert, constraints: RouteConstraints): boolean {
  const plainOnes = withoutConstraints(constraints, ['minTier', 'minScore', 'maxRttMs', 'maxLatencyMs'])
  const server = { ...candidateOf(advert, undefined, false), aloneMs: 0, trust: undefined }
  return failuresOf(server, plainOnes).length === 0
}

function listOf(value: string | readonly string[]): readonly string[] {
  return typeof value === 'string' ? [value] : value
}
