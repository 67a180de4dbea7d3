import type { VerificationRelationship } from '../did-document.ts'
import type { ReadProof } from './read-proof.ts'
import type { ProofFault, VerifyProofsOptions } from './types.ts'

const defaultMaxClockSkewMs = 300_000

/** A value of somebody else, in a message. */
export function shown(value: unknown): string {
  const text = JSON.stringify(value) ?? 'nothing'
  return text.length > 120 ? `${text.slice(0, 120)}…` : text
}

/** What is wrong with purpose, time, challenge or domain. */
export function circumstanceFault(
  read: ReadProof,
  options: VerifyProofsOptions
): { code: ProofFault; message: string } | undefined {
  const { proof, created, expires, domain } = read
  const { now, maxClockSkewMs: skew = defaultMaxClockSkewMs } = options
  const purpose = purposeOf(options)
  if (proof.proofPurpose !== purpose) {
    return {
      code: 'PROOF_WRONG_PURPOSE',
      message: `The proof is for ${shown(proof.proofPurpose)}, not ${purpose}.`
    }
  }
  if (created !== undefined && !(created <= now + skew)) {
    return {
      code: 'PROOF_FROM_THE_FUTURE',
      message: `The proof is of ${proof.created}, which is yet to come.`
    }
  }
  if (expires !== undefined && !(now - skew < expires)) {
    return { code: 'PROOF_EXPIRED', message: `The proof expired at ${proof.expires}.` }
  }
  if (options.domain !== undefined) {
    const wanted = new Set(typeof options.domain === 'string' ? [options.domain] : options.domain)
    if (domain === undefined || domain.length !== wanted.size || !domain.every((one) => wanted.has(one))) {
      return { code: 'PROOF_WRONG_DOMAIN', message: `The proof is for the domain ${shown(proof.domain)}.` }
    }
  }
  if (options.challenge !== undefined && proof.challenge !== options.challenge) {
    return {
      code: 'PROOF_WRONG_CHALLENGE',
      message: `The proof answers the challenge ${shown(proof.challenge)}.`
    }
  }
  return undefined
}

/** What proofs have to be for. */
export function purposeOf({
  proofPurpose = 'assertionMethod'
}: VerifyProofsOptions): VerificationRelationship {
  return proofPurpose
}
