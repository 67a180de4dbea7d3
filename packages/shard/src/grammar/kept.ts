/** Remembers values by name, the most recently used of them. */
export interface Kept<T> {
  get(name: string): T | undefined
  /** Remembers a value as the latest; forgets the least recently used where there are too many. */
  set(name: string, value: T): void
  clear(): void
}

/** Makes a memory of at most `count` values whose sizes are at most `size` together. */
export function createKept<T extends { readonly size: number }>(bounds: {
  count: number
  size: number
}): Kept<T> {
  /** The least recently used first. */
  const values = new Map<string, T>()
  let size = 0
  const remove = (name: string): void => {
    size -= values.get(name)?.size ?? 0
    values.delete(name)
  }
  return {
    get: (name) => values.get(name),
    set(name, value) {
      remove(name)
      values.set(name, value)
      size += value.size
      for (const oldest of values.keys()) {
        if (values.size <= bounds.count && size <= bounds.size) break
        remove(oldest)
      }
    },
    clear() {
      values.clear()
      size = 0
    }
  }
}
