import type { BatchOperation, KeyRange, KeyValueStore } from '../common.ts'

/** Orders strings as their UTF-8 bytes order. */
export function compareUtf8(a: string, b: string): number {
  // Code points order as UTF-8 does; UTF-16 units do not, above U+FFFF.
  const left = a[Symbol.iterator]()
  const right = b[Symbol.iterator]()
  for (;;) {
    const x = left.next()
    const y = right.next()
    if (x.done === true || y.done === true) return Number(y.done ?? false) - Number(x.done ?? false)
    const difference = (x.value.codePointAt(0) ?? 0) - (y.value.codePointAt(0) ?? 0)
    if (difference !== 0) return difference
  }
}

function inside(key: string, range: KeyRange): boolean {
  const { gte, gt, lte, lt } = range
  return (
    (gte === undefined || compareUtf8(key, gte) >= 0) &&
    (gt === undefined || compareUtf8(key, gt) > 0) &&
    (lte === undefined || compareUtf8(key, lte) <= 0) &&
    (lt === undefined || compareUtf8(key, lt) < 0)
  )
}

/** A key-value store that forgets everything with the process. A walk sees the store as it was at its start. */
export function createMemoryStore(): KeyValueStore {
  const values = new Map<string, Uint8Array>()
  const apply = (operation: BatchOperation): void => {
    if (operation.type === 'put') values.set(operation.key, new Uint8Array(operation.value))
    else values.delete(operation.key)
  }
  return {
    specification: 'kwaai.key-value-store/1',
    async get(key, options) {
      options?.signal?.throwIfAborted()
      const value = values.get(key)
      return value === undefined ? undefined : new Uint8Array(value)
    },
    async put(key, value, options) {
      options?.signal?.throwIfAborted()
      apply({ type: 'put', key, value })
    },
    async delete(key, options) {
      options?.signal?.throwIfAborted()
      apply({ type: 'delete', key })
    },
    async batch(operations, options) {
      options?.signal?.throwIfAborted()
      for (const operation of operations) apply(operation)
    },
    async *entries(range = {}) {
      range.signal?.throwIfAborted()
      const found = [...values]
        .filter(([key]) => inside(key, range))
        .toSorted(([a], [b]) => compareUtf8(a, b))
      if (range.reverse === true) found.reverse()
      for (const [key, value] of found.slice(0, range.limit)) {
        range.signal?.throwIfAborted()
        yield [key, new Uint8Array(value)]
      }
    }
  }
}
