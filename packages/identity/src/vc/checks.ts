import type { ProofOutcome } from '../data-integrity/types.ts'
import type { Check, CheckFault, CheckName } from './types.ts'

/** The names of the checks, in the order they are reported. */
export const checkNames: readonly CheckName[] = [
  'structure',
  'proof',
  'controller',
  'period',
  'status',
  'schema',
  'issuerPolicy',
  'subjectBinding'
]

/** What came of a check, before it has its name. */
export type Finding = { ok: true; message?: string } | { ok: false; code: CheckFault; message: string }

/** Nothing to object to. */
export const fine: Finding = { ok: true }

/** A check that does not hold. */
export function failed(code: CheckFault, message: string): Finding {
  return { ok: false, code, message }
}

/** A finding under its name. */
export function named(name: CheckName, finding: Finding, required = true): Check {
  return {
    name,
    ok: finding.ok,
    required,
    ...(finding.ok ? {} : { code: finding.code }),
    ...(finding.message === undefined ? {} : { message: finding.message })
  }
}

/** The findings of a document that could not be read at all. */
export function unreadable(message: string): Check[] {
  return checkNames.map((name) =>
    named(name, failed('STRUCTURE_INVALID', name === 'structure' ? message : 'There is nothing to look at'))
  )
}

/** Every required check holds. */
export function allHold(checks: readonly Check[]): boolean {
  return checks.every(({ ok, required }) => ok || !required)
}

/** Whether there is a proof and all of them hold. */
export function proofFinding(outcomes: readonly ProofOutcome[]): Finding {
  if (outcomes.length === 0) return failed('PROOF_MISSING', 'There is no proof')
  const bad = outcomes.find(({ ok }) => !ok)
  return bad === undefined
    ? fine
    : failed(bad.code ?? 'PROOF_MALFORMED', bad.message ?? 'A proof does not hold')
}
