import { hmac } from '@noble/hashes/hmac.js'
import { sha256 } from '@noble/hashes/sha2.js'
import type { BatchOperation, CallOptions, KeyRange, KeyValueStore, Random } from '@kwaai/interface'
import { systemRandom } from '@kwaai/interface/memory'
import { concatBytes, textOf, toHex, utf8 } from './bytes.ts'
import { deriveKey, openBytes, sealBytes } from './sealing.ts'
import type { SubjectKey, SubjectKeyVault } from './subject-keys.ts'

/** A part of a store whose entries belong to persons. */
export interface SealedScope {
  /** What its keys begin with, such as `api/responses/value/`. Nothing of it is hidden. */
  prefix: string
  /** Whose an entry is, by what follows the prefix; undefined where it is nobody's and stays as it is. */
  subjectOf?(rest: string): string | undefined
  /**
   * Whose an entry is, where only its value tells: instead of `subjectOf`. To find an entry by its key then takes a look
   * under each person's key, so it is for stores of few entries.
   */
  ofValue?(value: Uint8Array, rest: string): Promise<string | undefined>
}

/** Options of {@link createSealedStore}. */
export interface SealedStoreInit {
  scopes: readonly SealedScope[]
}

/** What it works with. */
export interface SealedStoreComponents {
  store: KeyValueStore
  keys: SubjectKeyVault
  /** Makes nonces, so it has to be unpredictable. Default: the platform's. */
  random?: Random
}

/** A store that forgets a person with the person's key. */
export interface SealedStore extends KeyValueStore {
  /** The entries of one person. */
  entriesOf(subject: string, options?: CallOptions): AsyncIterable<[key: string, value: Uint8Array]>
  /** Seals what was kept in the clear before. @returns how many entries. */
  sealAll(options?: CallOptions): Promise<number>
  /** Deletes what no key opens any more. @returns how many entries. */
  sweep(options?: CallOptions): Promise<number>
}

/** Where an entry belongs. */
interface Place {
  prefix: string
  subject: string | undefined
  /** Its key does not tell whose it is. */
  searched?: true
}

// `<prefix>~<key id>/<mac of the key>` holds the key and the value: below `~` nobody else's keys begin.
const marker = '~'
/** What its length of two bytes can say. */
const maxKeyBytes = 0xffff

/**
 * Encrypts what belongs to persons, keys and values, each under its person's key: with that key destroyed they are not
 * there any more. What belongs to nobody stays as it is. Keys are asked of the vault each time and never kept, so
 * a key that another process destroys opens nothing from then on.
 */
