import type { Libp2pOptions } from 'libp2p'

type Datastore = NonNullable<Libp2pOptions['datastore']>
type Key = Parameters<Datastore['has']>[0]
interface Pair {
  key: Key
  value: Uint8Array
}

/**
 * A datastore for libp2p that holds so many entries and then forgets the one written longest ago: what peers
 * say about other peers must not fill the memory. With 0 it holds nothing.
 */
export function createBoundedDatastore(maxEntries: number): Datastore {
  const pairs = new Map<string, Pair>()

  const put = (key: Key, value: Uint8Array): Key => {
    const name = key.toString()
    pairs.delete(name)
    pairs.set(name, { key, value })
    if (pairs.size > maxEntries) {
      const [oldest = name] = pairs.keys()
      pairs.delete(oldest)
    }
    return key
  }
  const get = (key: Key): Uint8Array => {
    const pair = pairs.get(key.toString())
    // libp2p asks for the name.
    if (pair === undefined) throw Object.assign(new Error(`Cannot find ${key}`), { name: 'NotFoundError' })
    return pair.value
  }
  const remove = (key: Key): void => void pairs.delete(key.toString())
  const select = <T>(
    all: T[],
    { filters = [], orders = [], offset = 0, limit = Infinity }: Selection<T>
  ): T[] => {
    const found = all.filter((item) => filters.every((filter) => filter(item)))
    for (const order of orders) found.sort(order)
    return found.slice(offset, offset + limit)
  }
  const under = (prefix = ''): Pair[] =>
    [...pairs.values()].filter(({ key }) => key.toString().startsWith(prefix))

  return {
    has: (key) => pairs.has(key.toString()),
    get,
    put,
    delete: remove,
    async *getMany(source) {
      for await (const key of source) yield { key, value: get(key) }
    },
    async *putMany(source) {
      for await (const { key, value } of source) yield put(key, value)
    },
    async *deleteMany(source) {
      for await (const key of source) {
        remove(key)
        yield key
      }
    },
    async *query(query) {
      yield* select(under(query.prefix), query)
    },
    async *queryKeys(query) {
      yield* select(
        under(query.prefix).map(({ key }) => key),
        query
      )
    },
    batch: () => {
      const operations: (() => void)[] = []
      return {
        put: (key, value) => void operations.push(() => put(key, value)),
        delete: (key) => void operations.push(() => remove(key)),
        commit: () => {
          for (const operation of operations.splice(0)) operation()
        }
      }
    }
  }
}

interface Selection<T> {
  filters?: ((item: T) => boolean)[]
  orders?: ((a: T, b: T) => -1 | 0 | 1)[]
  offset?: number
  limit?: number
}
