import type { Identity } from '@kwaai/identity'
import { grantFromText, readGrant, type Grant } from '@kwaai/identity/grant'
import { systemClock } from '@kwaai/interface/memory'
import { nodeError } from '../errors.ts'
import type { GrantFolder } from '../grants/grant-folder.ts'
import { readInput } from './input.ts'
import type { OptionSpec, ParsedOptions } from './options.ts'
import type { Io } from './terminal.ts'

/** What a verb of `kwaai grant` works with. */
export interface GrantContext {
  options: ParsedOptions
  /** What follows the verb, if anything does. */
  argument: string | undefined
  io: Io
  folder: GrantFolder
  /** The node's key, or the controller's. */
  signer(name: 'identity' | 'controller'): Promise<Identity>
}

/** One verb of `kwaai grant`. */
export interface GrantVerb {
  /** Options it has besides the ones of all verbs. */
  options: Record<string, OptionSpec>
  /** Whether something follows it. */
  argument: 'none' | 'required'
  /** @returns the exit status. */
  run(context: GrantContext): Promise<number>
}

// An id has 43 characters; what is longer is a grant itself.
const maxIdLength = 43

/** The grant that a person means: by its id, as text, or `-` for text on standard input. */
export async function grantOf(named: string, { folder, io }: GrantContext): Promise<Grant> {
  if (named !== '-' && named.length <= maxIdLength) return folder.find(named, { signal: io.signal })
  const reading = await readGrant(await textOf(named, io))
  if (reading.ok) return reading.grant
  throw nodeError('ERR_NODE_GRANT_INVALID', `Cannot read the grant: ${reading.fault.message}`)
}

/** The text that a person gives, or standard input for `-`. */
export async function textOf(named: string, io: Io): Promise<string> {
  return named === '-' ? new TextDecoder().decode(await readInput(named, io)).trim() : named
}

/** Whether a text holds a revocation, by its first byte. */
export function looksLikeRevocation(text: string): boolean {
  return grantFromText(text)?.[0] === 3
}

/** What is told of a grant, besides what it says. */
export interface GrantState {
  id: string
  state: 'holds' | 'not yet' | 'over' | 'revoked'
  /** `given` by this folder's keys, or `received`. */
  origin: 'given' | 'received'
}

/** How a grant stands now, as far as is known here. */
export async function stateOf(grant: Grant, { folder, io }: GrantContext): Promise<GrantState> {
  const { id, chain, claims } = grant
  const now = systemClock.now() / 1000
  const revoked = await folder.revocations.find(
    chain.map((link) => link.id),
    { signal: io.signal }
  )
  const state =
    revoked !== undefined
      ? 'revoked'
      : chain.some((link) => link.claims.exp < now)
        ? 'over'
        : chain.some((link) => (link.claims.nbf ?? 0) > now)
          ? 'not yet'
          : 'holds'
  return { id, state, origin: folder.subjects.includes(claims.iss) ? 'given' : 'received' }
}
