import type { CallOptions, Clock, Did, KeyValueStore, Random } from '@kwaai/interface'
import { systemClock, systemRandom } from '@kwaai/interface/memory'
import { toHex } from '../bytes.ts'
import { ERR_IDENTITY_STATUS_LIST_FULL, ERR_IDENTITY_STATUS_LIST_INVALID, identityError } from '../errors.ts'
import type { Credential, StatusEntry } from '../vc/types.ts'
import { DEFAULT_STATUS_TTL_MS, statusEntry, statusListCredential } from './status-credential.ts'
import { createStatusList } from './status-list.ts'

/** What a registry keeps. */
export interface StatusRegistryInit {
  /** The DID that issues the credentials and the lists. */
  issuer: Did
  /** Where the list of each purpose is found, such as `{ revocation: 'https://example.org/status/revocation' }`. */
  lists: Readonly<Record<string, string>>
  /** Entries, at least and by default 131,072. */
  length?: number
  /** Milliseconds a published list is valid; half of them later a new one is made. Default 86,400,000 (a day). */
  validForMs?: number
  /** Milliseconds readers may keep a list: how late they may learn of a revocation. Default 300,000. */
  ttlMs?: number
  /** Begins the keys in the store. Default `status`. */
  prefix?: string
}

/** What a registry works with. */
export interface StatusRegistryComponents {
  store: KeyValueStore
  /** Signs the credential of a list, such as `(credential) => issue(credential, signer)`. */
  issue: (credential: Credential, options: CallOptions) => Promise<Credential>
  clock?: Clock
  /** Which entry comes next. Default: the platform's cryptographic randomness. */
  random?: Random
}

/** An issuer's record of what it has revoked or suspended. */
export interface StatusRegistry {
  /**
   * Gives away an entry that nobody had, chosen at random so that it says nothing about when a credential was issued.
   * One process at a time may do so.
   *
   * @throws A KwaaiError `ERR_IDENTITY_STATUS_LIST_FULL`.
   */
  allocate(options?: CallOptions): Promise<{ index: number; entries: readonly StatusEntry[] }>
  /**
   * Sets or clears an entry; from then on {@link StatusRegistry.credential} gives a list that says so.
   *
   * @throws A KwaaiError `ERR_IDENTITY_STATUS_LIST_INVALID` where the entry was never given away, there is no list for
   * the purpose, or a revocation would be undone.
   */
  set(index: number, purpose: string, value: boolean, options?: CallOptions): Promise<void>
  get(index: number, purpose: string, options?: CallOptions): Promise<boolean>
  /**
   * The signed credential of a list: the one kept, or a new one where an entry has changed, its period is half over, or
   * another issuer signed it.
   *
   * @throws A KwaaiError `ERR_IDENTITY_STATUS_LIST_INVALID` where there is no list for the purpose.
   */
  credential(purpose: string, options?: CallOptions): Promise<Credential>
}

interface Published {
  revision: string
  /** Milliseconds since 1970. */
  at: number
  credential: Credential
}

const tries = 64
const encoder = new TextEncoder()
const decoder = new TextDecoder()

/**
 * Makes the registry of an issuer. Each entry is a key of its own in the store, and a change and the mark that makes the
 * published list out of date are one batch, so that no change is lost, whoever else uses the store.
 *
 * @throws A KwaaiError `ERR_IDENTITY_STATUS_LIST_INVALID` where the list would be too short or too large.
 */
