import type { Did } from '@kwaai/interface'
import { base64url } from 'multiformats/bases/base64'
import { SIGNATURE_BYTES } from '../../constants.ts'
import { didFromPublicKey, publicKeyFromPeerId } from '../../did.ts'
import { verifyEd25519 } from '../../ed25519.ts'
import type { JsonObject, JsonValue } from '../../json.ts'
import type { Check, CheckFault, Credential } from '../types.ts'
import { dateTime } from './fields.ts'
import { legacyFields, parseKeepingNumbers, signedTexts, withNumbers } from './kwaai-legacy-text.ts'

/** Types of the existing network's credentials (kwaai-trust, credential.rs, and its documents). */
const legacyTypes: ReadonlySet<unknown> = new Set([
  'SummitAttendeeVC',
  'EventAttendeeVC',
  'FiduciaryPledgeVC',
  'VerifiedNodeVC',
  'UptimeVC',
  'ThroughputVC',
  'PeerEndorsementVC',
  'BindingVC',
  'MemberVC'
])
const contexts = ['https://www.w3.org/2018/credentials/v1', 'https://kwaai.ai/credentials/v1']

/** Longest text that is read, in characters. */
const maxLength = 65_536

/** What a legacy credential is held to. */
export interface VerifyKwaaiLegacyOptions {
  /** Milliseconds since 1970. */
  now: number
  /** How far clocks may differ. Default 300,000 ms. */
  maxClockSkewMs?: number
}

/** What came of a legacy credential. */
export interface KwaaiLegacyResult {
  /** All checks hold. */
  ok: boolean
  /**
   * Always `legacy`: the signature covers no proof options, so nobody signed when and for what it was made; nothing can
   * be revoked; and the proof calls itself Ed25519Signature2020, which it is not.
   */
  assurance: 'legacy'
  /** Structure, proof, controller and period, in this order. */
  checks: readonly Check[]
  /** The type, such as `SummitAttendeeVC`, where the structure holds. */
  type?: string
  /** The did:key of the peers that issued it and that it is about. */
  issuer?: Did
  subject?: Did
  /** The issuer is the subject: worth nothing as a recommendation. */
  selfIssued?: boolean
  credential?: Credential
}

interface Read {
  document: JsonObject
  type: string
  issuer: string
  issuerKey: Uint8Array
  subject: Did
  issued: number
  expires?: number
  signature: Uint8Array
  method: string
}

/**
 * Reads and verifies a credential as KwaaiNet issues them (its data model 1.1, `did:peer:<PeerId>`, a signature over the
 * text that serde_json writes). Unlike there, the key has to be the issuer's own, claims may stand in any order, and what
 * is dated in the future is refused. Never an error for what somebody else wrote.
 */
export async function verifyKwaaiLegacy(
  text: string,
  options: VerifyKwaaiLegacyOptions
): Promise<KwaaiLegacyResult> {
  const { now, maxClockSkewMs = 300_000 } = options
  const read = readLegacy(text)
  if (typeof read === 'string') {
    const unread = 'The credential could not be read.'
    return {
      ok: false,
      assurance: 'legacy',
      checks: [
        check('structure', 'STRUCTURE_INVALID', `Cannot read the credential: ${read}.`),
        check('proof', 'PROOF_MALFORMED', unread),
        check('controller', 'ISSUER_NOT_CONTROLLER', unread),
        check('period', 'STRUCTURE_INVALID', unread)
      ]
    }
  }
  const { issuer, issuerKey, subject, type, document } = read
  // The key of whoever signed is the issuer's, or the signature says nothing about the issuer.
  const controls = read.method === `${issuer}#key-1`
  const signed = controls && (await holds(read))
  const checks = [
    check('structure'),
    signed
      ? check('proof')
      : check('proof', 'PROOF_INVALID_SIGNATURE', "No order of the claims has the issuer's signature."),
    controls
      ? check('controller')
      : check(
          'controller',
          'ISSUER_NOT_CONTROLLER',
          'The proof names the key of somebody else than the issuer.'
        ),
    periodCheck(read, now, maxClockSkewMs)
  ]
  const did = didFromPublicKey(issuerKey)
  const credential: unknown = withNumbers(document)
  return {
    ok: checks.every(({ ok }) => ok),
    assurance: 'legacy',
    checks,
    type,
    issuer: did,
    subject,
    selfIssued: did === subject,
    credential: credential as Credential
  }
}

