/**
 * Bitstring Status List 1.0: an issuer revokes or suspends what it has issued, and a verifier learns of it without
 * telling the issuer which credential it asks about.
 *
 * ```ts
 * import { createStatusList, readStatusList } from '@kwaai/identity/status'
 *
 * const list = createStatusList()
 * list.set(94_567, 1)
 * const read = await readStatusList(await list.encode())
 * console.log(read.length, read.get(94_567), read.get(94_568)) // 131072 1 0
 * ```
 *
 * @packageDocumentation
 */
export { createStatusList, readStatusList, type StatusList, type StatusListInit } from './status-list.ts'
export {
  DEFAULT_STATUS_TTL_MS,
  statusEntry,
  statusListCredential,
  type StatusListCredentialInit
} from './status-credential.ts'
export {
  createStatusRegistry,
  type StatusRegistry,
  type StatusRegistryComponents,
  type StatusRegistryInit
} from './status-registry.ts'
export {
  createStatusChecker,
  type StatusCheckerComponents,
  type StatusCheckerInit
} from './status-checker.ts'
export {
  decodeBitstring,
  DEFAULT_MAX_STATUS_LIST_BYTES,
  encodeBitstring,
  MIN_STATUS_ENTRIES
} from './bitstring.ts'
export { ERR_IDENTITY_STATUS_LIST_FULL, ERR_IDENTITY_STATUS_LIST_INVALID } from '../errors.ts'
