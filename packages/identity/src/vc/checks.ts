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

/** The check is not made, because what it rests on does not hold. */
export function unchecked(why: string): Finding {
  return failed('NOT_CHECKED', `This was not checked: ${why}`)
}

/** The findings of a document that could not be read at all. */
export function unreadable(message: string): Check[] {
  return checkNames.map((name) =>
    named(
      name,
      name === 'structure' ? failed('STRUCTURE_INVALID', message) : unchecked('the document cannot be read')
    )
  )
}

/**
 * What a finding is worth beside that of the structure. Where the structure is not in order, what is read by its name
 * may be something else or stand elsewhere, so that nothing to object to says nothing.
 */
export function provided(structure: { ok: boolean }, finding: Finding): Finding {
  return finding.ok && !structure.ok ? unchecked('the structure is not in order') : finding
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
