import type { Did, Random, Signer } from '@kwaai/interface'
import { systemRandom } from '@kwaai/interface/memory'
import { seal } from '../envelope.ts'
import { ERR_IDENTITY_INVALID_GRANT, identityError } from '../errors.ts'
import { canonicalizeJson } from '../json.ts'
import { decodeBundle, encodeBundle, envelopeId, fromBase64Url, sentBytes, toBase64Url } from './bundle.ts'
import { readChain, type ChainFault, type ChainLink } from './chain.ts'
import { linkFault, readGrantClaims, type GrantClaims } from './claims.ts'
import { coversCommand } from './command.ts'
import { GRANT_CONTEXT, MAX_GRANT_BYTES, MAX_GRANT_CHAIN } from './limits.ts'
import type { Policy } from './policy.ts'

/** A grant with all it rests on. */
export interface Grant {
  /** The name of the grant itself: the SHA-256 of its envelope, base64url. */
  readonly id: string
  readonly claims: GrantClaims
  /** All of the chain from the subject's grant on; this one is the last. */
  readonly chain: readonly ChainLink[]
  /** What is kept and handed on. Not secret: only its audience can use it. */
  readonly bytes: Uint8Array
}

/** What a grant is to say. */
export interface GrantInit {
  /** Who is given it: a did:key of an Ed25519 key. */
  aud: Did
  /** The command, such as `/shard/open`. It covers all below it, and `/` everything. */
  cmd: string
  /** What the arguments have to satisfy. Default: anything goes. */
  policy?: Policy
  /** Seconds since 1970 until which it holds. */
  exp: number
  /** Seconds since 1970 from which on it holds. Default: from now on. */
  nbf?: number
}

/** What grants are made with. */
export interface GrantComponents {
  /** Where the nonce comes from. Default: the platform's cryptographic randomness. */
  random?: Random
}

const nonceBytes = 16

/**
 * Gives somebody a command over what the signer owns.
 *
 * @throws A KwaaiError `ERR_IDENTITY_INVALID_GRANT` where what it is to say makes no grant,
 * `ERR_IDENTITY_BAD_SIGNATURE` where the signer does not sign with the key it names.
 */
export async function createGrant(
  signer: Signer,
  init: GrantInit,
  components: GrantComponents = {}
): Promise<Grant> {
  return issue(signer, claimsOf(signer.did, signer.did, init, [], components), [], [])
}

/**
 * Hands on a part of a grant that the signer has: at most its command, for at most its time, and under its policies
 * and those added here.
 *
 * @throws A KwaaiError `ERR_IDENTITY_INVALID_GRANT` where it would be more than the grant gives, or the signer is not
 * its audience.
 */
export async function delegateGrant(
  signer: Signer,
  parent: Grant,
  init: Omit<GrantInit, 'exp'> & {
    /** Default: as long as the grant above. */
    exp?: number
  },
  components: GrantComponents = {}
): Promise<Grant> {
  const { claims: above } = parent
  if (signer.did !== above.aud) refuse('hand on the grant', 'it was given to somebody else')
  if (!coversCommand(above.cmd, init.cmd)) refuse('hand on the grant', `it does not cover ${init.cmd}`)
  const exp = init.exp ?? above.exp
  if (exp > above.exp) refuse('hand on the grant', 'it would outlive the one it is cut from')
  if (parent.chain.length >= MAX_GRANT_CHAIN) {
    refuse('hand on the grant', `a chain has at most ${MAX_GRANT_CHAIN} grants`)
  }
  const claims = claimsOf(signer.did, above.sub, { ...init, exp }, [parent.id], components)
  const fault = linkFault(claims, above, parent.id)
  if (fault !== undefined) refuse('hand on the grant', fault)
  return issue(signer, claims, parent.chain, decodeBundle('grant', parent.bytes) ?? [])
}

function claimsOf(
  iss: Did,
  sub: Did,
  init: GrantInit,
  prf: readonly string[],
  { random = systemRandom }: GrantComponents
): GrantClaims {
  const { aud, cmd, policy = [], exp, nbf } = init
  const nonce = toBase64Url(random.bytes(nonceBytes))
  return { iss, aud, sub, cmd, policy, exp, ...(nbf === undefined ? {} : { nbf }), nonce, prf }
}

async function issue(
  signer: Signer,
  wanted: GrantClaims,
  above: readonly ChainLink[],
  envelopes: readonly Uint8Array[]
): Promise<Grant> {
  const payload = new TextEncoder().encode(canonicalizeJson(wanted))
  // Read back: what is made here is what everybody accepts.
  const { claims, fault } = readGrantClaims(payload)
  if (fault !== undefined) refuse('make the grant', fault)
  const envelope = await seal(signer, GRANT_CONTEXT, payload, { maxBytes: MAX_GRANT_BYTES })
  const id = envelopeId(envelope)
  return {
    id,
    claims,
    chain: [...above, { id, claims }],
    bytes: encodeBundle('grant', [...envelopes, envelope])
  }
}

function refuse(what: string, why: string): never {
  throw identityError(ERR_IDENTITY_INVALID_GRANT, `Cannot ${what}: ${why}`)
}

/** What came of reading a grant: the grant, or what is wrong with it. */
export type GrantReading = { ok: true; grant: Grant } | { ok: false; fault: ChainFault }

/**
 * Reads a grant that somebody sent, as bytes or text: its form, its signatures and its chain. Whether it holds now, and
 * for whom, is the question of `verifyInvocation`.
 */
export async function readGrant(source: Uint8Array | string): Promise<GrantReading> {
  const bytes = sentBytes(source)
  const envelopes = bytes === undefined ? undefined : decodeBundle('grant', bytes)
  if (bytes === undefined || envelopes === undefined) {
    return { ok: false, fault: { kind: 'structure', message: 'it is no grant' } }
  }
  const { links, fault } = await readChain(envelopes)
  if (fault !== undefined) return { ok: false, fault }
  const { id, claims } = links.at(-1) as ChainLink
  return { ok: true, grant: { id, claims, chain: links, bytes } }
}

/** A grant or an invocation as text for files, headers and people: base64url. */
export function grantToText(grant: Grant | Uint8Array): string {
  return toBase64Url(grant instanceof Uint8Array ? grant : grant.bytes)
}

/** The bytes of a text that {@link grantToText} made; `undefined` where it is none. */
export function grantFromText(text: string): Uint8Array | undefined {
  return fromBase64Url(text.trim())
}
