import type { KeyRange, KeyValueStore } from '@kwaai/interface'

/** The part of a store whose keys begin with a prefix, as a store of its own. The prefix ends in a slash. */
export function prefixedStore(store: KeyValueStore, prefix: string): KeyValueStore {
  // The next character after the slash: behind all keys of the prefix, whatever follows it.
  const end = `${prefix.slice(0, -1)}0`
  const within = ({ gte, gt, lte, lt, ...rest }: KeyRange): KeyRange => ({
    ...rest,
    ...(gt === undefined ? { gte: prefix + (gte ?? '') } : { gt: prefix + gt }),
    ...(gt !== undefined && gte !== undefined ? { gte: prefix + gte } : {}),
    ...(lte === undefined ? {} : { lte: prefix + lte }),
    ...(lt === undefined ? (lte === undefined ? { lt: end } : {}) : { lt: prefix + lt })
  })
  return {
    specification: 'kwaai.key-value-store/1',
    get: (key, options) => store.get(prefix + key, options),
    put: (key, value, options) => store.put(prefix + key, value, options),
    delete: (key, options) => store.delete(prefix + key, options),
    batch: (operations, options) =>
      store.batch(
        operations.map((operation) => ({ ...operation, key: prefix + operation.key })),
        options
      ),
    async *entries(range = {}) {
      const { signal, ...bounds } = range
      const walked = store.entries({ ...within(bounds), ...(signal === undefined ? {} : { signal }) })
      for await (const [key, value] of walked) yield [key.slice(prefix.length), value]
    }
  }
}
