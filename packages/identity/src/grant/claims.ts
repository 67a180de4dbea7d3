import type { Did } from '@kwaai/interface'
import { publicKeyFromDid } from '../did.ts'
import { parseJson, type JsonObject, type JsonValue } from '../json.ts'
import { coversCommand, isCommand } from './command.ts'
import { MAX_GRANT_BYTES, MAX_JSON_DEPTH, MAX_TIME_S } from './limits.ts'
import { policyFault, type Policy } from './policy.ts'

/** What a grant says: its issuer lets its audience do a command to what the subject owns. */
export interface GrantClaims {
  /** Who gives, and signs. */
  iss: Did
  /** Who is given it. */
  aud: Did
  /** Whose the resource is: the issuer of the first grant of the chain. */
  sub: Did
  /** The command, such as `/shard/open`; it covers all below it. */
  cmd: string
  /** What the arguments of an invocation have to satisfy. */
  policy: Policy
  /** Seconds since 1970 until which it holds, that second included. */
  exp: number
  /** Seconds since 1970 from which on it holds. */
  nbf?: number
  /** At least 12 random bytes, base64url. */
  nonce: string
  /** The id of the grant it was cut from; empty for a subject's own. */
  prf: readonly string[]
}

/** What an invocation says: its issuer asks its audience to do a command with these arguments. */
export interface InvocationClaims {
  /** Who asks, and signs. */
  iss: Did
  /** Who is to do it. */
  aud: Did
  /** Whose the resource is. */
  sub: Did
  cmd: string
  args: JsonObject
  /** Seconds since 1970 until which it may be done. */
  exp: number
  /** At least 12 random bytes, base64url: it is done once. */
  nonce: string
  /** The id of the grant it rests on; empty where the subject itself asks. */
  prf: readonly string[]
}

/** What a revocation says: a grant, and all that was cut from it, holds no more. */
export interface RevocationClaims {
  /** Who revokes, and signs: the issuer of the grant or of one above it. */
  iss: Did
  /** The id of the grant. */
  revoke: string
}

/** A reading: the claims, or why there are none in a few words. */
export type Reading<T> = { claims: T; fault?: never } | { claims?: never; fault: string }

const grantNames = ['iss', 'aud', 'sub', 'cmd', 'policy', 'exp', 'nbf', 'nonce', 'prf']
const invocationNames = ['iss', 'aud', 'sub', 'cmd', 'args', 'exp', 'nonce', 'prf']

/** Reads the payload of a grant. */
export function readGrantClaims(payload: Uint8Array): Reading<GrantClaims> {
  return read(payload, grantNames, (claims) => {
    const fault = commonFault(claims) ?? policyFault(claims['policy'])
    if (fault !== undefined) return fault
    if ('nbf' in claims && !isTime(claims['nbf']))
      return '"nbf" is no whole number of seconds since 1970 (not milliseconds)'
    return undefined
  })
}

/** Reads the payload of an invocation. */
export function readInvocationClaims(payload: Uint8Array): Reading<InvocationClaims> {
  return read(payload, invocationNames, (claims) => {
    const args = claims['args']
    const isObject = typeof args === 'object' && args !== null && !Array.isArray(args)
    return commonFault(claims) ?? (isObject ? undefined : '"args" is no object')
  })
}

/** Reads the payload of a revocation. */
export function readRevocationClaims(payload: Uint8Array): Reading<RevocationClaims> {
  return read(payload, ['iss', 'revoke'], (claims) => {
    if (!isDid(claims['iss'])) return '"iss" is not the did:key of an Ed25519 key'
    return isGrantId(claims['revoke']) ? undefined : '"revoke" is no id of a grant'
  })
}

function read<T>(
  payload: Uint8Array,
  names: readonly string[],
  fault: (claims: JsonObject) => string | undefined
): Reading<T> {
  let claims: JsonValue
  try {
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(payload)
    claims = parseJson(text, { maxLength: MAX_GRANT_BYTES, maxDepth: MAX_JSON_DEPTH })
  } catch {
    return { fault: 'its payload is not JSON with one meaning' }
  }
  if (typeof claims !== 'object' || claims === null || Array.isArray(claims)) {
    return { fault: 'its payload is no object' }
  }
  const object = claims as JsonObject
  const unknown = Object.keys(object).find((name) => !names.includes(name))
  if (unknown !== undefined) return { fault: 'its payload has a name that is not known' }
  const why = fault(object)
  return why === undefined ? { claims: object as JsonObject & T } : { fault: why }
}

function commonFault(claims: JsonObject): string | undefined {
  for (const name of ['iss', 'aud', 'sub']) {
    if (!isDid(claims[name])) return `"${name}" is not the did:key of an Ed25519 key`
  }
  if (!isCommand(claims['cmd'])) return '"cmd" is no command such as /shard/open'
  if (!isTime(claims['exp'])) return '"exp" is no whole number of seconds since 1970 (not milliseconds)'
  if (!isNonce(claims['nonce'])) return '"nonce" is not 12 to 48 bytes in base64url'
  const prf = claims['prf']
  if (!Array.isArray(prf) || prf.length > 1 || !prf.every(isGrantId)) {
    return '"prf" is not a list of no or one id of a grant'
  }
  // Whoever owns the resource rests on nothing, everybody else on something.
  if ((claims['iss'] === claims['sub']) !== (prf.length === 0)) {
    return '"prf" is empty where the issuer is the subject, and only there'
  }
  return undefined
}

function isTime(value: unknown): boolean {
  return Number.isSafeInteger(value) && (value as number) >= 0 && (value as number) <= MAX_TIME_S
}

function isNonce(value: unknown): boolean {
  return typeof value === 'string' && /^[\w-]{16,64}$/.test(value)
}

/** Whether a text has the form of a grant's id: the SHA-256 of its envelope, base64url. */
export function isGrantId(value: unknown): value is string {
  return typeof value === 'string' && /^[\w-]{42}[AEIMQUYcgkosw048]$/.test(value)
}

function isDid(value: unknown): boolean {
  try {
    publicKeyFromDid(value as Did)
    return typeof value === 'string'
  } catch {
    return false
  }
}

/** Why a grant cannot rest on another, in a few words, or `undefined` where it can. */
export function linkFault(child: GrantClaims, parent: GrantClaims, parentId: string): string | undefined {
  if (child.prf[0] !== parentId) return 'a grant was cut from another one'
  if (child.iss !== parent.aud) return 'a grant is issued by somebody else than the audience of the one above'
  if (child.sub !== parent.sub) return 'a grant is about another subject than the one above'
  if (!coversCommand(parent.cmd, child.cmd)) return 'a grant covers more commands than the one above'
  return undefined
}
