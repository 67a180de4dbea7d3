import type { Clock, Did, Random, Signer } from '@kwaai/interface'
import { systemClock, systemRandom } from '@kwaai/interface/memory'
import { seal } from '../envelope.ts'
import { ERR_IDENTITY_INVALID_GRANT, identityError } from '../errors.ts'
import { canonicalizeJson, type JsonObject } from '../json.ts'
import { decodeBundle, encodeBundle, toBase64Url } from './bundle.ts'
import { readInvocationClaims, type InvocationClaims } from './claims.ts'
import { coversCommand } from './command.ts'
import type { Grant } from './grant.ts'
import { INVOCATION_CONTEXT, MAX_GRANT_BYTES } from './limits.ts'

/** What an invocation is to say. */
export interface InvocationInit {
  /** The grant it rests on. Default: none, for what the signer itself owns. */
  grant?: Grant
  /** Who is to do it. */
  aud: Did
  cmd: string
  /** Default: none. */
  args?: JsonObject
  /** Seconds it may wait to be done. Default 60; whoever does it may allow less. */
  lifeS?: number
}

/** What invocations are made with. */
export interface InvocationComponents {
  /** Default: the system's. */
  clock?: Clock
  /** Where the nonce comes from. Default: the platform's cryptographic randomness. */
  random?: Random
}

const defaultLifeS = 60
const nonceBytes = 16

/**
 * Asks for one act, once.
 *
 * @returns the invocation with the grants it rests on, to be shown to its audience.
 * @throws A KwaaiError `ERR_IDENTITY_INVALID_GRANT` where what it is to say makes no invocation, or the grant is not
 * the signer's or does not cover the command.
 */
export async function createInvocation(
  signer: Signer,
  init: InvocationInit,
  components: InvocationComponents = {}
): Promise<Uint8Array> {
  const { grant, aud, cmd, args = {}, lifeS = defaultLifeS } = init
  const { clock = systemClock, random = systemRandom } = components
  if (grant !== undefined && grant.claims.aud !== signer.did) refuse('the grant was given to somebody else')
  if (grant !== undefined && !coversCommand(grant.claims.cmd, cmd)) refuse(`the grant does not cover ${cmd}`)
  const wanted: InvocationClaims = {
    iss: signer.did,
    aud,
    sub: grant?.claims.sub ?? signer.did,
    cmd,
    args,
    exp: Math.floor(clock.now() / 1000) + lifeS,
    nonce: toBase64Url(random.bytes(nonceBytes)),
    prf: grant === undefined ? [] : [grant.id]
  }
  const payload = new TextEncoder().encode(canonicalizeJson(wanted))
  const { fault } = readInvocationClaims(payload)
  if (fault !== undefined) refuse(fault)
  const envelope = await seal(signer, INVOCATION_CONTEXT, payload, { maxBytes: MAX_GRANT_BYTES })
  const grants = grant === undefined ? [] : (decodeBundle('grant', grant.bytes) ?? [])
  return encodeBundle('invocation', [...grants, envelope])
}

function refuse(why: string): never {
  throw identityError(ERR_IDENTITY_INVALID_GRANT, `Cannot make the invocation: ${why}`)
}
