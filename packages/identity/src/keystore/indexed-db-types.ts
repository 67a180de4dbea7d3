/*
 * The part of IndexedDB that a key store uses, as browsers have it: the types of the DOM are no part of this package.
 */

/** Tells of its events. */
export interface DbListened {
  addEventListener(type: string, listener: () => void): void
}

/** A request under way. */
export interface DbRequest<T> extends DbListened {
  readonly result: T
  readonly error: Error | null
}

/** A place for values, under keys. */
export interface DbObjectStore {
  get(key: string): DbRequest<unknown>
  add(value: unknown, key: string): DbRequest<unknown>
  put(value: unknown, key: string): DbRequest<unknown>
  delete(key: string): DbRequest<unknown>
  getAllKeys(): DbRequest<unknown[]>
}

/** All or nothing. */
export interface DbTransaction extends DbListened {
  readonly error: Error | null
  objectStore(name: string): DbObjectStore
  abort(): void
}

/** An open database. */
export interface Db extends DbListened {
  transaction(
    stores: string,
    mode: 'readonly' | 'readwrite',
    options: { durability: 'strict' }
  ): DbTransaction
  createObjectStore(name: string): DbObjectStore
  close(): void
}

/** What `globalThis.indexedDB` is in a browser. */
export interface DbFactory {
  open(name: string, version: number): DbRequest<Db>
}
