import type { LogPolicy, NoteKey } from '@kwaai/audit'
import { openAudit, type NodeAudit } from '../audit.ts'
import { nodeError } from '../errors.ts'
import { loadIdentity } from '../node-key.ts'
import { keyOptionsOf } from './identity-verb.ts'
import type { OptionSpec, ParsedOptions } from './options.ts'
import type { Io } from './terminal.ts'

/** What a verb of `kwaai audit` is given. */
export interface AuditContext {
  dataDir: string
  options: ParsedOptions
  /** What follows the verb. */
  args: readonly string[]
  io: Io
}

/** One verb of `kwaai audit`. */
export interface AuditVerb {
  /** Options it has besides the ones of all verbs. */
  options: Record<string, OptionSpec>
  maxArgs: number
  /** @returns the exit status. */
  run(context: AuditContext): Promise<number>
}

/** Opens the node's log with the node's key, so that it can sign. */
export async function openSigned({ dataDir, options, io }: AuditContext): Promise<NodeAudit> {
  return openAudit(dataDir, { signer: await loadIdentity(dataDir, await keyOptionsOf(options, io)) })
}

/** A log by the key it signs with. */
export function policyOf(key: NoteKey): LogPolicy {
  return { origin: key.name, key }
}

/** An error of the command line, with where to look. */
export function misuse(why: string): Error {
  return nodeError('ERR_NODE_INVALID_OPTION', `${why}. "kwaai audit --help" shows the usage`)
}
