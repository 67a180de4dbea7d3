import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { canonicalizeJson } from '@kwaai/identity'
import { createStatusRegistry, type StatusRegistry } from '@kwaai/identity/status'
import { issue, type Credential, type StatusEntry } from '@kwaai/identity/vc'
import type { CallOptions, Clock, KeyValueStore, Signer } from '@kwaai/interface'
import { systemClock } from '@kwaai/interface/memory'
import {
  credentialScopes,
  observationScopes,
  openAudit,
  openSealedFile,
  record,
  subjectsOfCredential,
  type NodeAuditEntry
} from '../audit.ts'
import { nodeError } from '../errors.ts'
import { lock } from '../model/file-lock.ts'

/** A credential that is kept. */
export interface KeptCredential {
  /** The first half of the SHA-256 of its canonical JSON. */
  id: string
  /** Issued here, or brought from elsewhere. */
  origin: 'issued' | 'imported'
  /** Milliseconds since 1970. */
  keptAt: number
  credential: Credential
}

/** The credentials and the status lists of a data folder. Several processes may use it at once. */
export interface CredentialFolder {
  list(options?: CallOptions): Promise<KeptCredential[]>
  /**
   * Finds a credential by its id or the beginning of it.
   *
   * @throws A KwaaiError `ERR_NODE_CREDENTIAL_UNKNOWN` where there is none, or more than one.
   */
  find(id: string, options?: CallOptions): Promise<KeptCredential>
  /** Keeps a credential, which the caller has verified. */
  keep(credential: Credential, origin: 'issued' | 'imported', options?: CallOptions): Promise<KeptCredential>
  /** The credentials about somebody that are kept under the key of another whom they are about too. */
  sharedWith(subject: string, options?: CallOptions): Promise<KeptCredential[]>
  /** Deletes those of {@link CredentialFolder.sharedWith}, each recorded first. */
  deleteShared(subject: string, options?: CallOptions): Promise<void>
  /** Where the status lists are published, if they are. */
  statusUrl(options?: CallOptions): Promise<string | undefined>
  /**
   * Says where the status lists are published, once and for all: what was issued names it.
   *
   * @throws A KwaaiError `ERR_NODE_INVALID_OPTION` for no URL, or another one than before.
   */
  setStatusUrl(url: string, options?: CallOptions): Promise<void>
  /** The status lists, if they are published anywhere. */
  registry(signer: Signer, options?: CallOptions): Promise<StatusRegistry | undefined>
  /** Gives away an entry of the lists; none where they are published nowhere. */
  allocate(signer: Signer, options?: CallOptions): Promise<readonly StatusEntry[]>
  /** Appends to the audit log of the folder. */
  record(entry: NodeAuditEntry, options?: CallOptions): Promise<void>
  /** What an issuer notes besides. */
  readonly notes: KeyValueStore
  close(): Promise<void>
}

const encoder = new TextEncoder()
const decoder = new TextDecoder()
const prefix = 'credential/'
const urlKey = 'config/status-url'
/** Entries of the log for one credential at most, besides the first. */
const maxRecorded = 63

/** The purposes of the lists: `revocation` is for good, `suspension` can be undone. */
export const statusPurposes = ['revocation', 'suspension'] as const

/** Where the list of a purpose is found. */
export function statusListUrl(url: string, purpose: string): string {
  return `${url}/status/${purpose}`
}

