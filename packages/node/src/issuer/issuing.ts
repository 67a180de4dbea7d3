import { peerIdFromDid } from '@kwaai/identity'
import type { StatusRegistry } from '@kwaai/identity/status'
import { issue, networkCredential, type Credential, type StatusEntry } from '@kwaai/identity/vc'
import type { CallOptions, Clock, Did, KeyValueStore, Signer } from '@kwaai/interface'
import type { NodeAuditEntry } from '../audit.ts'
import { throughputOf, totalsOf, type ObservationLog } from './observations.ts'

/** What an issuer that watches issues. */
export type ObservedType = 'UptimeCredential' | 'ThroughputCredential'

/** The same, to ask for by name. */
export const observedTypes: readonly ObservedType[] = ['UptimeCredential', 'ThroughputCredential']

/** How an issuer issues. */
export interface IssuingInit {
  /** Probes at least, before it says anything about uptime. Default 10. */
  minProbes?: number
  /** Measured answers at least, before it says anything about throughput. Default 1. */
  minSamples?: number
  /** Milliseconds a credential is valid. Default 2,592,000,000 (30 days). */
  validForMs?: number
  /** Milliseconds in which the same credential is given again. Default 3,600,000 (an hour). */
  againMs?: number
}

/** What issuing works with. */
export interface IssuingComponents {
  signer: Signer
  observations: ObservationLog
  /** Where each peer's status entry is kept. */
  store: KeyValueStore
  registry: () => Promise<StatusRegistry | undefined>
  allocate: (options: CallOptions) => Promise<readonly StatusEntry[]>
  /** Told of each credential before anybody has it. */
  record?: (entry: NodeAuditEntry, options: CallOptions) => Promise<void>
  clock: Clock
}

/** What came of asking for a credential. */
export type Issued = { credential: Credential } | { refused: 'not_observed' | 'revoked'; message: string }

/** Issues what was observed. */
export interface Issuing {
  issue(holder: Did, type: ObservedType, options?: CallOptions): Promise<Issued>
}

interface Given {
  /** Milliseconds since 1970. */
  at: number
  entries: readonly StatusEntry[]
  credential: Credential
}

/**
 * Makes the issuing side: claims are what the observations say and nothing else. Every peer has one status entry for each
 * type, used again, so that asking often does not use up the list.
 */
export function createIssuing(init: IssuingInit, components: IssuingComponents): Issuing {
  const { minProbes = 10, minSamples = 1, validForMs = 30 * 86_400_000, againMs = 3_600_000 } = init
  const { signer, observations, store, registry, allocate, record, clock } = components

  const claimsOf = async (
    holder: Did,
    type: ObservedType,
    options: CallOptions
  ): Promise<Record<string, unknown> | string> => {
    const seen = await observations.get(peerIdFromDid(holder), options)
    const period = (from: number, until: number): object => ({
      observedFrom: new Date(from).toISOString(),
      observedUntil: new Date(until).toISOString()
    })
    if (type === 'UptimeCredential') {
      const totals = seen === undefined ? undefined : totalsOf(seen)
      if (totals === undefined || totals.probes < minProbes) {
        return `it was asked ${totals?.probes ?? 0} times, and ${minProbes} are needed`
      }
      return { ...period(totals.from, totals.until), probes: totals.probes, probesAnswered: totals.answered }
    }
    const measured = seen === undefined ? undefined : throughputOf(seen)
    if (measured === undefined || measured.samples < minSamples) {
      return `${measured?.samples ?? 0} answers with it were measured, and ${minSamples} are needed`
    }
    const { from, until, ...figures } = measured
    return { ...period(from, until), ...figures }
  }

  const isRevoked = async (entries: readonly StatusEntry[], options: CallOptions): Promise<boolean> => {
    const lists = await registry()
    if (lists === undefined) return false
    for (const { statusPurpose, statusListIndex } of entries) {
      if (await lists.get(Number(statusListIndex), statusPurpose as string, options)) return true
    }
    return false
  }

  let queue: Promise<unknown> = Promise.resolve()
  return {
    issue: (holder, type, options = {}) => {
      // In turn, so that one peer that asks twice at once gets one entry.
      const result = queue.then(async (): Promise<Issued> => {
        const key = `given/${type}/${holder}`
        const value = await store.get(key, options)
        const before =
          value === undefined ? undefined : (JSON.parse(new TextDecoder().decode(value)) as Given)
        if (before !== undefined && (await isRevoked(before.entries, options))) {
          return { refused: 'revoked', message: `Cannot issue the ${type}: it was taken back` }
        }
        const age = before === undefined ? Infinity : clock.now() - before.at
        // One of a key that was given up since is on a list that this key signs: nobody would believe it.
        const same = before?.credential.issuer === signer.did
        if (before !== undefined && same && age >= 0 && age < againMs)
          return { credential: before.credential }
        const claims = await claimsOf(holder, type, options)
        if (typeof claims === 'string') {
          return { refused: 'not_observed', message: `Cannot issue the ${type}: ${claims}` }
        }
        const entries = before?.entries ?? (await allocate(options))
        const now = clock.now()
        const unsigned = networkCredential({
          type,
          issuer: signer.did,
          subject: holder,
          claims: claims as never,
          validFrom: now,
          validUntil: now + validForMs,
          status: entries
        })
        const credential = (await issue(unsigned, signer, { now })) as Credential
        await record?.({ kind: 'credential/issued', subject: holder, data: { type: unsigned.type } }, options)
        const given: Given = { at: now, entries, credential }
        await store.put(key, new TextEncoder().encode(JSON.stringify(given)), options)
        return { credential }
      })
      queue = result.catch(() => undefined)
      return result
    }
  }
}
