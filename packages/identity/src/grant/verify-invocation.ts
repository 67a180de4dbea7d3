import type { CallOptions, Did } from '@kwaai/interface'
import { canonicalizeJson, type JsonObject } from '../json.ts'
import { decodeBundle, sentBytes } from './bundle.ts'
import { openClaims, readChain, type ChainFault, type ChainLink } from './chain.ts'
import { readInvocationClaims, type InvocationClaims } from './claims.ts'
import { coversCommand } from './command.ts'
import { DEFAULT_MAX_INVOCATION_S, INVOCATION_CONTEXT } from './limits.ts'
import { satisfiesPolicy } from './policy.ts'
import type { ReplayGuard } from './replay-guard.ts'
import type { Revocations } from './revocation.ts'

/** The parts of the promise that an invocation makes. */
export type GrantCheckName =
  | 'structure'
  | 'signature'
  | 'chain'
  | 'audience'
  | 'subject'
  | 'invoker'
  | 'command'
  | 'arguments'
  | 'policy'
  | 'time'
  | 'revocation'
  | 'replay'

/** Why a check does not hold. */
export type GrantFault =
  | 'STRUCTURE_INVALID'
  | 'SIGNATURE_INVALID'
  | 'CHAIN_BROKEN'
  | 'AUDIENCE_OTHER'
  | 'SUBJECT_OTHER'
  | 'INVOKER_OTHER'
  | 'COMMAND_NOT_COVERED'
  | 'ARGUMENTS_DIFFER'
  | 'POLICY_NOT_SATISFIED'
  | 'TIME_NOT_YET'
  | 'TIME_OVER'
  | 'TIME_TOO_LONG'
  | 'REVOKED'
  | 'REPLAYED'
  | 'REPLAY_GUARD_FULL'
  | 'NOT_CHECKED'

/** What came of one check. */
export interface GrantCheck {
  name: GrantCheckName
  ok: boolean
  code?: GrantFault
  /** A few words that go on from "the grant is not accepted, because". */
  message?: string
}

/** What came of verifying an invocation. Never an error for what an attacker can choose. */
export interface InvocationResult {
  /** Every check holds. */
  ok: boolean
  /** All of them, in the order of {@link GrantCheckName}. */
  checks: readonly GrantCheck[]
  /** What it says, where it could be read. */
  claims?: InvocationClaims
  /** The grants it rests on, from the subject's on, where they could be read. */
  chain?: readonly ChainLink[]
}

/** What an invocation is held to. */
export interface VerifyInvocationOptions extends CallOptions {
  /** Who is to do it: us. */
  executor: Did
  /** Whose resources we act on. Default: the executor's own alone. */
  subjects?: readonly Did[]
  /** Who asks, as we know from elsewhere. Default: whoever signed. */
  invoker?: Did
  /** The command that is about to be done. Default: the one the invocation names, for a look at it alone. */
  command?: string
  /**
   * The arguments of what is about to be done. The policies are held to these, and the invocation may name no other
   * ones. Default: the invocation's, for whoever takes from them what is done.
   */
  args?: JsonObject
  /** Milliseconds since 1970. */
  now: number
  /** The revoked grants; `unchecked` where nobody can know. */
  revocations: Pick<Revocations, 'find'> | 'unchecked'
  /** Remembers what was done; `unchecked` for a look that does nothing. */
  replays: ReplayGuard | 'unchecked'
  /** Longest life of an invocation in seconds. Default 300. */
  maxLifeS?: number
}

const names: readonly GrantCheckName[] = [
  'structure',
  'signature',
  'chain',
  'audience',
  'subject',
  'invoker',
  'command',
  'arguments',
  'policy',
  'time',
  'revocation',
  'replay'
]

const faults = {
  structure: 'STRUCTURE_INVALID',
  signature: 'SIGNATURE_INVALID',
  chain: 'CHAIN_BROKEN'
} as const satisfies Record<ChainFault['kind'], GrantFault>

type Verdict = [code: GrantFault, message: string] | undefined

/** Verifies an invocation that somebody sent, as bytes or text, with all that it rests on. */
export async function verifyInvocation(
  source: Uint8Array | string,
  options: VerifyInvocationOptions
): Promise<InvocationResult> {
  const read = await readInvocation(source)
  if ('kind' in read) return failed(read)
  const { claims, chain } = read
  const checks: GrantCheck[] = [
    { name: 'structure', ok: true },
    { name: 'signature', ok: true }
  ]
  const say = (name: GrantCheckName, verdict: Verdict): void => {
    checks.push(
      verdict === undefined ? { name, ok: true } : { name, ok: false, code: verdict[0], message: verdict[1] }
    )
  }
  say('chain', chainVerdict(claims, chain))
  say('audience', audienceVerdict(claims, options))
  say('subject', subjectVerdict(claims, options))
  say('invoker', invokerVerdict(claims, options))
  say('command', commandVerdict(claims, chain, options))
  say('arguments', argumentsVerdict(claims, options))
  say('policy', policyVerdict(claims, chain, options))
  say('time', timeVerdict(claims, chain, options))
  say('revocation', await revocationVerdict(chain, options))
  // Last, and only where all else holds: what is refused is not remembered.
  const holds = checks.every(({ ok }) => ok)
  say('replay', holds ? await replayVerdict(claims, options) : ['NOT_CHECKED', 'it was not looked at'])
  return { ok: checks.every(({ ok }) => ok), checks, claims, chain }
}

