import { join } from 'node:path'
import {
  createAuditLog,
  createConsents,
  createSealedStore,
  type AuditLog,
  type Consents,
  type SealedScope,
  type SealedStore,
  type SubjectKeyVault
} from '@kwaai/audit'
import { parseDid } from '@kwaai/identity'
import type { CallOptions, Clock, Random, Signer } from '@kwaai/interface'
import { systemClock, systemRandom } from '@kwaai/interface/memory'
import { lock } from './model/file-lock.ts'
import { createFileStore } from './store/file-store.ts'
import { createFileVault } from './store/key-vault.ts'

/** The audit log of a data folder. */
export interface NodeAudit extends AsyncDisposable {
  log: AuditLog
  consents: Consents
  keys: SubjectKeyVault
}

/** What {@link openAudit} works with. */
export interface NodeAuditComponents {
  /** Signs checkpoints. Without one entries are appended, and signed when the node starts or `kwaai audit` runs. */
  signer?: Signer
  /** Default: the system's. */
  clock?: Clock
  /** Default: the system's. */
  random?: Random
}

/** The keys of the persons a data folder knows something about. */
export function openVault(dataDir: string, components: { random?: Random } = {}): SubjectKeyVault {
  return createFileVault({ folder: join(dataDir, 'subject-keys') }, components)
}

/**
 * Opens the audit log of a data folder. Several processes may have it open. Its data can be read with the key of the
 * person it is about alone, so what is personal belongs into `data`, never into `kind`.
 */
export function openAudit(dataDir: string, components: NodeAuditComponents = {}): NodeAudit {
  const { clock = systemClock, random = systemRandom, signer } = components
  const path = join(dataDir, 'audit.log')
  const store = createFileStore({ path })
  const keys = openVault(dataDir, { random })
  let queue: Promise<unknown> = Promise.resolve()
  const exclusive = <T>(work: () => Promise<T>, options: CallOptions = {}): Promise<T> => {
    const result = queue.then(async () => {
      options.signal?.throwIfAborted()
      const unlock = await lock(join(dataDir, 'audit.append.lock'), { pollMs: 5, ...options })
      try {
        return await work()
      } finally {
        await unlock()
      }
    })
    queue = result.catch(() => undefined)
    return result
  }
  const log = createAuditLog({}, { store, clock, random, keys, exclusive, ...(signer && { signer }) })
  return {
    log,
    keys,
    consents: createConsents(log),
    async [Symbol.asyncDispose]() {
      try {
        await log[Symbol.asyncDispose]()
      } finally {
        await store[Symbol.asyncDispose]()
      }
    }
  }
}

/** Something that happened at a node. */
export interface NodeAuditEntry {
  /** What, such as `grant/made`. In the clear: nothing of a person belongs here. */
  kind: string
  /** Whom it is about: a DID or an account. */
  subject?: string
  /** What there is to know, as JSON; encrypted under the key of `subject`. */
  data: object
}

/**
 * The one name under which somebody is known here: the did:key behind a peer id, a did:peer or a DID URL. Other names
 * stay as they are.
 */
