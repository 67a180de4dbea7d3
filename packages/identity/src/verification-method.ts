import type { CallOptions, Did } from '@kwaai/interface'
import { VERIFY_CACHE_KEYS } from './constants.ts'
import { parseDateTime } from './date-time.ts'
import type {
  DidDocument,
  DidResolver,
  VerificationMethod,
  VerificationRelationship
} from './did-document.ts'
import { decodeMultikey, decodePublicJwk, type PublicKey } from './multikey.ts'
import { shown } from './shown.ts'

/** Why a verification method is of no use. */
export type MethodFault =
  /** The id is no DID URL with a fragment, or the document could not be had or is not its DID's. */
  | 'METHOD_UNRESOLVED'
  /** The document has no such method for this relationship, or another DID controls it. */
  | 'METHOD_NOT_ALLOWED'
  | 'METHOD_EXPIRED'
  | 'METHOD_REVOKED'
  /** Its key is of another kind, malformed, not canonical or of small order. */
  | 'METHOD_UNUSABLE'

/** The key of a verification method, or why there is none. */
export type MethodOutcome =
  | { ok: true; key: PublicKey; controller: Did; method: VerificationMethod }
  | { ok: false; code: MethodFault; message: string }

/** What finding a key needs. */
export interface ResolveMethodOptions extends CallOptions {
  /** Not asked for did:key, whose key is in its name. */
  resolver: DidResolver
  /** Milliseconds since 1970; at that time the key must not have expired or been revoked. */
  now: number
}

// DID URLs longer than this are not looked at; own choice, did:web with a long path has some hundred.
const maxIdLength = 2048

/**
 * The verification method of that id which a document allows for the relationship, or `undefined`. The document may
 * embed it or refer to it, by the whole DID URL or by the fragment alone (`#key-1`).
 */
export function findVerificationMethod(
  document: DidDocument,
  id: string,
  relationship: VerificationRelationship
): VerificationMethod | undefined {
  const absolute = (text: unknown): unknown =>
    typeof text === 'string' && text.startsWith('#') ? `${document.id}${text}` : text
  const wanted = absolute(id)
  for (const entry of listOf(document[relationship])) {
    if (typeof entry === 'object' && entry !== null && absolute(entry.id) === wanted) return entry
    if (absolute(entry) !== wanted) continue
    return listOf(document.verificationMethod).find((method) => absolute(method?.id) === wanted)
  }
  return undefined
}

// Documents come from others: what has to be an array may be none.
function listOf<T>(value: readonly T[] | undefined): readonly T[] {
  return Array.isArray(value) ? value : []
}

/**
 * The key of a verification method, or why it cannot be used at that time. Read are `publicKeyMultibase` of Multikey
 * and Ed25519VerificationKey2020, and `publicKeyJwk` of JsonWebKey and JsonWebKey2020.
 */
export function publicKeyOfMethod(method: VerificationMethod, now: number): MethodOutcome {
  for (const [name, code] of [
    ['revoked', 'METHOD_REVOKED'],
    ['expires', 'METHOD_EXPIRED']
  ] as const) {
    if (method[name] === undefined) continue
    const time = parseDateTime(method[name])
    // A time that cannot be read, or no number as the present, is a doubt, and the answer to a doubt is no.
    if (time === undefined || !(now < time)) return fault(code, `its "${name}" is ${shown(method[name])}`)
  }
  const { type, publicKeyMultibase, publicKeyJwk } = method
  let key: PublicKey | undefined
  if (publicKeyMultibase !== undefined && publicKeyJwk !== undefined) key = undefined
  else if (type === 'Multikey') key = decodeMultikey(publicKeyMultibase)
  else if (type === 'Ed25519VerificationKey2020') key = ed25519Only(decodeMultikey(publicKeyMultibase))
  else if ((type === 'JsonWebKey' || type === 'JsonWebKey2020') && isObject(publicKeyJwk))
    key = decodePublicJwk(publicKeyJwk)
  if (key === undefined) return fault('METHOD_UNUSABLE', `there is no usable key of the type ${shown(type)}`)
  return { ok: true, key, controller: method.controller, method }
}