export function createSealedStore(init: SealedStoreInit, components: SealedStoreComponents): SealedStore {
  const { scopes } = init
  const { store, keys, random = systemRandom } = components

  const scopeOf = (key: string): SealedScope | undefined =>
    scopes.find(({ prefix }) => key.startsWith(prefix))
  const placeOf = async (key: string, value?: Uint8Array): Promise<Place | undefined> => {
    const scope = scopeOf(key)
    if (scope === undefined) return undefined
    const rest = key.slice(scope.prefix.length)
    if (scope.ofValue === undefined) {
      const subject = scope.subjectOf?.(rest)
      return subject === undefined ? undefined : { prefix: scope.prefix, subject }
    }
    const subject = value === undefined ? undefined : await scope.ofValue(value, rest)
    return { prefix: scope.prefix, subject, searched: true }
  }
  const sealedName = (prefix: string, { id, secret }: SubjectKey, key: string): string => {
    const mac = hmac(sha256, deriveKey(secret, 'kwaai/sealed/name/1'), utf8(key))
    return `${prefix}${marker}${id}/${toHex(mac.subarray(0, 16))}`
  }
  const sealKey = (key: SubjectKey): Uint8Array => deriveKey(key.secret, 'kwaai/sealed/value/1')
  const unseal = (name: string, sealed: Uint8Array, key: SubjectKey): [string, Uint8Array] | undefined => {
    const text = openBytes(sealKey(key), utf8(name), sealed)
    if (text === undefined || text.length < 2) return undefined
    const end = 2 + (((text[0] as number) << 8) | (text[1] as number))
    const logical = textOf(text.subarray(2, end))
    return logical === undefined ? undefined : [logical, text.slice(end)]
  }
  /** Under which names an entry is kept: one, but where its value tells whose it is. */
  const namesOf = async (
    key: string,
    { prefix, subject, searched }: Place,
    options?: CallOptions
  ): Promise<{ name: string; own: SubjectKey }[]> => {
    if (searched !== true) {
      const own = subject === undefined ? undefined : await keys.get(subject, options)
      return own === undefined ? [] : [{ name: sealedName(prefix, own, key), own }]
    }
    const found: { name: string; own: SubjectKey }[] = []
    for await (const own of keys.keys(options)) {
      const name = sealedName(prefix, own, key)
      if ((await store.get(name, options)) !== undefined) found.push({ name, own })
    }
    return found
  }
  const sealing = async (operation: BatchOperation, options?: CallOptions): Promise<BatchOperation[]> => {
    const place = await placeOf(operation.key, operation.type === 'put' ? operation.value : undefined)
    if (place === undefined) return [operation]
    const gone = (key: string): BatchOperation => ({ type: 'delete', key })
    // What is there from before goes; where there is none nothing may name it: a store that appends keeps that too.
    const before = await store.get(operation.key, options)
    const clear: BatchOperation[] = before === undefined ? [] : [gone(operation.key)]
    const kept = operation.type === 'delete' || place.searched === true
    const names = kept ? (await namesOf(operation.key, place, options)).map(({ name }) => name) : []
    if (operation.type === 'delete') return [...clear, ...names.map(gone)]
    if (place.subject === undefined) return [...names.map(gone), operation]
    const key = await keys.make(place.subject, options)
    const name = sealedName(place.prefix, key, operation.key)
    const logical = utf8(operation.key)
    if (logical.length > maxKeyBytes)
      throw new RangeError(`Cannot keep a key of more than ${maxKeyBytes} bytes`)
    const text = concatBytes([logical.length >> 8, logical.length & 0xff], logical, operation.value)
    const value = sealBytes(sealKey(key), utf8(name), text, random)
    return [...clear, ...names.filter((one) => one !== name).map(gone), { type: 'put', key: name, value }]
  }
  const batch: KeyValueStore['batch'] = async (operations, options) => {
    const own = operations.map((operation) =>
      operation.type === 'put' ? { ...operation, value: operation.value.slice() } : operation
    )
    const sealed: BatchOperation[] = []
    for (const operation of own) sealed.push(...(await sealing(operation, options)))
    await store.batch(sealed, options)
  }
  const get: KeyValueStore['get'] = async (key, options) => {
    const place = await placeOf(key)
    for (const { name, own } of place === undefined ? [] : await namesOf(key, place, options)) {
      const sealed = await store.get(name, options)
      if (sealed !== undefined) return unseal(name, sealed, own)?.[1]
    }
    // What was kept before the store was sealed stands in the clear, as does what is nobody's.
    return store.get(key, options)
  }
  const byId = async (options?: CallOptions): Promise<Map<string, SubjectKey>> => {
    const found = new Map<string, SubjectKey>()
    for await (const key of keys.keys(options)) found.set(key.id, key)
    return found
  }
  /** The id of the key that opens what stands under a name. */
  const idOf = (name: string): string | undefined => {
    const scope = scopes.find(({ prefix }) => name.startsWith(prefix + marker))
    return scope === undefined ? undefined : name.slice(scope.prefix.length + 1, scope.prefix.length + 33)
  }

  async function* entries(range: KeyRange & CallOptions = {}): AsyncGenerator<[string, Uint8Array]> {
    const options = range.signal === undefined ? {} : { signal: range.signal }
    let held: Map<string, SubjectKey> | undefined
    const found: [string, Uint8Array][] = []
    for await (const [name, value] of store.entries({ ...physicalRange(range, scopes), ...options })) {
      const id = idOf(name)
      if (id === undefined) {
        if (isInside(name, range)) found.push([name, value])
        continue
      }
      const key = (held ??= await byId(options)).get(id)
      const entry = key && unseal(name, value, key)
      if (entry !== undefined && isInside(entry[0], range)) found.push(entry)
    }
    found.sort(([a], [b]) => compareUtf8(a, b))
    if (range.reverse === true) found.reverse()
    for (const entry of found.slice(0, range.limit)) {
      range.signal?.throwIfAborted()
      yield entry
    }
  }

  return {
    specification: 'kwaai.key-value-store/1',
    get,
    put: (key, value, options) => batch([{ type: 'put', key, value }], options),
    delete: (key, options) => batch([{ type: 'delete', key }], options),
    batch,
    entries,
    async *entriesOf(subject, options) {
      const key = await keys.get(subject, options)
      if (key === undefined) return
      for (const { prefix } of scopes) {
        const start = `${prefix}${marker}${key.id}/`
        for await (const [name, value] of store.entries({ gte: start, lt: after(start), ...options })) {
          const entry = unseal(name, value, key)
          if (entry !== undefined) yield entry
        }
      }
    },
    async sealAll(options) {
      let count = 0
      for (const { prefix } of scopes) {
        for await (const [key, value] of store.entries({ gte: prefix, lt: after(prefix), ...options })) {
          if (idOf(key) !== undefined || (await placeOf(key, value))?.subject === undefined) continue
          await batch([{ type: 'put', key, value }], options)
          count++
        }
      }
      return count
    },
    async sweep(options) {
      const found: { key: string; id: string }[] = []
      for (const { prefix } of scopes) {
        const range = { gte: prefix + marker, lt: after(prefix + marker), ...options }
        for await (const [key] of store.entries(range)) found.push({ key, id: idOf(key) ?? '' })
      }
      // The keys are asked for last: one that is made meanwhile is there before its first entry.
      const held = await byId(options)
      const gone = found.filter(({ id }) => !held.has(id))
      if (gone.length > 0)
        await store.batch(
          gone.map(({ key }) => ({ type: 'delete', key })),
          options
        )
      return gone.length
    }
  }
}

