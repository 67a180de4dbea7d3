import { canonicalizeJson } from '@kwaai/identity'
import type { AuditSink, CallOptions, Clock, Did } from '@kwaai/interface'
import { utf8 } from './bytes.ts'
import { ERR_AUDIT_INVALID_INIT, auditError } from './errors.ts'

/** Where data may go. */
export interface ResidencyPolicy {
  /** Regions by ISO 3166, such as `DE` (which holds all of its parts) or `US-CA`. */
  allowed: readonly string[]
  /** Whether a region that somebody only says of himself counts. Default: no, it has to be a credential's. */
  acceptDeclared?: boolean
}

/** Where something is, as far as it is known. */
export interface RegionClaim {
  region?: string
  /** `credential`: an issuer says so, in a credential that the caller has verified. `declared`: its owner says so. */
  source?: 'credential' | 'declared'
  /** Milliseconds since 1970 UTC, from which on the claim is nothing any more. */
  validUntil?: number
}

/** Why it was decided so. */
export type ResidencyReason =
  | 'allowed'
  | 'region-not-allowed'
  | 'region-unknown'
  | 'only-declared'
  | 'claim-expired'

/** What was decided. */
export interface ResidencyDecision {
  allowed: boolean
  reason: ResidencyReason
}

const regionForm = /^[A-Z]{2}(?:-[A-Z0-9]{1,3})?$/

/**
 * Decides whether data may go somewhere. Whatever is in doubt is a no: a region that is not known, not a code, only
 * declared where a credential is asked for, or of a claim that has ended.
 *
 * @param now milliseconds since 1970 UTC.
 */
export function evaluateResidency(
  policy: ResidencyPolicy,
  claim: RegionClaim,
  now: number
): ResidencyDecision {
  const { region, source, validUntil } = claim
  const no = (reason: ResidencyReason): ResidencyDecision => ({ allowed: false, reason })
  if (typeof region !== 'string' || !regionForm.test(region)) return no('region-unknown')
  if (source !== 'credential' && !(source === 'declared' && policy.acceptDeclared === true))
    return no(source === 'declared' ? 'only-declared' : 'region-unknown')
  if (validUntil !== undefined && !(now < validUntil)) return no('claim-expired')
  const inside = policy.allowed.some((allowed) => region === allowed || region.startsWith(`${allowed}-`))
  return inside ? { allowed: true, reason: 'allowed' } : no('region-not-allowed')
}

/** Decides where data may go, and keeps each decision. */
export interface Residency {
  /** Decides, and logs it; where it cannot be logged there is no decision, and the call throws. */
  decide(
    claim: RegionClaim,
    about: { subject?: Did; node?: string; purpose?: string },
    options?: CallOptions
  ): Promise<ResidencyDecision>
}

/**
 * Makes a residency policy that logs what it decides as `residency/decision`.
 *
 * @throws A KwaaiError `ERR_AUDIT_INVALID_INIT` when a region is no code of ISO 3166.
 */
export function createResidency(
  policy: ResidencyPolicy,
  components: { audit: AuditSink; clock: Clock }
): Residency {
  const wrong = policy.allowed.find((region) => !regionForm.test(region))
  if (wrong !== undefined)
    throw auditError(
      ERR_AUDIT_INVALID_INIT,
      `Cannot use the policy: ${JSON.stringify(wrong)} is no region such as DE or US-CA`
    )
  const { audit, clock } = components
  return {
    async decide(claim, { subject, node, purpose }, options) {
      const decision = evaluateResidency(policy, claim, clock.now())
      const data = canonicalizeJson({
        ...decision,
        claim: { ...claim },
        policy: { ...policy },
        node,
        purpose
      })
      await audit.append(
        { kind: 'residency/decision', data: utf8(data), ...(subject !== undefined && { subject }) },
        options
      )
      return decision
    }
  }
}