function ed25519Only(key: PublicKey | undefined): PublicKey | undefined {
  return key?.type === 'Ed25519' ? key : undefined
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/**
 * The key behind the id of a verification method, held to everything: the document is that of the DID in the id, the
 * DID controls the method, the relationship allows it, and it is neither expired nor revoked (Controlled Identifiers
 * 1.0, section 3.3). For a did:key no document is built and nobody is asked. Rejects only when the signal aborts.
 */
export async function resolveVerificationMethod(
  id: string,
  relationship: VerificationRelationship,
  options: ResolveMethodOptions
): Promise<MethodOutcome> {
  options.signal?.throwIfAborted()
  const hash = typeof id === 'string' && id.length <= maxIdLength ? id.indexOf('#') : -1
  if (hash <= 0 || !id.startsWith('did:'))
    return fault('METHOD_UNRESOLVED', `${shown(id)} is no DID URL of a key`)
  if (id.startsWith('did:key:')) return didKeyMethod(id, hash, relationship)
  const did = id.slice(0, hash)
  let document: DidDocument | null
  let why: string | undefined
  try {
    const { didDocument, didDocumentMetadata, didResolutionMetadata } = await options.resolver.resolve(
      did,
      options.signal === undefined ? {} : { signal: options.signal }
    )
    document = didDocumentMetadata?.deactivated === true ? null : didDocument
    why = didDocumentMetadata?.deactivated === true ? 'it is deactivated' : didResolutionMetadata?.error
  } catch (error) {
    options.signal?.throwIfAborted()
    document = null
    why = error instanceof Error ? error.message : undefined
  }
  if (document === null || document === undefined)
    return fault(
      'METHOD_UNRESOLVED',
      `${shown(did)} has no document${why === undefined ? '' : ` (${shown(why)})`}`
    )
  if (document.id !== did)
    return fault('METHOD_UNRESOLVED', `the document found is not that of ${shown(did)}`)
  const method = findVerificationMethod(document, id, relationship)
  if (method === undefined)
    return fault('METHOD_NOT_ALLOWED', `${shown(did)} does not name ${shown(id)} for ${relationship}`)
  if (method.controller !== did)
    return fault('METHOD_NOT_ALLOWED', `${shown(id)} is controlled by another than ${shown(did)}`)
  return publicKeyOfMethod(method, options.now)
}

// The keys of did:keys read before: decoding one takes a tenth of a verification.
const keysRead = new Map<string, PublicKey>()

function readMultikey(multibase: string): PublicKey | undefined {
  const known = keysRead.get(multibase)
  if (known !== undefined) return { type: known.type, bytes: known.bytes.slice() }
  const key = decodeMultikey(multibase)
  if (key === undefined) return undefined
  // Emptied and not thinned out: whoever fills it with keys that are seen once gains nothing but that.
  if (keysRead.size >= VERIFY_CACHE_KEYS) keysRead.clear()
  keysRead.set(multibase, { type: key.type, bytes: key.bytes.slice() })
  return key
}

/** The method of a did:key, whose id is the DID and its multibase again. */
function didKeyMethod(id: string, hash: number, relationship: VerificationRelationship): MethodOutcome {
  const did = id.slice(0, hash)
  const multibase = did.slice('did:key:'.length)
  const key = readMultikey(multibase)
  if (key === undefined) return fault('METHOD_UNRESOLVED', `${shown(did)} is not the did:key of a usable key`)
  if (id.slice(hash + 1) !== multibase || (relationship === 'keyAgreement' && key.type !== 'P-256'))
    return fault('METHOD_NOT_ALLOWED', `${shown(did)} does not name ${shown(id)} for ${relationship}`)
  const method = { id, type: 'Multikey', controller: did, publicKeyMultibase: multibase }
  return { ok: true, key, controller: did, method }
}

function fault(code: MethodFault, why: string): MethodOutcome {
  return { ok: false, code, message: `Cannot use the verification method: ${why}` }
}
