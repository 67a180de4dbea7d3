import type { Did } from '@kwaai/interface'
import { createVerificationBudget } from '../budget.ts'
import type { Credential, VerifyOptions } from '../types.ts'
import { verifyTwoSigners } from './two-signers.ts'

/** What rotations are held to. */
export interface VerifyRotationOptions extends VerifyOptions {
  /** The DID that was known first. */
  from: Did
  /** Most rotations; more are refused before any is looked at. Default 16. */
  maxRotations?: number
}

/** What came of a chain of rotations. */
export type RotationResult =
  | {
      ok: true
      /** The DID that stands for the first one now. */
      current: Did
      /** All of them, from the first to the current one. */
      path: readonly Did[]
    }
  | { ok: false; message: string }

/**
 * Follows rotations from the first key to the current one. Each has to be a RotationCredential that holds in every part
 * and that the old key, its issuer, and the new key, its subject, have both signed; each key has one successor, and all
 * rotations given belong to the chain, in whatever order they come.
 *
 * @throws Only the signal's reason when it aborts.
 */
export async function verifyRotation(
  rotations: readonly Credential[],
  options: VerifyRotationOptions
): Promise<RotationResult> {
  const { from, maxRotations = 16, ...verifyOptions } = options
  if (rotations.length > maxRotations) {
    return refuse(`${rotations.length} rotations are more than the ${maxRotations} allowed`)
  }
  const successors = new Map<Did, Did>()
  const budget = options.budget ?? createVerificationBudget(options.limits)
  for (const [i, rotation] of rotations.entries()) {
    const result = await verifyTwoSigners(rotation, 'RotationCredential', { ...verifyOptions, budget })
    if (!result.ok) return refuse(`Rotation ${i + 1} of ${rotations.length} does not hold. ${result.message}`)
    const { issuer, subject } = result.read
    // Two successors mean that the old key is in two hands; nobody can tell which one is right.
    if (successors.has(issuer)) return refuse(`${issuer} was rotated twice`)
    successors.set(issuer, subject)
  }
  const path: Did[] = [from]
  const seen = new Set<Did>(path)
  for (let next = successors.get(from); next !== undefined; next = successors.get(next)) {
    if (seen.has(next)) return refuse('The rotations go round in a circle')
    seen.add(next)
    path.push(next)
  }
  if (path.length - 1 !== rotations.length) return refuse(`Not all rotations belong to the chain of ${from}`)
  return { ok: true, current: path.at(-1) as Did, path }
}

function refuse(message: string): RotationResult {
  return { ok: false, message }
}
