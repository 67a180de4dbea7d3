import { KwaaiError, type KwaaiErrorOptions } from '@kwaai/interface'

/** Everything `@kwaai/node` throws by name; the README says what to do for each. */
export type NodeErrorCode =
  | 'ERR_NODE_MODEL_UNKNOWN'
  | 'ERR_NODE_MODEL_MISMATCH'
  | 'ERR_NODE_MODEL_NO_SOURCE'
  | 'ERR_NODE_DOWNLOAD_FAILED'
  | 'ERR_NODE_INVALID_OPTION'
  | 'ERR_NODE_ALREADY_RUNNING'
  | 'ERR_NODE_KEY_UNREADABLE'
  | 'ERR_NODE_NO_IDENTITY'
  | 'ERR_NODE_IDENTITY_EXISTS'
  | 'ERR_NODE_PASSPHRASE_NEEDED'
  | 'ERR_NODE_SECRET_NOT_SHOWN'
  | 'ERR_NODE_PHRASE_DIFFERS'
  | 'ERR_NODE_FOLDER_UNUSABLE'
  | 'ERR_NODE_API_KEY_UNKNOWN'
  | 'ERR_NODE_FILE_UNREADABLE'
  | 'ERR_NODE_CREDENTIAL_INVALID'
  | 'ERR_NODE_GRANT_UNKNOWN'
  | 'ERR_NODE_GRANT_INVALID'
  | 'ERR_NODE_CREDENTIAL_UNKNOWN'
  | 'ERR_NODE_ISSUER_REFUSED'
  | 'ERR_NODE_STORE_DAMAGED'
  | 'ERR_NODE_STORE_FULL'
  | 'ERR_NODE_OUT_OF_MEMORY'
  | 'ERR_NODE_NOT_RUNNING'
  | 'ERR_NODE_CHILD_FAILED'
  // A code of the contract: what every language model says when it cannot serve now.
  | 'ERR_MODEL_UNAVAILABLE'

/** A {@link KwaaiError} with one of this package's codes. */
export function nodeError(
  code: NodeErrorCode,
  message: string,
  options: KwaaiErrorOptions = {}
): KwaaiError<NodeErrorCode> {
  return new KwaaiError(code, message, options)
}

/** What the system says of a file or folder, with what to do about it. Other errors stay as they are. */
export function folderUnusable(doing: string, advice: string, cause: unknown): unknown {
  if (!(cause instanceof Error && 'syscall' in cause)) return cause
  return nodeError('ERR_NODE_FOLDER_UNUSABLE', `Cannot ${doing}: ${cause.message}. ${advice}`, { cause })
}