export function subjectNamed(text: string): string {
  const did = /^did:[a-z0-9]+:[^/?#]+/.exec(text)?.[0] ?? text
  try {
    return parseDid(did)
  } catch {
    return did
  }
}

/** Appends one entry to an open log. */
export async function record(
  audit: NodeAudit,
  { kind, subject, data }: NodeAuditEntry,
  options: CallOptions = {}
): Promise<void> {
  const bytes = new TextEncoder().encode(JSON.stringify(data))
  const about = subject === undefined ? {} : { subject: subjectNamed(subject) }
  await audit.log.append({ kind, data: bytes, ...about }, options)
}

/** Appends one entry to the log of a data folder: for commands that change something and end. */
export async function appendAudit(
  dataDir: string,
  entry: NodeAuditEntry,
  options: CallOptions = {}
): Promise<void> {
  await using audit = openAudit(dataDir)
  await record(audit, entry, options)
}

/** A store in a file of a data folder whose entries are encrypted under the keys of the persons they belong to. */
export interface SealedFile extends SealedStore, AsyncDisposable {
  /** The file. */
  path: string
  /** Deletes what no key opens any more, and writes the file anew without it. */
  forget(options?: CallOptions): Promise<void>
  /** Seals what an older version kept in the clear, and writes the file anew without it. */
  takeOver(options?: CallOptions): Promise<void>
}

/** Opens a file of a data folder as a {@link SealedFile}. */
export function openSealedFile(
  dataDir: string,
  name: string,
  scopes: readonly SealedScope[],
  components: { random?: Random } = {}
): SealedFile {
  const path = join(dataDir, name)
  const file = createFileStore({ path })
  const keys = openVault(dataDir, components)
  const sealed = createSealedStore({ scopes }, { store: file, keys, ...components })
  return {
    ...sealed,
    path,
    async forget(options) {
      await sealed.sweep(options)
      // Always: a process that was killed may have deleted something and left its bytes.
      await file.compact(options)
    },
    async takeOver(options) {
      if ((await sealed.sealAll(options)) > 0) await file.compact(options)
    },
    [Symbol.asyncDispose]: () => file[Symbol.asyncDispose]()
  }
}

const callerOf = (rest: string): string | undefined => {
  // As `@kwaai/api` files answers: the caller's name in hexadecimal, and the answer's id.
  const hex = /^((?:[0-9a-f]{2})+)\//.exec(rest)?.[1]
  return hex === undefined ? undefined : Buffer.from(hex, 'hex').toString()
}

/** What of a node's answers belongs to whom. */
export const answerScopes: readonly SealedScope[] = ['api/responses', 'api/provenance'].flatMap((part) => [
  { prefix: `${part}/entry/`, subjectOf: callerOf },
  { prefix: `${part}/value/`, subjectOf: callerOf }
])

/** Each API key's record belongs to the account it is, `key_…`. */
export const keyScopes: readonly SealedScope[] = [
  { prefix: 'api-key/', subjectOf: (rest) => rest || undefined }
]

/** Everybody a credential is about, each once, as far as it names them and they can have keys here. */
export function subjectsOfCredential(credential: { credentialSubject?: unknown }): string[] {
  const all = [credential.credentialSubject].flat() as ({ id?: unknown } | null | undefined)[]
  const names = all
    .map((one) => one?.id)
    .filter((id) => typeof id === 'string' && id !== '' && Buffer.byteLength(id) <= 512)
    .map((id) => subjectNamed(id as string))
  // The log's own key is nobody's, whatever a credential says: what is under it could not be erased.
  return [...new Set(names)].filter((name) => name !== 'kwaai:log')
}

/** Under whose key a credential is kept: the first of {@link subjectsOfCredential}. */
export function subjectOfCredential(credential: { credentialSubject?: unknown }): string | undefined {
  return subjectsOfCredential(credential)[0]
}

/** A credential belongs to its subject; one that names nobody to itself, `credential:<id>`. */
export const credentialScopes: readonly SealedScope[] = [
  {
    prefix: 'credential/',
    ofValue: async (value, rest) => {
      const { credential } = JSON.parse(Buffer.from(value).toString()) as { credential: object }
      return subjectOfCredential(credential) ?? `credential:${rest}`
    }
  }
]

/** A grant belongs to whom it was given; which nodes honour it besides its owner, to the first of these. */
export const grantScopes: readonly SealedScope[] = [
  {
    prefix: 'grant/kept/',
    ofValue: async (value) => {
      const { readGrant } = await import('@kwaai/identity/grant')
      const read = await readGrant(value)
      return read.ok ? read.grant.claims.aud : undefined
    }
  },
  {
    prefix: 'grant/peers/',
    ofValue: async (value) => (JSON.parse(Buffer.from(value).toString()) as string[])[0]
  }
]

/** What an issuer has seen of a peer, and issued to it, belongs to that peer. */
export const observationScopes: readonly SealedScope[] = [
  { prefix: 'observed/', subjectOf: subjectNamed },
  { prefix: 'given/', subjectOf: (rest) => subjectNamed(rest.slice(rest.indexOf('/') + 1)) }
]

/** Every file of a data folder that holds something of persons besides the audit log, by its name. */
export const sealedFiles: Readonly<Record<string, readonly SealedScope[]>> = {
  'answers.log': answerScopes,
  'api-keys.log': keyScopes,
  'credentials.log': credentialScopes,
  'grants.log': grantScopes,
  'issuer.log': observationScopes
}
