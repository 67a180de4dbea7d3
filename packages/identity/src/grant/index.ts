/**
 * Grants: who lets whom do what, under which policy, until when, with the meaning of UCAN 1.0. A grant leads from the
 * owner of a resource to whoever was given it, and each link of the chain can only narrow what the one above gives. To
 * use one, its holder signs an invocation, which is done once. Grants can be revoked.
 *
 * ```ts
 * import { createMemoryStore, systemClock } from '@kwaai/interface/memory'
 * import { createIdentity } from '@kwaai/identity'
 * import { createGrant, createInvocation, createReplayGuard, verifyInvocation } from '@kwaai/identity/grant'
 *
 * const node = createIdentity()
 * const alice = createIdentity()
 * const exp = Math.floor(systemClock.now() / 1000) + 86_400
 * const policy = [['<=', '.maxTokens', 4096]] as const
 * const grant = await createGrant(node, { aud: alice.did, cmd: '/shard', policy, exp })
 *
 * const shown = await createInvocation(alice, { grant, aud: node.did, cmd: '/shard/open', args: { maxTokens: 512 } })
 * const replays = createReplayGuard({}, { store: createMemoryStore(), clock: systemClock })
 * const held = { executor: node.did, now: systemClock.now(), revocations: 'unchecked', replays } as const
 * console.log((await verifyInvocation(shown, held)).ok) // true
 * console.log((await verifyInvocation(shown, held)).ok) // false: it was used before
 * ```
 *
 * @packageDocumentation
 */
export {
  createGrant,
  delegateGrant,
  grantFromText,
  grantToText,
  readGrant,
  type Grant,
  type GrantComponents,
  type GrantInit,
  type GrantReading
} from './grant.ts'
export type { GrantClaims, InvocationClaims } from './claims.ts'
export type { ChainFault, ChainLink } from './chain.ts'
export { coversCommand, isCommand } from './command.ts'
export { policyFault, satisfiesPolicy, type Policy, type PolicyStatement } from './policy.ts'
export { createInvocation, type InvocationComponents, type InvocationInit } from './invocation.ts'
export {
  verifyInvocation,
  type GrantCheck,
  type GrantCheckName,
  type GrantFault,
  type InvocationResult,
  type VerifyInvocationOptions
} from './verify-invocation.ts'
export { createReplayGuard, type ReplayGuard, type ReplayGuardInit } from './replay-guard.ts'
export {
  createRevocation,
  createRevocations,
  type RevocationOutcome,
  type Revocations,
  type RevocationsInit,
  type RevokedGrant
} from './revocation.ts'
export {
  createGrantAuthorizer,
  createGrantCapabilities,
  type GrantAuthorizerComponents,
  type GrantAuthorizerInit,
  type GrantCapabilitiesInit
} from './authorizer.ts'
export {
  DEFAULT_MAX_INVOCATION_S,
  DEFAULT_MAX_REMEMBERED,
  GRANT_CONTEXT,
  INVOCATION_CONTEXT,
  MAX_GRANT_BYTES,
  MAX_GRANT_CHAIN,
  MAX_POLICY_DEPTH,
  MAX_POLICY_STATEMENTS,
  REVOCATION_CONTEXT
} from './limits.ts'
export { ERR_IDENTITY_INVALID_GRANT, ERR_UNAUTHORIZED } from '../errors.ts'