/** What of the store has to be read: the keys that begin as all of the range do, cut where names are hidden. */
function physicalRange(range: KeyRange, scopes: readonly SealedScope[]): KeyRange {
  const low = range.gte ?? range.gt ?? ''
  const high = range.lt ?? range.lte ?? ''
  let length = 0
  while (length < low.length && low[length] === high[length]) length++
  let common = low.slice(0, length)
  for (const { prefix } of scopes) if (common.startsWith(prefix)) common = prefix
  // Half of a surrogate pair begins nothing.
  if (!common.isWellFormed()) common = common.slice(0, -1)
  return common === '' ? {} : { gte: common, lt: after(common) }
}

/** The first key behind all that begin with a text. */
function after(prefix: string): string {
  return `${prefix}\u{10ffff}`
}

function isInside(key: string, { gte, gt, lte, lt }: KeyRange): boolean {
  return (
    (gte === undefined || compareUtf8(key, gte) >= 0) &&
    (gt === undefined || compareUtf8(key, gt) > 0) &&
    (lte === undefined || compareUtf8(key, lte) <= 0) &&
    (lt === undefined || compareUtf8(key, lt) < 0)
  )
}

/** Orders as UTF-8 does: by code points. */
function compareUtf8(a: string, b: string): number {
  const [left, right] = [Array.from(a), Array.from(b)]
  for (let at = 0; at < Math.min(left.length, right.length); at++) {
    const difference = (left[at]?.codePointAt(0) ?? 0) - (right[at]?.codePointAt(0) ?? 0)
    if (difference !== 0) return difference
  }
  return left.length - right.length
}