/** Opens the credentials of a data folder: `credentials.log`, and `issuer.log` for what only an issuer keeps. */
export function openCredentials(
  dataDir: string,
  { clock = systemClock }: { clock?: Clock } = {}
): CredentialFolder {
  // Encrypted under the keys of those they are about, and forgotten with these.
  const kept = openSealedFile(dataDir, 'credentials.log', credentialScopes)
  const issued = openSealedFile(dataDir, 'issuer.log', observationScopes)
  const audit = openAudit(dataDir, { clock })

  const list = async (options: CallOptions = {}): Promise<KeptCredential[]> => {
    const found: KeptCredential[] = []
    for await (const [, value] of kept.entries({ gte: prefix, lt: `${prefix}~`, ...options })) {
      found.push(JSON.parse(decoder.decode(value)) as KeptCredential)
    }
    return found.toSorted((a, b) => a.keptAt - b.keptAt)
  }
  const sharedWith = async (subject: string, options?: CallOptions): Promise<KeptCredential[]> => {
    const own = new Set<string>()
    for await (const [key] of kept.entriesOf(subject, options)) own.add(key)
    return (await list(options)).filter(
      ({ id, credential }) => subjectsOfCredential(credential).includes(subject) && !own.has(prefix + id)
    )
  }
  const statusUrl = async (options: CallOptions = {}): Promise<string | undefined> => {
    const value = await issued.get(urlKey, options)
    return value === undefined ? undefined : decoder.decode(value)
  }
  const registry = async (signer: Signer, options: CallOptions = {}): Promise<StatusRegistry | undefined> => {
    const url = await statusUrl(options)
    if (url === undefined) return undefined
    const lists = Object.fromEntries(statusPurposes.map((purpose) => [purpose, statusListUrl(url, purpose)]))
    return createStatusRegistry(
      { issuer: signer.did, lists },
      { store: issued, clock, issue: (credential) => issue(credential, signer, { now: clock.now() }) }
    )
  }

  return {
    list,
    async find(id, options) {
      const found = (await list(options)).filter((one) => id.length >= 4 && one.id.startsWith(id))
      if (found.length === 1) return found[0] as KeptCredential
      throw nodeError(
        'ERR_NODE_CREDENTIAL_UNKNOWN',
        `Cannot find the credential ${id.slice(0, 80)}: ${found.length === 0 ? 'none' : 'more than one'} of this node has ` +
          'that id. "kwaai vc list" lists them'
      )
    },
    async keep(credential, origin, options = {}) {
      const id = idOf(credential)
      const entry: KeptCredential = { id, origin, keptAt: clock.now(), credential }
      await kept.put(prefix + id, encoder.encode(JSON.stringify(entry)), options)
      const data = { id, type: credential.type }
      const kind = `credential/${origin}`
      const [first, ...others] = subjectsOfCredential(credential)
      await record(audit, { kind, data, ...(first !== undefined && { subject: first }) }, options)
      // Each of them is somebody who may ask what is kept here.
      for (const subject of others.slice(0, maxRecorded))
        await record(audit, { kind, data, subject }, options)
      return entry
    },
    sharedWith,
    async deleteShared(subject, options) {
      for (const { id, credential } of await sharedWith(subject, options)) {
        const data = { id, type: credential.type }
        await record(audit, { kind: 'credential/deleted', data, subject }, options)
        await kept.delete(prefix + id, options)
      }
    },
    statusUrl,
    async setStatusUrl(text, options = {}) {
      const url = URL.canParse(text) ? new URL(text) : undefined
      if (url === undefined || !/^https?:$/.test(url.protocol) || url.search !== '' || url.hash !== '') {
        throw nodeError(
          'ERR_NODE_INVALID_OPTION',
          `Cannot publish status lists at ${text}: expected a URL such as https://issuer.example.org`
        )
      }
      const wanted = url.href.replace(/\/$/, '')
      const before = await statusUrl(options)
      if (before === wanted) return
      if (before !== undefined) {
        throw nodeError(
          'ERR_NODE_INVALID_OPTION',
          `Cannot publish status lists at ${wanted}: what was issued says that they are at ${before}. Publish them there`
        )
      }
      await issued.put(urlKey, encoder.encode(wanted), options)
    },
    registry,
    async allocate(signer, options = {}) {
      const lists = await registry(signer, options)
      if (lists === undefined) return []
      // Another process that issues must not give the same entry away.
      const unlock = await lock(join(dataDir, 'issuer.log.allocate'), { pollMs: 5, ...options })
      try {
        return (await lists.allocate(options)).entries
      } finally {
        await unlock()
      }
    },
    record: (entry, options) => record(audit, entry, options),
    notes: issued,
    async close() {
      await kept[Symbol.asyncDispose]()
      await issued[Symbol.asyncDispose]()
      await audit[Symbol.asyncDispose]()
    }
  }
}

function idOf(credential: Credential): string {
  return createHash('sha256').update(canonicalizeJson(credential)).digest('hex').slice(0, 32)
}