async function readInvocation(
  source: Uint8Array | string
): Promise<ChainFault | { claims: InvocationClaims; chain: readonly ChainLink[] }> {
  const bytes = sentBytes(source)
  const envelopes = bytes === undefined ? undefined : decodeBundle('invocation', bytes)
  const last = envelopes?.pop()
  if (envelopes === undefined || last === undefined) {
    return { kind: 'structure', message: 'what was shown is no invocation of a grant' }
  }
  const { claims, fault } = await openClaims(last, INVOCATION_CONTEXT, readInvocationClaims)
  if (fault !== undefined) return fault
  const chain = await readChain(envelopes)
  return chain.fault ?? { claims, chain: chain.links }
}

function failed(fault: ChainFault): InvocationResult {
  const checks = names.map((name): GrantCheck => {
    if (name === fault.kind) return { name, ok: false, code: faults[fault.kind], message: fault.message }
    return { name, ok: false, code: 'NOT_CHECKED', message: 'it was not looked at' }
  })
  return { ok: false, checks }
}

function chainVerdict(claims: InvocationClaims, chain: readonly ChainLink[]): Verdict {
  const last = chain.at(-1)
  const holds =
    last === undefined
      ? claims.iss === claims.sub && claims.prf.length === 0
      : claims.prf[0] === last.id && claims.iss === last.claims.aud && claims.sub === last.claims.sub
  return holds ? undefined : ['CHAIN_BROKEN', 'the grants do not lead from the owner to whoever asks']
}

function audienceVerdict({ aud }: InvocationClaims, { executor }: VerifyInvocationOptions): Verdict {
  return aud === executor ? undefined : ['AUDIENCE_OTHER', 'it is meant for somebody else']
}

function subjectVerdict({ sub }: InvocationClaims, options: VerifyInvocationOptions): Verdict {
  const { executor, subjects = [executor] } = options
  return subjects.includes(sub) ? undefined : ['SUBJECT_OTHER', 'it is about what others own']
}

function invokerVerdict({ iss }: InvocationClaims, { invoker = iss }: VerifyInvocationOptions): Verdict {
  return iss === invoker
    ? undefined
    : ['INVOKER_OTHER', 'it was given to another peer than the one that shows it']
}

function commandVerdict(
  claims: InvocationClaims,
  chain: readonly ChainLink[],
  { command = claims.cmd }: VerifyInvocationOptions
): Verdict {
  const holds = claims.cmd === command && chain.every((link) => coversCommand(link.claims.cmd, command))
  return holds ? undefined : ['COMMAND_NOT_COVERED', `it does not cover ${command}`]
}

function argumentsVerdict({ args }: InvocationClaims, { args: facts }: VerifyInvocationOptions): Verdict {
  if (facts === undefined) return undefined
  const other = Object.keys(args).find(
    (name) => !Object.hasOwn(facts, name) || canonicalizeJson(facts[name]) !== canonicalizeJson(args[name])
  )
  return other === undefined
    ? undefined
    : ['ARGUMENTS_DIFFER', 'it asks for something else than is to be done']
}

function policyVerdict(
  claims: InvocationClaims,
  chain: readonly ChainLink[],
  { args = claims.args }: VerifyInvocationOptions
): Verdict {
  return chain.every((link) => satisfiesPolicy(link.claims.policy, args))
    ? undefined
    : ['POLICY_NOT_SATISFIED', 'what is to be done does not satisfy its policy']
}

function timeVerdict(
  claims: InvocationClaims,
  chain: readonly ChainLink[],
  { now, maxLifeS = DEFAULT_MAX_INVOCATION_S }: VerifyInvocationOptions
): Verdict {
  const seconds = now / 1000
  if (chain.some((link) => (link.claims.nbf ?? 0) > seconds)) return ['TIME_NOT_YET', 'it does not hold yet']
  // Written so that a time that is no number is over.
  if (![claims.exp, ...chain.map((link) => link.claims.exp)].every((exp) => seconds <= exp)) {
    return ['TIME_OVER', 'its time is over']
  }
  return claims.exp - seconds <= maxLifeS
    ? undefined
    : ['TIME_TOO_LONG', `it would hold for more than the ${maxLifeS} seconds that are remembered`]
}

async function revocationVerdict(
  chain: readonly ChainLink[],
  { revocations, signal }: VerifyInvocationOptions
): Promise<Verdict> {
  if (revocations === 'unchecked') return undefined
  const ids = chain.map(({ id }) => id)
  const found = await revocations.find(ids, signal === undefined ? {} : { signal })
  return found === undefined ? undefined : ['REVOKED', 'it was revoked']
}

async function replayVerdict(
  claims: InvocationClaims,
  { replays, signal }: VerifyInvocationOptions
): Promise<Verdict> {
  if (replays === 'unchecked') return undefined
  const outcome = await replays.take(claims, signal === undefined ? {} : { signal })
  if (outcome === 'used') return ['REPLAYED', 'it was used before']
  return outcome === 'full' ? ['REPLAY_GUARD_FULL', 'too many are remembered; try again later'] : undefined
}
