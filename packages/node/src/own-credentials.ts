import type { Identity } from '@kwaai/identity'
import {
  addProof,
  eddsaJcs2022,
  issue,
  networkCredential,
  verifyBinding,
  verifyRotation,
  type Credential,
  type RotationClaims
} from '@kwaai/identity/vc'
import type { Did } from '@kwaai/interface'

/** Why a key is given up. */
export type RotationReason = NonNullable<RotationClaims['rotationReason']>

async function signedByBoth(
  credential: Credential,
  issuer: Identity,
  subject: Identity,
  now: number
): Promise<Credential> {
  const issued = await issue(credential, issuer, { now })
  return (await addProof(issued, { signer: subject, suite: eddsaJcs2022, created: now })) as Credential
}

/** A credential that says who stands behind a node, signed by both. */
export async function bindNode(controller: Identity, node: Identity, now: number): Promise<Credential> {
  const binding = networkCredential({
    type: 'BindingCredential',
    issuer: controller.did,
    subject: node.did,
    claims: { boundTo: controller.did },
    validFrom: now
  })
  return signedByBoth(binding, controller, node, now)
}

/** A credential that says which key takes the place of which, signed by both. */
export async function rotateKey(
  old: Identity,
  next: Identity,
  now: number,
  reason?: RotationReason
): Promise<Credential> {
  const rotation = networkCredential({
    type: 'RotationCredential',
    issuer: old.did,
    subject: next.did,
    claims: { rotatedFrom: old.did, ...(reason === undefined ? {} : { rotationReason: reason }) },
    validFrom: now
  })
  return signedByBoth(rotation, old, next, now)
}

/** Whether a credential binds a node to its controller, in every part; no controller binds none. */
export async function binds(
  credential: Credential,
  controller: Did | undefined,
  node: Did,
  now: number
): Promise<boolean> {
  if (controller === undefined) return false
  const result = await verifyBinding(credential, { now })
  return result.ok && result.controller === controller && result.node === node
}

/** Whether a credential says that one key takes the place of another, in every part. */
export async function rotates(credential: Credential, from: Did, to: Did, now: number): Promise<boolean> {
  const result = await verifyRotation([credential], { from, now })
  return result.ok && result.current === to
}
