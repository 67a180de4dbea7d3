import { open } from '@kwaai/identity'
import { KwaaiError, type Did } from '@kwaai/interface'
import { MAX_PROVENANCE_BYTES, PROVENANCE_CONTEXT } from '../constants.ts'
import type { ApiErrorCode } from '../errors.ts'
import { countNames } from '../json-depth.ts'
import { fromBase64Url } from './base64url.ts'
import { canonicalJson, type JsonValue } from './canonical-json.ts'
import { provenanceRecord, type ProvenanceRecord } from './record.ts'

/** A record whose every check held, and who signed it. */
export interface VerifiedProvenance {
  record: ProvenanceRecord
  signer: Did
}

/** What a provenance has to be, besides valid. */
export interface VerifyProvenanceOptions {
  /** The only signer accepted. Default: any, and the caller decides whether it is one to believe. */
  signer?: Did
}

/**
 * Checks a provenance without a network: the JSON that `GET /v1/kwaai/provenance/{id}` gave, as text or bytes, or
 * the bare bytes of its envelope.
 *
 * @throws A KwaaiError that names the check that failed: `ERR_API_PROVENANCE_MALFORMED`,
 * `ERR_API_PROVENANCE_WRONG_CONTEXT`, `ERR_API_PROVENANCE_BAD_SIGNATURE`, `ERR_API_PROVENANCE_WRONG_SIGNER`,
 * `ERR_API_PROVENANCE_UNKNOWN_VERSION` or `ERR_API_PROVENANCE_ALTERED`, when the readable record is not the signed
 * one.
 */
export async function verifyProvenance(
  provenance: string | Uint8Array,
  options: VerifyProvenanceOptions = {}
): Promise<VerifiedProvenance> {
  const { envelope, named, shown, id } = read(provenance)
  const { payload, signer } = await opened(envelope)
  if (named !== undefined && named !== signer)
    throw failed(
      'ERR_API_PROVENANCE_WRONG_SIGNER',
      `it names ${named.slice(0, 100)} as its signer and is signed by ${signer}`
    )
  if (options.signer !== undefined && options.signer !== signer)
    throw failed('ERR_API_PROVENANCE_WRONG_SIGNER', `it is signed by ${signer}, not by ${options.signer}`)

  const text = decode(payload)
  const value = parse(text)
  // Before the form is looked at: a later version has another one.
  if (isObject(value) && typeof value['v'] === 'number' && value['v'] !== 1)
    throw failed('ERR_API_PROVENANCE_UNKNOWN_VERSION', `its version is ${value['v']}, this program reads 1`)
  const record = provenanceRecord.safeParse(value)
  if (!record.success || canonical(value) !== text)
    throw malformed('its record is not in the form of version 1')
  // What people read in the file has to be what was signed.
  if ((shown !== undefined && canonical(shown) !== text) || (id !== undefined && id !== record.data.id))
    throw failed('ERR_API_PROVENANCE_ALTERED', 'the record it shows is not the record that was signed')
  return { record: record.data, signer }
}

interface Parts {
  envelope: Uint8Array
  named?: string
  shown?: unknown
  id?: string
}

function read(provenance: string | Uint8Array): Parts {
  const length = provenance.length
  if (length > MAX_PROVENANCE_BYTES) throw malformed(`it has more than ${MAX_PROVENANCE_BYTES} bytes`)
  const text = typeof provenance === 'string' ? provenance : jsonText(provenance)
  if (text === undefined) return { envelope: new Uint8Array(provenance as Uint8Array) }
  const value = parse(text.replace(/^\uFEFF/, ''))
  if (!isObject(value) || typeof value['envelope'] !== 'string')
    throw malformed("it is neither an envelope nor a JSON object with an 'envelope'")
  if (value['object'] !== 'kwaai.provenance') throw malformed("its 'object' is not 'kwaai.provenance'")
  if (typeof value['signer'] !== 'string') throw malformed("it has no 'signer'")
  if (typeof value['id'] !== 'string') throw malformed("it has no 'id'")
  if (value['record'] === undefined) throw malformed("it has no 'record'")
  // Whatever else it says, nobody has signed.
  const foreign = Object.keys(value).find((name) => !fields.has(name))
  if (foreign !== undefined)
    throw malformed(`it has a field '${foreign.slice(0, 50)}' that is none of its own`)
  if (countNames(text) !== namesOf(value)) throw malformed('a name in it comes twice')
  const envelope = fromBase64Url(value['envelope'])
  if (envelope === undefined) throw malformed("its 'envelope' is not base64url")
  return { envelope, named: value['signer'], shown: value['record'], id: value['id'] }
}

const fields = new Set(['object', 'id', 'signer', 'envelope', 'record'])

/** How many names the members of a value have. No deeper than a record goes: what is deeper is none. */
function namesOf(value: unknown, depth = 0): number {
  if (typeof value !== 'object' || value === null || depth > 8) return 0
  const inner = Object.values(value).reduce((sum: number, member) => sum + namesOf(member, depth + 1), 0)
  return inner + (Array.isArray(value) ? 0 : Object.keys(value).length)
}

/** Bytes that read as a JSON object; the first byte of an envelope is a line feed too, what follows is no text. */
function jsonText(bytes: Uint8Array): string | undefined {
  try {
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
    return /^\uFEFF?\s*\{/.test(text) ? text : undefined
  } catch {
    return undefined
  }
}

async function opened(envelope: Uint8Array): Promise<{ payload: Uint8Array; signer: Did }> {
  try {
    return await open(envelope, { context: PROVENANCE_CONTEXT, maxBytes: MAX_PROVENANCE_BYTES })
  } catch (cause) {
    if (KwaaiError.is(cause, 'ERR_IDENTITY_WRONG_CONTEXT'))
      throw failed('ERR_API_PROVENANCE_WRONG_CONTEXT', 'it was signed for another purpose', cause)
    if (KwaaiError.is(cause, 'ERR_IDENTITY_BAD_SIGNATURE'))
      throw failed('ERR_API_PROVENANCE_BAD_SIGNATURE', 'its signature does not hold', cause)
    throw malformed('it holds no envelope', cause)
  }
}

function decode(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch (cause) {
    throw malformed('it is not UTF-8', cause)
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw malformed('it is not JSON', cause)
  }
}

function canonical(value: unknown): string | undefined {
  try {
    // What JSON.parse gave is JSON.
    return canonicalJson(value as JsonValue)
  } catch {
    return undefined
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function malformed(why: string, cause?: unknown): KwaaiError<ApiErrorCode> {
  return failed('ERR_API_PROVENANCE_MALFORMED', why, cause)
}

function failed(code: ApiErrorCode, why: string, cause?: unknown): KwaaiError<ApiErrorCode> {
  return new KwaaiError(code, `Cannot verify the provenance: ${why}`, cause === undefined ? {} : { cause })
}
