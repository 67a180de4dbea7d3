import { sha256 } from '@noble/hashes/sha2.js'
import type { Clock, Did, IdentityLevel, Random, Signer } from '@kwaai/interface'
import { systemClock, systemRandom } from '@kwaai/interface/memory'
import { open, seal } from '../envelope.ts'
import { canonicalizeJson, parseJson, type JsonObject } from '../json.ts'
import { encodeBase64Url } from '../multikey.ts'
import { LINK_CONTEXT } from './limits.ts'
import { base64UrlBytes } from './text.ts'

const maxBytes = 2048
const nonceBytes = 16
/** Seconds for which a statement counts, and by which the clock that made it may be ahead; own choice. */
export const STATEMENT_MAX_AGE_S = 600

/** What statements are made with. */
export interface LinkStatementComponents {
  /** Default: the system's. */
  clock?: Clock
  /** Where the nonce comes from. Default: the platform's cryptographic randomness. */
  random?: Random
}

/**
 * What an account's own key signs to be linked at a level: nobody who came in otherwise can do it.
 *
 * @param audience - who keeps the accounts: a domain, or a DID.
 * @returns the statement as text.
 */
export function createLinkStatement(
  account: Signer,
  audience: string,
  level: IdentityLevel,
  components: LinkStatementComponents = {}
): Promise<string> {
  return createStatement(account, { audience, level }, components)
}

/**
 * What an account's own key signs to have a link removed.
 *
 * @param link - what the account's record has of it.
 * @returns the statement as text.
 */
export function createUnlinkStatement(
  account: Signer,
  audience: string,
  link: { level: IdentityLevel; name: string },
  components: LinkStatementComponents = {}
): Promise<string> {
  return createStatement(account, { audience, level: link.level, unlink: link.name }, components)
}

async function createStatement(
  account: Signer,
  facts: JsonObject,
  { clock = systemClock, random = systemRandom }: LinkStatementComponents
): Promise<string> {
  const at = Math.floor(clock.now() / 1000)
  const said = { ...facts, account: account.did, at, nonce: encodeBase64Url(random.bytes(nonceBytes)) }
  const payload = new TextEncoder().encode(canonicalizeJson(said))
  return encodeBase64Url(await seal(account, LINK_CONTEXT, payload, { maxBytes }))
}

/** The hash of a statement, 32 bytes, where it is the account's, for just this, and of these minutes. */
export async function statementHash(
  statement: unknown,
  expected: { account: Did; audience: string; level: IdentityLevel; unlink?: string; now: number }
): Promise<Uint8Array | undefined> {
  const bytes = base64UrlBytes(statement, maxBytes)
  if (bytes === undefined) return undefined
  try {
    const { payload, signer } = await open(bytes, { context: LINK_CONTEXT, maxBytes })
    const said = parseJson(new TextDecoder('utf-8', { fatal: true }).decode(payload)) as JsonObject
    const { account, audience, level, unlink, now } = expected
    const holds =
      signer === account &&
      said['account'] === account &&
      said['audience'] === audience &&
      said['level'] === level &&
      said['unlink'] === unlink &&
      typeof said['at'] === 'number' &&
      Math.abs(now / 1000 - said['at']) <= STATEMENT_MAX_AGE_S
    return holds ? sha256(bytes) : undefined
  } catch {
    return undefined
  }
}
