import { hmac } from '@noble/hashes/hmac.js'
import { sha256 } from '@noble/hashes/sha2.js'
import type { CallOptions, KeyValueStore, Random } from '@kwaai/interface'
import { systemRandom } from '@kwaai/interface/memory'
import { concatBytes, toHex, utf8 } from './bytes.ts'
import { MAX_SUBJECT_BYTES } from './constants.ts'
import { ERR_AUDIT_INVALID_ENTRY, auditError } from './errors.ts'
import { createQueue } from './queue.ts'

/** The key under which everything of one person is encrypted. Without it, nothing of that person can be read. */
export interface SubjectKey {
  /** A random name of the key, 32 hexadecimal digits: tells nothing of the person. */
  readonly id: string
  /** 32 random bytes. */
  readonly secret: Uint8Array
}

/**
 * Where the keys of persons are. A subject is a DID or the name of an account. To destroy a key has to remove its
 * bytes, so an implementation over something that only ever appends is none.
 */
export interface SubjectKeyVault {
  readonly specification: 'kwaai.subject-key-vault/1'
  /** The key of a subject, where there is one. */
  get(subject: string, options?: CallOptions): Promise<SubjectKey | undefined>
  /** The key of a subject, made where there is none. It is kept before this resolves. */
  make(subject: string, options?: CallOptions): Promise<SubjectKey>
  /** Destroys the key of a subject for good. @returns whether there was one. */
  destroy(subject: string, options?: CallOptions): Promise<boolean>
  /** All keys, in any order. */
  keys(options?: CallOptions): AsyncIterable<SubjectKey>
}

/** Bytes of a key as vaults keep it: its name and its secret. */
export const SUBJECT_KEY_BYTES = 48

/**
 * A new key.
 *
 * @param random has to be unpredictable.
 */
export function newSubjectKey(random: Random): SubjectKey {
  return { id: toHex(random.bytes(16)), secret: random.bytes(32) }
}

/** The 48 bytes of a key. */
export function encodeSubjectKey({ id, secret }: SubjectKey): Uint8Array {
  const name = Array.from({ length: 16 }, (_, at) => Number.parseInt(id.slice(at * 2, at * 2 + 2), 16))
  return concatBytes(name, secret)
}

/** The key of 48 bytes; undefined for others. */
export function decodeSubjectKey(bytes: Uint8Array): SubjectKey | undefined {
  if (bytes.length !== SUBJECT_KEY_BYTES) return undefined
  return { id: toHex(bytes.subarray(0, 16)), secret: bytes.slice(16) }
}

/**
 * Gives the subject back where it can be one.
 *
 * @throws A KwaaiError `ERR_AUDIT_INVALID_ENTRY` when it is empty, above 512 bytes or no text.
 */
export function checkSubject(subject: string): string {
  const length = utf8(subject).length
  if (length > 0 && length <= MAX_SUBJECT_BYTES && subject.isWellFormed()) return subject
  throw auditError(
    ERR_AUDIT_INVALID_ENTRY,
    `Cannot use the subject: it has ${length} bytes, and has to be a text of 1 to ${MAX_SUBJECT_BYTES}`
  )
}

/** Whose key encrypts the data of entries about nobody. */
export const NOBODY = 'kwaai:log'

/**
 * As {@link checkSubject}, where it has to be somebody.
 *
 * @throws A KwaaiError `ERR_AUDIT_INVALID_ENTRY` for the log's own name too.
 */
export function checkPerson(subject: string): string {
  if (subject !== NOBODY) return checkSubject(subject)
  throw auditError(
    ERR_AUDIT_INVALID_ENTRY,
    `Cannot use the subject: ${NOBODY} is the name of the log's own key. Name a person`
  )
}

/**
 * A name for a subject that nobody without the vault's secret can make: what a vault files a key under.
 *
 * @param secret 32 bytes of the vault's own.
 */
export function subjectName(secret: Uint8Array, subject: string): string {
  return toHex(hmac(sha256, secret, utf8(subject)))
}

/** A vault that forgets everything with the process. */
export function createMemoryVault(components: { random?: Random } = {}): SubjectKeyVault {
  const { random = systemRandom } = components
  const kept = new Map<string, SubjectKey>()
  const copy = ({ id, secret }: SubjectKey): SubjectKey => ({ id, secret: secret.slice() })
  return {
    specification: 'kwaai.subject-key-vault/1',
    async get(subject, options) {
      options?.signal?.throwIfAborted()
      const found = kept.get(checkSubject(subject))
      return found && copy(found)
    },
    async make(subject, options) {
      options?.signal?.throwIfAborted()
      const key = kept.get(checkSubject(subject)) ?? newSubjectKey(random)
      kept.set(subject, key)
      return copy(key)
    },
    async destroy(subject, options) {
      options?.signal?.throwIfAborted()
      kept.get(checkSubject(subject))?.secret.fill(0)
      return kept.delete(subject)
    },
    async *keys(options) {
      options?.signal?.throwIfAborted()
      const found = Array.from(kept.values(), copy)
      yield* found
    }
  }
}

const prefix = 'subject-key/'

/**
 * A vault over a store, under `subject-key/`. It forgets as well as the store does: over one that appends, deleted keys
 * can be found again. One vault a store.
 */
export function createStoreVault(components: { store: KeyValueStore; random?: Random }): SubjectKeyVault {
  const { store, random = systemRandom } = components
  const inTurn = createQueue()
  const nameOf = async (subject: string, options?: CallOptions): Promise<string> => {
    let secret = await store.get('subject-key-name', options)
    if (secret === undefined) {
      secret = random.bytes(32)
      await store.put('subject-key-name', secret, options)
    }
    return prefix + subjectName(secret, checkSubject(subject))
  }
  const read = async (name: string, options?: CallOptions): Promise<SubjectKey | undefined> => {
    const bytes = await store.get(name, options)
    return bytes === undefined ? undefined : decodeSubjectKey(bytes)
  }
  return {
    specification: 'kwaai.subject-key-vault/1',
    get: (subject, options) => inTurn(async () => read(await nameOf(subject, options), options), options),
    make: (subject, options) =>
      inTurn(async () => {
        const name = await nameOf(subject, options)
        const found = await read(name, options)
        if (found !== undefined) return found
        const key = newSubjectKey(random)
        await store.put(name, encodeSubjectKey(key), options)
        return key
      }, options),
    destroy: (subject, options) =>
      inTurn(async () => {
        const name = await nameOf(subject, options)
        const found = (await store.get(name, options)) !== undefined
        if (found) await store.delete(name, options)
        return found
      }, options),
    async *keys(options) {
      for await (const [, bytes] of store.entries({ gte: prefix, lt: 'subject-key0', ...options })) {
        const key = decodeSubjectKey(bytes)
        if (key !== undefined) yield key
      }
    }
  }
}
