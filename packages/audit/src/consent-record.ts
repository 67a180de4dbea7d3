import { canonicalizeJson, checkJson, type JsonObject } from '@kwaai/identity'
import type { Random } from '@kwaai/interface'
import { toHex, utf8 } from './bytes.ts'
import { ERR_AUDIT_INVALID_CONSENT, auditError } from './errors.ts'

/** Why data may be processed: the six of GDPR, article 6 (1), a to f. */
export type LawfulBasis =
  | 'consent'
  | 'contract'
  | 'legal-obligation'
  | 'vital-interests'
  | 'public-task'
  | 'legitimate-interests'

/** Who answers for the processing. */
export interface PiiController {
  name: string
  /** A DID, an address or a mail box. */
  contact: string
}

/** One thing that data is processed for. */
export interface ConsentPurpose {
  /** What {@link Consents.holds} asks for, such as `inference` or a term of the Data Privacy Vocabulary. */
  purpose: string
  /** Kinds of data. */
  piiCategories: readonly string[]
  /** True where one of them is of a special category. */
  sensitive: boolean
  /** Who else gets it. */
  recipients?: readonly string[]
}

/** What a record of consent is made of. Names follow the Kantara consent receipt and ISO/IEC TS 27560. */
export interface ConsentInit {
  /** Whom the data is about: a DID, or the name of an account. */
  piiPrincipalId: string
  piiControllers: readonly PiiController[]
  lawfulBasis: LawfulBasis
  purposes: readonly ConsentPurpose[]
  /** From when and until when, milliseconds since 1970 UTC. `until` is not part of it; absent: until it is withdrawn. */
  period: { from: number; until?: number }
  /** How it is withdrawn, in words. */
  withdrawal: string
  /** Where the law is, such as `DE` or `US-CA` (ISO 3166). */
  jurisdiction: string
  /** What was read, such as `en` (BCP 47). */
  language: string
  /** How it was given, such as `command line` or `web form`. */
  collectionMethod: string
  /** The text that was agreed to. */
  policyUrl?: string
  /** What it is used in. */
  services?: readonly string[]
}

/** A record of consent. */
export interface ConsentRecord extends ConsentInit {
  /** The shape of this record. */
  version: 'kwaai-consent/1'
  /** 32 hexadecimal digits. */
  consentReceiptId: string
  /** Milliseconds since 1970 UTC. */
  consentTimestamp: number
}

const bases: ReadonlySet<string> = new Set<LawfulBasis>([
  'consent',
  'contract',
  'legal-obligation',
  'vital-interests',
  'public-task',
  'legitimate-interests'
])
const maxRecordBytes = 16_384
const fields: ReadonlySet<string> = new Set([
  'piiPrincipalId',
  'piiControllers',
  'lawfulBasis',
  'purposes',
  'period',
  'withdrawal',
  'jurisdiction',
  'language',
  'collectionMethod',
  'policyUrl',
  'services'
])

/**
 * Makes a record of consent.
 *
 * @param at milliseconds since 1970 UTC.
 * @throws A KwaaiError `ERR_AUDIT_INVALID_CONSENT` that names what is missing or out of its bounds.
 */
export function buildConsent(init: ConsentInit, at: number, random: Random): ConsentRecord {
  const want = (holds: boolean, what: string): void => {
    if (!holds) throw auditError(ERR_AUDIT_INVALID_CONSENT, `Cannot record the consent: ${what}`, { what })
  }
  const strange = Object.keys(init).find((name) => !fields.has(name))
  want(strange === undefined, `"${strange}" is no part of it`)
  const { piiPrincipalId, piiControllers, purposes, period, lawfulBasis, services, policyUrl } = init
  want(isText(piiPrincipalId, 512), 'piiPrincipalId has to name a person')
  want(isList(piiControllers, 1, 16), 'piiControllers has to name 1 to 16')
  for (const one of piiControllers)
    want(
      isText(one.name, 256) && isText(one.contact, 512),
      'each of piiControllers has to have a name and a contact'
    )
  want(bases.has(lawfulBasis), `lawfulBasis has to be one of ${[...bases].join(', ')}`)
  want(isList(purposes, 1, 32), 'purposes has to have 1 to 32')
  for (const one of purposes) {
    want(isText(one.purpose, 256), 'each of purposes has to have a purpose')
    want(areTexts(one.piiCategories, 1), 'each of purposes has to have piiCategories')
    want(typeof one.sensitive === 'boolean', 'each of purposes has to say whether it is sensitive')
    want(one.recipients === undefined || areTexts(one.recipients, 0), 'recipients have to be texts')
  }
  want(isTime(period?.from), 'period.from has to be a time')
  want(
    period.until === undefined || (isTime(period.until) && period.until > period.from),
    'period.until has to be behind period.from'
  )
  want(isText(init.withdrawal, 1_024), 'withdrawal has to say how')
  want(
    /^[A-Z]{2}(?:-[A-Z0-9]{1,3})?$/.test(init.jurisdiction),
    'jurisdiction has to be a code such as DE or US-CA'
  )
  want(/^[A-Za-z]{2,8}(?:-[A-Za-z0-9]{1,8}){0,5}$/.test(init.language), 'language has to be a tag such as en')
  want(isText(init.collectionMethod, 256), 'collectionMethod has to say how it was given')
  want(policyUrl === undefined || isText(policyUrl, 2_048), 'policyUrl has to be an address')
  want(services === undefined || areTexts(services, 0), 'services have to be texts')
  const record: ConsentRecord = {
    version: 'kwaai-consent/1',
    consentReceiptId: toHex(random.bytes(16)),
    consentTimestamp: at,
    // Own parts, so that the caller's later writes change nothing.
    ...(JSON.parse(JSON.stringify(init)) as ConsentInit)
  }
  checkJson(record)
  want(utf8(canonicalizeJson(record)).length <= maxRecordBytes, `it is above ${maxRecordBytes} bytes`)
  return record
}

/** The record as JSON. */
export function consentToJson(record: ConsentRecord): JsonObject {
  const json: unknown = record
  checkJson(json)
  return json as JsonObject
}

function isText(value: unknown, max: number): value is string {
  return typeof value === 'string' && value.trim() !== '' && value.length <= max && value.isWellFormed()
}

function isList(value: unknown, min: number, max: number): boolean {
  return Array.isArray(value) && value.length >= min && value.length <= max
}

function areTexts(value: unknown, min: number): boolean {
  return isList(value, min, 64) && (value as unknown[]).every((one) => isText(one, 256))
}

function isTime(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0
}
