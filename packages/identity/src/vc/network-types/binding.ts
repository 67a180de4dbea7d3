import type { Did } from '@kwaai/interface'
import type { Credential, VerifyOptions, VerifyResult } from '../types.ts'
import { verifyTwoSigners } from './two-signers.ts'

/** What came of a binding. */
export type BindingResult =
  | { ok: true; controller: Did; node: Did; role?: 'owner' | 'operator'; verification: VerifyResult }
  | { ok: false; message: string; verification: VerifyResult }

/**
 * Verifies who stands behind a node: a BindingCredential that holds in every part and that the controller, its issuer,
 * and the node, its subject, have both signed. With one signature alone anybody could claim a node, or a controller.
 *
 * @throws Only the signal's reason when it aborts.
 */
export async function verifyBinding(
  credential: Credential,
  options: VerifyOptions = {}
): Promise<BindingResult> {
  const result = await verifyTwoSigners(credential, 'BindingCredential', options)
  if (!result.ok) return result
  const { read, verification } = result
  const { bindingRole } = read.claims as { bindingRole?: 'owner' | 'operator' }
  return {
    ok: true,
    controller: read.issuer,
    node: read.subject,
    ...(bindingRole === undefined ? {} : { role: bindingRole }),
    verification
  }
}
