import { shardError } from '../errors.ts'

/** Counts bytes against a limit, before they are allocated. */
export interface MemoryBudget {
  /** @throws A KwaaiError `ERR_BACKEND_OUT_OF_MEMORY` when they do not fit. */
  take(bytes: number, what: string): void
  give(bytes: number): void
}

/** A budget of `limit` bytes. */
export function createMemoryBudget(limit: number): MemoryBudget {
  let used = 0
  return {
    take(bytes, what) {
      if (bytes > limit - used)
        throw shardError(
          'ERR_BACKEND_OUT_OF_MEMORY',
          `Cannot make room for ${what}: it needs ${bytes} bytes, ${limit - used} of ${limit} are free`,
          { details: { needed: bytes, free: limit - used, limit } }
        )
      used += bytes
    },
    give(bytes) {
      used -= bytes
    }
  }
}

/** Allocates; where the engine itself has no room, that is an error of ours. */
export function allocate<T>(make: () => T, what: string): T {
  try {
    return make()
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause
    throw shardError('ERR_BACKEND_OUT_OF_MEMORY', `Cannot make room for ${what}: the engine refuses`, {
      cause
    })
  }
}
