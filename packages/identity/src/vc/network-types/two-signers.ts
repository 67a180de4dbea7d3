import type { Did } from '@kwaai/interface'
import type { Credential, VerifyOptions, VerifyResult } from '../types.ts'
import { verify } from '../verify.ts'
import { readNetworkCredential, type NetworkCredential } from './network-credential.ts'

/** What came of a credential that two have to sign. */
export type TwoSigners =
  | { ok: true; read: NetworkCredential; verification: VerifyResult }
  | { ok: false; message: string; verification: VerifyResult }

/** Verifies a credential of one type in every part, and that its issuer and its subject have both signed it. */
export async function verifyTwoSigners(
  credential: Credential,
  type: NetworkCredential['type'],
  options: VerifyOptions
): Promise<TwoSigners> {
  const verification = await verify(credential, options)
  const fail = (message: string): TwoSigners => ({ ok: false, message, verification })
  // Before the claims are looked at: what verify refuses may not even be an object.
  const failed = verification.checks.find((check) => check.required && !check.ok)
  if (!verification.ok || failed !== undefined) {
    return fail(
      `The check of the ${failed?.name ?? 'structure'} fails: ${failed?.message ?? 'it does not hold'}`
    )
  }
  const result = readNetworkCredential(credential)
  if (!result.ok) return fail(`The credential cannot be read: ${result.message}`)
  const read = result.credential
  if (read.type !== type) return fail(`The credential is a ${read.type}, and no ${type}`)
  const { proofs } = verification
  const signed = (did: Did): boolean => proofs.some(({ ok, controller }) => ok && controller === did)
  for (const did of [read.issuer, read.subject]) if (!signed(did)) return fail(`${did} has not signed`)
  return { ok: true, read, verification }
}