export function createStatusRegistry(
  init: StatusRegistryInit,
  components: StatusRegistryComponents
): StatusRegistry {
  const { issuer, lists, validForMs = 86_400_000, ttlMs = DEFAULT_STATUS_TTL_MS, prefix = 'status' } = init
  const { store, issue, clock = systemClock, random = systemRandom } = components
  const size = init.length === undefined ? {} : { length: init.length }
  const { length } = createStatusList(size)
  const purposes = Object.keys(lists)

  const padded = (index: number): string => String(index).padStart(8, '0')
  const takenKey = (index: number): string => `${prefix}/taken/${padded(index)}`
  const setKey = (purpose: string, index: number): string => `${prefix}/set/${purpose}/${padded(index)}`
  const publishedKey = (purpose: string): string => `${prefix}/published/${purpose}`
  const revisionKey = (purpose: string): string => `${prefix}/revision/${purpose}`

  const urlOf = (purpose: string): string => {
    const url = Object.hasOwn(lists, purpose) ? lists[purpose] : undefined
    if (url !== undefined) return url
    throw invalid(`there is no list for ${purpose}; there are lists for ${purposes.join(' and ')}`)
  }

  let queue: Promise<unknown> = Promise.resolve()
  const inTurn = <T>(work: () => Promise<T>): Promise<T> => {
    const result = queue.then(work)
    queue = result.catch(() => undefined)
    return result
  }

  const freeIndex = async (options: CallOptions): Promise<number> => {
    for (let i = 0; i < tries; i++) {
      const index = below(length, random)
      if ((await store.get(takenKey(index), options)) === undefined) return index
    }
    // Nearly all are taken: choose among those left.
    const taken = new Set<number>()
    for (const index of await indexes(`${prefix}/taken/`, options)) taken.add(index)
    const free: number[] = []
    for (let index = 0; index < length; index++) if (!taken.has(index)) free.push(index)
    if (free.length > 0) return free[below(free.length, random)] as number
    throw identityError(
      ERR_IDENTITY_STATUS_LIST_FULL,
      `Cannot give away an entry: all ${length} of the status list are taken. Begin another list`
    )
  }
  const indexes = async (start: string, options: CallOptions): Promise<number[]> => {
    const found: number[] = []
    for await (const [key] of store.entries({ gte: start, lt: `${start}~`, ...options })) {
      found.push(Number(key.slice(start.length)))
    }
    return found
  }

  const publish = async (purpose: string, revision: string, options: CallOptions): Promise<Credential> => {
    const list = createStatusList(size)
    for (const index of await indexes(`${prefix}/set/${purpose}/`, options)) list.set(index, 1)
    const at = clock.now()
    const unsigned = await statusListCredential({
      url: urlOf(purpose),
      issuer,
      purpose,
      list,
      validFrom: at,
      validUntil: at + validForMs,
      ttlMs
    })
    const credential = await issue(unsigned, options)
    const published: Published = { revision, at, credential }
    await store.put(publishedKey(purpose), encoder.encode(JSON.stringify(published)), options)
    return credential
  }

  return {
    allocate: (options = {}) =>
      inTurn(async () => {
        const index = await freeIndex(options)
        await store.put(takenKey(index), new Uint8Array([1]), options)
        const entries = purposes.map((purpose) =>
          statusEntry({ statusListCredential: urlOf(purpose), index, purpose })
        )
        return { index, entries }
      }),
    set: (index, purpose, value, options = {}) =>
      inTurn(async () => {
        urlOf(purpose)
        if ((await store.get(takenKey(index), options)) === undefined) {
          throw invalid(`its entry ${index} was never given away`)
        }
        const key = setKey(purpose, index)
        const before = (await store.get(key, options)) !== undefined
        if (before === value) return
        if (before && purpose === 'revocation') throw invalid('a revocation cannot be undone')
        await store.batch(
          [
            value ? { type: 'put', key, value: new Uint8Array([1]) } : { type: 'delete', key },
            { type: 'put', key: revisionKey(purpose), value: random.bytes(16) }
          ],
          options
        )
      }),
    async get(index, purpose, options = {}) {
      urlOf(purpose)
      return (await store.get(setKey(purpose, index), options)) !== undefined
    },
    credential: (purpose, options = {}) =>
      inTurn(async () => {
        urlOf(purpose)
        // Read before the entries are: a change in between makes this list out of date, and the next call makes another.
        const revision = toHex((await store.get(revisionKey(purpose), options)) ?? new Uint8Array())
        const kept = await store.get(publishedKey(purpose), options)
        const published = kept === undefined ? undefined : (JSON.parse(decoder.decode(kept)) as Published)
        const age = published === undefined ? Infinity : clock.now() - published.at
        // A list that another key signed, before this one took its place, says nothing of what this one issues.
        const own = published?.credential.issuer === issuer
        const current = own && published.revision === revision && age >= 0 && age < validForMs / 2
        return current ? published.credential : publish(purpose, revision, options)
      })
  }
}

function invalid(why: string): Error {
  return identityError(ERR_IDENTITY_STATUS_LIST_INVALID, `Cannot use the status list: ${why}`)
}

/** A whole number from 0 to `limit` - 1, each as likely as the others. */
function below(limit: number, random: Random): number {
  const most = Math.floor(2 ** 32 / limit) * limit
  for (;;) {
    const bytes = random.bytes(4)
    const value = new DataView(bytes.buffer, bytes.byteOffset, 4).getUint32(0)
    if (value < most) return value % limit
  }
}
