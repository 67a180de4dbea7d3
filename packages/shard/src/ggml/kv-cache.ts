import type { KvRows } from '@kwaai/interface'
import { shardError } from '../errors.ts'
import type { BlockRange } from './block-graph.ts'
import { kvBucket } from './constants.ts'
import { createContext, ggmlType } from './context.ts'
import type { Ggml } from './native.ts'

/** K and V of one session for each block of a range, in native memory. */
export interface KvCache {
  readonly maxTokens: number
  /** Rows there is room for. */
  readonly capacity: number
  /** Where the rows lie, `[capacity, kvHeadCount * headSize]`: for each block those of K, then those of V. */
  readonly addresses: readonly bigint[]
  /** Rows that hold something. */
  length: number
  /** Makes sure that the first `rows` rows are numbers: graphs read padded lengths. */
  clearTo(rows: number): void
  /** Sets rows to zero and ends the cache before them. */
  erase(from: number, to: number): void
  read(from: number, to: number): Uint8Array
  write(rows: KvRows): void
  free(): void
}

/**
 * @param budget bytes that caches may still take; lowered here, raised by `free`.
 * @throws A KwaaiError `ERR_BACKEND_OUT_OF_MEMORY` when the budget or the memory is too small.
 */
export function createKvCache(
  ggml: Ggml,
  range: BlockRange,
  maxTokens: number,
  budget: { bytes: number }
): KvCache {
  const { c } = ggml
  const { kvHeadCount, headSize } = range.config
  const capacity = Math.ceil(maxTokens / kvBucket) * kvBucket
  const rowBytes = kvHeadCount * headSize * range.kvElementBytes
  const bytes = 2 * range.blocks.length * capacity * rowBytes
  const refuse = (why: string): Error =>
    shardError('ERR_BACKEND_OUT_OF_MEMORY', `Cannot open a session of ${maxTokens} tokens: ${why}`, {
      details: { bytes, available: budget.bytes }
    })
  if (!(bytes <= budget.bytes))
    throw refuse(`it takes ${bytes} bytes, and ${budget.bytes} are left for caches`)

  const ctx = createContext(ggml, 2 * range.blocks.length)
  // For each block its K, then its V.
  const tensors = Array.from({ length: 2 * range.blocks.length }, () =>
    c.ggml_new_tensor_2d(ctx, range.kvType, kvHeadCount * headSize, capacity)
  )
  const buffer = c.ggml_backend_alloc_ctx_tensors_from_buft(ctx, ggml.bufferType)
  if (buffer === 0) {
    c.ggml_free(ctx)
    throw refuse(`there is no memory for ${bytes} bytes`)
  }
  budget.bytes -= bytes

  let cleared = 0
  const zero = (from: number, to: number): void => {
    for (const tensor of tensors)
      c.ggml_backend_tensor_memset(tensor, 0, from * rowBytes, (to - from) * rowBytes)
  }
  const cache: KvCache = {
    maxTokens,
    capacity,
    addresses: tensors.map((tensor) => BigInt(c.ggml_get_data(tensor))),
    length: 0,
    // Step by step, not at once: memory nobody wrote to costs nothing.
    clearTo(rows) {
      if (rows <= cleared) return
      zero(cleared, rows)
      cleared = rows
    },
    erase(from, to) {
      zero(from, to)
      cache.length = Math.min(cache.length, from)
    },
    read(from, to) {
      checkRows('export', from, to, cache.length)
      const size = (to - from) * rowBytes
      const data = new Uint8Array(size * tensors.length)
      if (size === 0) return data
      for (const [i, tensor] of tensors.entries())
        c.ggml_backend_tensor_get(tensor, data.subarray(i * size, (i + 1) * size), from * rowBytes, size)
      return data
    },
    write({ from, to, format, data }) {
      const own = range.kvType === ggmlType.F16 ? 'f16' : 'f32'
      if (format !== own)
        throw shardError('ERR_BACKEND_INVALID_KV', `Cannot import ${format} rows: this cache holds ${own}`)
      checkRows('import', from, to, maxTokens)
      if (from > cache.length)
        throw shardError(
          'ERR_BACKEND_INVALID_KV',
          `Cannot import rows from ${from} on: the cache ends at ${cache.length}`
        )
      const size = (to - from) * rowBytes
      if (data.length !== size * tensors.length)
        throw shardError(
          'ERR_BACKEND_INVALID_KV',
          `Cannot import rows ${from} to ${to}: they take ${size * tensors.length} bytes, not ${data.length}`
        )
      cache.clearTo(Math.ceil(to / kvBucket) * kvBucket)
      if (size > 0)
        for (const [i, tensor] of tensors.entries())
          c.ggml_backend_tensor_set(tensor, data.subarray(i * size, (i + 1) * size), from * rowBytes, size)
      cache.length = to
    },
    free() {
      c.ggml_backend_buffer_free(buffer)
      c.ggml_free(ctx)
      budget.bytes += bytes
    }
  }
  return cache
}

function checkRows(what: string, from: number, to: number, limit: number): void {
  const whole = Number.isSafeInteger(from) && Number.isSafeInteger(to)
  if (!whole || from < 0 || to < from || to > limit)
    throw shardError('ERR_BACKEND_INVALID_KV', `Cannot ${what} rows ${from} to ${to} of ${limit}`)
}

/** A cache tensor that stands for those of sessions while a graph is built; no row of it is ever written. */
export function createStandIn(
  ggml: Ggml,
  range: BlockRange,
  capacity: number
): { tensor: number; free(): void } | undefined {
  const { c } = ggml
  const { kvHeadCount, headSize } = range.config
  const ctx = createContext(ggml, 1)
  const tensor = c.ggml_new_tensor_2d(ctx, range.kvType, kvHeadCount * headSize, capacity)
  const buffer = c.ggml_backend_alloc_ctx_tensors_from_buft(ctx, ggml.bufferType)
  if (buffer === 0) {
    c.ggml_free(ctx)
    return undefined
  }
  return {
    tensor,
    free() {
      c.ggml_backend_buffer_free(buffer)
      c.ggml_free(ctx)
    }
  }
}
