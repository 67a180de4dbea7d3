import type { Did } from '@kwaai/interface'
import type { RecordQuotas } from './constants.ts'
import { compareVersions, isTimely, slotOf, type SignedRecord } from './record.ts'

/** What became of a record offered to a table. */
export type Admission =
  | { type: 'stored' }
  /** The very bytes were there. */
  | { type: 'same' }
  /** A newer version is held. */
  | { type: 'stale'; newer: SignedRecord }
  /** Expired, or claims to live too long. */
  | { type: 'untimely' }
  /** A quota is used up. */
  | { type: 'full' }

interface Entry {
  record: SignedRecord
  /**
   * When the slot is forgotten: the latest expiry of any version seen. A short-lived version is remembered for as
   * long as an older one could be played back.
   */
  forgetAt: number
}

interface Use {
  count: number
  bytes: number
}

/** The verified records a node holds. Pure: time comes as an argument. */
export interface RecordTable {
  /** Records held. */
  readonly count: number
  /** Bytes of their envelopes. */
  readonly bytes: number
  /** Offers a verified record. */
  put(record: SignedRecord, now: number): Admission
  /** The version held of a slot, expired or not. */
  get(key: string, slot: string): SignedRecord | undefined
  /** The records under a key that have not expired, those withdrawn too, in the order of their slots. */
  list(key: string, now: number): SignedRecord[]
  /** Forgets what has expired; returns what it forgot. */
  sweep(now: number): SignedRecord[]
}

/** Makes a record table within quotas. What a slot holds already is renewed even when a count is used up. */
export function createRecordTable(quotas: RecordQuotas): RecordTable {
  const keys = new Map<string, Map<string, Entry>>()
  const signers = new Map<Did, Use>()
  const all: Use = { count: 0, bytes: 0 }

  const account = ({ signer, envelope }: SignedRecord, sign: 1 | -1): void => {
    const use = signers.get(signer) ?? { count: 0, bytes: 0 }
    for (const each of [use, all]) {
      each.count += sign
      each.bytes += sign * envelope.length
    }
    if (use.count === 0) signers.delete(signer)
    else signers.set(signer, use)
  }
  const hasRoom = (record: SignedRecord, held: SignedRecord | undefined): boolean => {
    const more = record.envelope.length - (held?.envelope.length ?? 0)
    const use = signers.get(record.signer) ?? { count: 0, bytes: 0 }
    if (use.bytes + more > quotas.bytesPerSigner || all.bytes + more > quotas.totalBytes) return false
    if (held !== undefined) return true
    const underKey = keys.get(record.key)?.size ?? 0
    return underKey < quotas.perKey && use.count < quotas.perSigner && all.count < quotas.total
  }
  const sweepKey = (key: string, slots: Map<string, Entry>, now: number): SignedRecord[] => {
    const forgotten: SignedRecord[] = []
    for (const [slot, { record, forgetAt }] of slots) {
      if (forgetAt > now) continue
      slots.delete(slot)
      account(record, -1)
      forgotten.push(record)
    }
    if (slots.size === 0) keys.delete(key)
    return forgotten
  }

  return {
    get count() {
      return all.count
    },
    get bytes() {
      return all.bytes
    },
    put: (record, now) => {
      if (!isTimely(record, now)) return { type: 'untimely' }
      const slots = keys.get(record.key) ?? new Map<string, Entry>()
      const slot = slotOf(record)
      const held = slots.get(slot)
      if (held !== undefined) {
        const order = compareVersions(record, held.record)
        if (order === 0) return { type: 'same' }
        if (order < 0) return { type: 'stale', newer: held.record }
      }
      if (!hasRoom(record, held?.record)) return { type: 'full' }
      if (held !== undefined) account(held.record, -1)
      account(record, 1)
      slots.set(slot, { record, forgetAt: Math.max(record.expiresAt, held?.forgetAt ?? 0) })
      keys.set(record.key, slots)
      return { type: 'stored' }
    },
    get: (key, slot) => keys.get(key)?.get(slot)?.record,
    list: (key, now) =>
      [...(keys.get(key) ?? [])]
        .filter(([, { record }]) => isTimely(record, now))
        .toSorted(([a], [b]) => (a < b ? -1 : 1))
        .map(([, { record }]) => record),
    sweep: (now) => [...keys].flatMap(([key, slots]) => sweepKey(key, slots, now))
  }
}