async function holds({ document, issuerKey, signature }: Read): Promise<boolean> {
  const encoder = new TextEncoder()
  for (const text of signedTexts(document)) {
    if (await verifyEd25519(issuerKey, encoder.encode(text), signature)) return true
  }
  return false
}

function periodCheck({ issued, expires }: Read, now: number, skew: number): Check {
  if (issued > now + skew) return check('period', 'PERIOD_NOT_YET', 'It is dated in the future.')
  if (expires !== undefined && now - skew >= expires) return check('period', 'PERIOD_OVER', 'It has expired.')
  return check('period')
}

function readLegacy(text: string): Read | string {
  const document = parseKeepingNumbers(text, maxLength)
  if (document === undefined) return 'it is not JSON with one meaning'
  if (!isObject(document)) return 'it is no object'
  for (const name of Object.keys(document))
    if (!legacyFields.has(name)) return `"${name.slice(0, 40)}" is not signed`
  const { '@context': context, id, type: types, issuer, credentialSubject: subject, proof } = document
  if (!sameList(context, contexts)) return `its contexts are not ${contexts.join(' and ')}`
  if (id !== undefined && typeof id !== 'string') return 'its id is no text'
  if (
    !Array.isArray(types) ||
    types.length !== 2 ||
    types[0] !== 'VerifiableCredential' ||
    !legacyTypes.has(types[1])
  ) {
    return 'its type is none of the existing network'
  }
  const issuerKey = keyOf(issuer)
  if (issuerKey === undefined) return 'its issuer is not did:peer: and a peer id'
  if (!isObject(subject)) return 'it has not one subject'
  const subjectKey = keyOf(subject['id'])
  if (subjectKey === undefined) return 'its subject is not did:peer: and a peer id'
  const issued = timeOf(document['issuanceDate'])
  if (issued === undefined) return 'its issuanceDate is no date time'
  const expires = timeOf(document['expirationDate'])
  if (document['expirationDate'] !== undefined && expires === undefined)
    return 'its expirationDate is no date time'
  const signed = readProof(proof)
  if (typeof signed === 'string') return signed
  return {
    document,
    type: types[1] as string,
    issuer: issuer as string,
    issuerKey,
    subject: didFromPublicKey(subjectKey),
    issued,
    ...(expires === undefined ? {} : { expires }),
    ...signed
  }
}

function readProof(proof: JsonValue | undefined): { signature: Uint8Array; method: string } | string {
  if (!isObject(proof)) return 'it has not one proof'
  const { type, proofPurpose, verificationMethod: method, proofValue } = proof
  if (type !== 'Ed25519Signature2020') return 'its proof is no Ed25519Signature2020'
  if (proofPurpose !== 'assertionMethod') return 'its proof is not for assertionMethod'
  if (typeof method !== 'string') return 'its proof names no key'
  // 64 bytes in base64url without padding.
  if (typeof proofValue !== 'string' || !/^[\w-]{86}$/.test(proofValue))
    return 'its proofValue is no signature'
  try {
    const signature = base64url.decode(`u${proofValue}`)
    return signature.length === SIGNATURE_BYTES ? { signature, method } : 'its proofValue is no signature'
  } catch {
    return 'its proofValue is no signature'
  }
}

/** The key in `did:peer:<PeerId>`. */
function keyOf(did: unknown): Uint8Array | undefined {
  if (typeof did !== 'string' || !did.startsWith('did:peer:12D3KooW')) return undefined
  try {
    return publicKeyFromPeerId(did.slice('did:peer:'.length))
  } catch {
    return undefined
  }
}

function timeOf(value: unknown): number | undefined {
  return dateTime(value) === undefined ? Date.parse(value as string) : undefined
}

function isObject(value: JsonValue | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function sameList(value: JsonValue | undefined, wanted: readonly string[]): boolean {
  return Array.isArray(value) && value.length === wanted.length && wanted.every((one, i) => value[i] === one)
}

function check(name: Check['name'], code?: CheckFault, message?: string): Check {
  return code === undefined
    ? { name, ok: true, required: true }
    : { name, ok: false, required: true, code, ...(message === undefined ? {} : { message }) }
}
