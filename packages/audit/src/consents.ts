import { canonicalizeJson } from '@kwaai/identity'
import type { CallOptions } from '@kwaai/interface'
import { partsOf } from './log-parts.ts'
import type { AuditLog } from './log-types.ts'
import { textOf, utf8 } from './bytes.ts'
import { buildConsent, type ConsentInit, type ConsentRecord } from './consent-record.ts'
import { ERR_AUDIT_INVALID_CONSENT, ERR_AUDIT_NOT_FOUND, auditError } from './errors.ts'
import { deriveKey, openBytes, sealBytes } from './sealing.ts'
import type { SubjectKey } from './subject-keys.ts'

/** A consent and what became of it. */
export interface KeptConsent {
  record: ConsentRecord
  /** Milliseconds since 1970 UTC, from which on it holds no more. */
  withdrawnAt?: number
}

/** What people have agreed to. */
export interface Consents {
  /**
   * Records a consent and logs it.
   * @throws A KwaaiError `ERR_AUDIT_INVALID_CONSENT` when the record lacks something, or the person has 256 already.
   */
  give(consent: ConsentInit, options?: CallOptions): Promise<ConsentRecord>
  /**
   * Withdraws one consent of a person, or all of them for a purpose, and logs it.
   * @returns how many were withdrawn.
   * @throws A KwaaiError `ERR_AUDIT_NOT_FOUND` where none of them holds.
   */
  withdraw(
    subject: string,
    which: { consentReceiptId: string } | { purpose: string },
    options?: CallOptions
  ): Promise<number>
  /** Whether a person's data may be processed for a purpose, now or at another time. No where that cannot be told. */
  holds(subject: string, purpose: string, at?: number, options?: CallOptions): Promise<boolean>
  /** All of a person, the withdrawn ones too. */
  list(subject: string, options?: CallOptions): Promise<KeptConsent[]>
}

const maxConsents = 256

/**
 * Keeps consents with a log: each is an entry of it, and what holds now stands in the log's store under the person's
 * key, written in the same batch. With the key they are forgotten.
 */
export function createConsents(log: AuditLog): Consents {
  const { components, exclusive, appendNow } = partsOf(log)
  const { store, keys, clock, random } = components
  const nameOf = ({ id }: SubjectKey): string => `audit/consent/${id}`
  const sealKey = ({ secret }: SubjectKey): Uint8Array => deriveKey(secret, 'kwaai/audit/consents/1')

  const read = async (key: SubjectKey | undefined, options?: CallOptions): Promise<KeptConsent[]> => {
    const sealed = key && (await store.get(nameOf(key), options))
    if (key === undefined || sealed === undefined) return []
    const text = openBytes(sealKey(key), utf8(nameOf(key)), sealed)
    return text === undefined ? [] : (JSON.parse(textOf(text) ?? '[]') as KeptConsent[])
  }
  const write = async (
    subject: string,
    key: SubjectKey,
    all: readonly KeptConsent[],
    entry: { kind: string; data: object },
    options?: CallOptions
  ): Promise<void> => {
    const value = sealBytes(sealKey(key), utf8(nameOf(key)), utf8(JSON.stringify(all)), random)
    await appendNow([{ kind: entry.kind, subject, data: utf8(canonicalizeJson(entry.data)) }], {
      ...options,
      operations: [{ type: 'put', key: nameOf(key), value }]
    })
  }
  const isOpen = ({ withdrawnAt }: KeptConsent, at: number): boolean =>
    withdrawnAt === undefined || at < withdrawnAt

  return {
    async give(consent, options = {}) {
      const record = buildConsent(consent, clock.now(), random)
      return exclusive(async () => {
        const key = await keys.make(record.piiPrincipalId, options)
        const all = await read(key, options)
        if (all.length >= maxConsents)
          throw auditError(
            ERR_AUDIT_INVALID_CONSENT,
            `Cannot record the consent: there are ${maxConsents} of this person already`
          )
        const data = { ...record }
        await write(
          record.piiPrincipalId,
          key,
          [...all, { record }],
          { kind: 'consent/given', data },
          options
        )
        return record
      }, options)
    },
    async withdraw(subject, which, options = {}) {
      return exclusive(async () => {
        const key = await keys.get(subject, options)
        const at = clock.now()
        const all = await read(key, options)
        const meant = all.filter(
          (one) =>
            isOpen(one, at) &&
            ('purpose' in which
              ? one.record.purposes.some(({ purpose }) => purpose === which.purpose)
              : one.record.consentReceiptId === which.consentReceiptId)
        )
        if (key === undefined || meant.length === 0)
          throw auditError(ERR_AUDIT_NOT_FOUND, 'Cannot withdraw the consent: there is none that holds')
        const ids = meant.map(({ record }) => record.consentReceiptId)
        const next = all.map((one) => (meant.includes(one) ? { ...one, withdrawnAt: at } : one))
        const data = { consentReceiptIds: ids, withdrawnAt: at }
        await write(subject, key, next, { kind: 'consent/withdrawn', data }, options)
        return meant.length
      }, options)
    },
    async holds(subject, purpose, asked, options = {}) {
      const at = asked ?? clock.now()
      return (await read(await keys.get(subject, options), options)).some((one) => {
        const { period, purposes, consentTimestamp } = one.record
        return (
          // Asked about now, what was withdrawn holds no more, also where the clock was set back since.
          (asked === undefined ? one.withdrawnAt === undefined : isOpen(one, at)) &&
          at >= Math.max(period.from, consentTimestamp) &&
          (period.until === undefined || at < period.until) &&
          purposes.some((covered) => covered.purpose === purpose)
        )
      })
    },
    list: async (subject, options = {}) => read(await keys.get(subject, options), options)
  }
}
