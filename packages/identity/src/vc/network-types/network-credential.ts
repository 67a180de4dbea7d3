import type { Did } from '@kwaai/interface'
import { KWAAI_CONTEXT } from '../../contexts/kwaai-v2.ts'
import { peerIdFromDid } from '../../did.ts'
import { ERR_IDENTITY_NETWORK_CREDENTIAL_INVALID, identityError } from '../../errors.ts'
import type { Credential, StatusEntry } from '../types.ts'
import type { NetworkClaims, NetworkType } from './claims.ts'
import { did, dateTime, schemaFault } from './fields.ts'
import { longestPeriods, networkSchemas } from './schemas.ts'

const credentialsContext = 'https://www.w3.org/ns/credentials/v2'

/** What {@link networkCredential} makes a credential of. */
export interface NetworkCredentialInit<T extends NetworkType> {
  type: T
  issuer: Did
  subject: Did
  claims: NetworkClaims[T]
  /** Milliseconds since 1970. */
  validFrom: number
  /** Default: 90 days for an endorsement, 730 for who was at an event, no end for the rest. */
  validUntil?: number
  /** A URL, such as `urn:uuid:…`. */
  id?: string
  /** The entries of the issuer's status lists. */
  status?: readonly StatusEntry[]
}

/** A credential of one of the network's types, read. */
export type NetworkCredential = {
  [T in NetworkType]: {
    type: T
    issuer: Did
    subject: Did
    claims: NetworkClaims[T]
    /** Milliseconds since 1970. */
    validFrom?: number
    validUntil?: number
  }
}[NetworkType]

/** What came of reading a credential. */
export type ReadNetworkCredential =
  | { ok: true; credential: NetworkCredential }
  | { ok: false; message: string }

/**
 * Makes a credential of one of the network's types, without a proof.
 *
 * @throws A KwaaiError `ERR_IDENTITY_NETWORK_CREDENTIAL_INVALID` that names the claim that is not as it must be.
 */
export function networkCredential<T extends NetworkType>(init: NetworkCredentialInit<T>): Credential {
  const { type, issuer, subject, claims, validFrom, id, status } = init
  const longest = longestPeriods[type]
  const validUntil = init.validUntil ?? (longest === undefined ? undefined : validFrom + longest)
  const credential: Credential = {
    '@context': [credentialsContext, KWAAI_CONTEXT],
    ...(id === undefined ? {} : { id }),
    type: ['VerifiableCredential', type],
    issuer,
    validFrom: isoTime(validFrom),
    ...(validUntil === undefined ? {} : { validUntil: isoTime(validUntil) }),
    credentialSubject: { id: subject, ...defined(claims) },
    ...(status === undefined || status.length === 0 ? {} : { credentialStatus: oneOrAll(status) })
  }
  const read = readNetworkCredential(credential)
  if (read.ok) return credential
  throw identityError(
    ERR_IDENTITY_NETWORK_CREDENTIAL_INVALID,
    `Cannot make the ${String(type).slice(0, 60)}: ${read.message}`
  )
}

/**
 * Reads a credential of one of the network's types and holds its claims to the schema. Whether it is genuine is for
 * `verify` to say.
 */
export function readNetworkCredential(credential: Credential): ReadNetworkCredential {
  if (typeof credential !== 'object' || credential === null) return refuse('it is no object')
  const { '@context': contexts, issuer, validFrom, validUntil, credentialSubject: subject } = credential
  const type = typeOf(credential.type)
  if (type === undefined) return refuse('its type is none of the network')
  // These alone: behind the contexts that a proof over JCS repeats anybody may put another.
  const known = [credentialsContext, KWAAI_CONTEXT]
  if (!Array.isArray(contexts) || contexts.length !== 2 || !known.every((url, i) => url === contexts[i])) {
    return refuse(`its contexts are not ${credentialsContext} and ${KWAAI_CONTEXT}`)
  }
  const issuerId: unknown = typeof issuer === 'string' ? issuer : issuer?.id
  if (did(issuerId) !== undefined) return refuse('its issuer is no DID')
  if (typeof subject !== 'object' || subject === null || Array.isArray(subject))
    return refuse('it has not one subject')
  const { id, ...claims } = subject as Record<string, unknown>
  if (did(id) !== undefined) return refuse('its subject is no DID')
  const fault = schemaFault(networkSchemas[type], claims)
  if (fault !== undefined) return refuse(fault)
  for (const [name, value] of Object.entries({ validFrom, validUntil })) {
    const wrong = value === undefined ? undefined : dateTime(value)
    if (wrong !== undefined) return refuse(`"${name}" ${wrong}`)
  }
  const parties = partyFault(type, issuerId as Did, id as Did, claims)
  if (parties !== undefined) return refuse(parties)
  const [from, until] = [validFrom, validUntil].map((at) => (at === undefined ? undefined : Date.parse(at)))
  const longest = longestPeriods[type]
  if (longest !== undefined && !(from !== undefined && until !== undefined && until - from <= longest)) {
    return refuse(`it is not valid for at most ${longest / 86_400_000} days`)
  }
  // The claims have passed the validator of their type, which the compiler cannot know.
  const read: unknown = {
    type,
    issuer: issuerId,
    subject: id,
    claims,
    ...(from === undefined ? {} : { validFrom: from }),
    ...(until === undefined ? {} : { validUntil: until })
  }
  return { ok: true, credential: read as NetworkCredential }
}

function typeOf(types: unknown): NetworkType | undefined {
  if (!Array.isArray(types) || types.length !== 2 || !types.includes('VerifiableCredential')) return undefined
  const other: unknown = types.find((one) => one !== 'VerifiableCredential')
  const type = other === 'SummitAttendeeCredential' ? 'EventAttendeeCredential' : other
  return typeof type === 'string' && Object.hasOwn(networkSchemas, type) ? (type as NetworkType) : undefined
}

/** What is wrong between issuer, subject and claims. */
function partyFault(
  type: NetworkType,
  issuer: Did,
  subject: Did,
  claims: Readonly<Record<string, unknown>>
): string | undefined {
  if (type === 'BindingCredential' || type === 'RotationCredential') {
    const name = type === 'BindingCredential' ? 'boundTo' : 'rotatedFrom'
    if (claims[name] !== issuer) return `"${name}" is not the issuer`
    if (subject === issuer) return 'its issuer and its subject are one'
  }
  if (type === 'PeerEndorsementCredential' && subject === issuer) return 'nobody endorses itself'
  if (type === 'VerifiedNodeCredential' && peerIdOf(subject) !== claims['peerId']) {
    return '"peerId" is not that of the subject'
  }
  return undefined
}

function peerIdOf(subject: Did): string | undefined {
  try {
    return peerIdFromDid(subject)
  } catch {
    return undefined
  }
}

function refuse(message: string): ReadNetworkCredential {
  return { ok: false, message }
}

function defined(claims: object): Record<string, unknown> {
  return Object.fromEntries(Object.entries(claims).filter(([, value]) => value !== undefined))
}

function oneOrAll<T>(all: readonly T[]): T | readonly T[] {
  return all.length === 1 ? (all[0] as T) : all
}

function isoTime(ms: number): string {
  return Number.isFinite(ms) && Math.abs(ms) < 8e15
    ? new Date(ms).toISOString().replace(/\.\d{3}Z$/, 'Z')
    : String(ms)
}
