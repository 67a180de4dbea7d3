import type { BlockStep, KvRows, StepFailure } from '@kwaai/interface'
import { shardError } from '../errors.ts'
import { isSingle } from './attention.ts'
import type { BlockRange } from './block-graph.ts'
import { kvBucket, maxGraphRows } from './constants.ts'
import { createGraphCache, shapeKey } from './graph-cache.ts'
import { createKvCache, type KvCache } from './kv-cache.ts'
import { fillMask } from './mask.ts'
import type { Ggml } from './native.ts'
import { findBadRow } from '../bad-row.ts'

/** A range of blocks in the process that computes it. Calls must not overlap. */
export interface BlockHost {
  open(maxTokens: number): number
  forward(steps: readonly BlockStep[]): (Float32Array | StepFailure)[]
  trim(session: number, length: number): void
  exportKv(session: number, from: number, to: number): Uint8Array
  importKv(session: number, rows: KvRows): void
  close(session: number): void
  free(): void
}

/** Rows of one step that fit a graph. */
interface Piece {
  /** Index of the step. */
  step: number
  cache: KvCache
  kernel: BlockStep['kernel']
  past: number
  hidden: Float32Array
  /** First row within its step. */
  first: number
  rows: number
  /** Rows of the cache the graph looks at. */
  kvLength: number
}

/**
 * @param budget bytes that caches may still take, shared with the other ranges of this process.
 */
export function createBlockHost(
  ggml: Ggml,
  range: BlockRange,
  budget: { bytes: number },
  firstSession: number = 1
): BlockHost {
  const { c } = ggml
  const { hiddenSize } = range.config
  const sessions = new Map<number, KvCache>()
  const graphs = createGraphCache(ggml, range)
  let nextSession = firstSession

  const find = (session: number): KvCache => {
    const cache = sessions.get(session)
    if (cache === undefined)
      throw shardError('ERR_BACKEND_UNKNOWN_SESSION', `Cannot use session ${session}: it is not open`)
    return cache
  }

  /** Runs pieces of different sessions in one graph; results in their order. */
  function run(pieces: readonly Piece[]): Float32Array[] {
    for (const { cache, past, rows } of pieces) cache.clearTo(bucketOf(past + rows))
    const graph = graphs.get(pieces, Math.max(...pieces.map(({ cache }) => cache.capacity)))
    graph.aim(pieces)
    const positions = new Int32Array(graph.rows)
    let first = 0
    for (const [i, { past, rows, hidden }] of pieces.entries()) {
      c.ggml_backend_tensor_set(graph.hidden, hidden, first * hiddenSize * 4, hidden.byteLength)
      const places = new BigInt64Array(rows)
      for (let row = 0; row < rows; row++) {
        positions[first + row] = past + row
        places[row] = BigInt(past + row)
      }
      const mask = graph.masks[i] as (typeof graph.masks)[number]
      if (mask.rows > 0) {
        const data = graph.maskData[i] as Uint16Array
        fillMask(data, mask.rows, past, rows)
        c.ggml_backend_tensor_set(mask.tensor, data, 0, data.byteLength)
      }
      c.ggml_backend_tensor_set(graph.indices[i] as number, places, 0, places.byteLength)
      first += rows
    }
    // A row added for the kernel's sake repeats the last one.
    const last = pieces.at(-1)?.hidden as Float32Array
    for (let row = first; row < graph.rows; row++)
      c.ggml_backend_tensor_set(graph.hidden, last, row * hiddenSize * 4, hiddenSize * 4)
    c.ggml_backend_tensor_set(graph.positions, positions, 0, positions.byteLength)

    const status = ggml.compute(graph.graph)
    if (status !== 0) throw new Error(`ggml_backend_graph_compute returned ${status}`)
    let offset = 0
    return pieces.map(({ rows }) => {
      const out = new Float32Array(rows * hiddenSize)
      c.ggml_backend_tensor_get(graph.output, out, offset, out.byteLength)
      offset += out.byteLength
      return out
    })
  }

  return {
    open(maxTokens) {
      const cache = createKvCache(ggml, range, maxTokens, budget)
      sessions.set(nextSession, cache)
      return nextSession++
    },

    forward(steps) {
      const pieces = plan(steps, find, hiddenSize)
      const results: (Float32Array | StepFailure)[] = steps.map(
        ({ hidden }) => new Float32Array(hidden.length)
      )
      let at = 0
      while (at < pieces.length) {
        // As many pieces as fit a graph. Those of a step are in a row, so two of them never meet in one.
        const wave: Piece[] = []
        let rows = 0
        for (; at < pieces.length; at++) {
          const piece = pieces[at] as Piece
          if (!(results[piece.step] instanceof Float32Array)) continue
          if (rows + piece.rows > maxGraphRows || wave.at(-1)?.step === piece.step) break
          wave.push(piece)
          rows += piece.rows
        }
        if (wave.length === 0) break
        // In one order, whoever comes first: fewer graphs.
        wave.sort((a, b) => (shapeKey(a) < shapeKey(b) ? -1 : 1))
        const outputs = run(wave)
        for (const [i, piece] of wave.entries()) {
          const output = outputs[i] as Float32Array
          const failure = findBadRow(output, hiddenSize)
          if (failure === undefined) {
            ;(results[piece.step] as Float32Array).set(output, piece.first * hiddenSize)
            piece.cache.length = piece.past + piece.rows
          } else {
            // The rows leave nothing behind that a later step could meet under its mask.
            const { past } = steps[piece.step] as BlockStep
            piece.cache.erase(past, piece.past + piece.rows)
            results[piece.step] = { failure: failure.failure, row: piece.first + failure.row }
          }
        }
      }
      return results
    },

    trim(session, length) {
      const cache = find(session)
      if (!Number.isSafeInteger(length) || length < 0)
        throw shardError('ERR_BACKEND_INVALID_STEP', `Cannot trim a session to ${length} rows`)
      cache.length = Math.min(cache.length, length)
    },

    exportKv: (session, from, to) => find(session).read(from, to),
    importKv: (session, rows) => find(session).write(rows),

    close(session) {
      const cache = sessions.get(session)
      if (cache === undefined) return
      sessions.delete(session)
      cache.free()
    },

    free() {
      graphs.free()
      for (const cache of sessions.values()) cache.free()
      sessions.clear()
    }
  }
}

function bucketOf(rows: number): number {
  return Math.ceil(rows / kvBucket) * kvBucket
}

/**
 * Checks all steps before any of them runs, and cuts them into pieces a graph can take. From then on rows past a
 * step's start are gone, whatever becomes of it.
 */
function plan(steps: readonly BlockStep[], find: (session: number) => KvCache, hiddenSize: number): Piece[] {
  const caches = new Map<number, KvCache>()
  for (const [index, { session, past, hidden }] of steps.entries()) {
    const cache = find(session)
    const rows = hidden.length / hiddenSize
    const refuse = (why: string): Error =>
      shardError('ERR_BACKEND_INVALID_STEP', `Cannot run the step: ${why}`, {
        details: { step: index, past, length: cache.length }
      })
    if (caches.has(session)) throw refuse(`session ${session} has another one in the same batch`)
    if (past > cache.length) throw refuse(`it begins at row ${past}, the session has ${cache.length}`)
    if (past + rows > cache.maxTokens)
      throw refuse(`it ends at row ${past + rows}, the session has room for ${cache.maxTokens}`)
    caches.set(session, cache)
  }
  return steps.flatMap(({ session, past, kernel, hidden }, step) => {
    const cache = caches.get(session) as KvCache
    cache.length = past
    const rows = hidden.length / hiddenSize
    return Array.from({ length: Math.ceil(rows / maxGraphRows) }, (_, i): Piece => {
      const first = i * maxGraphRows
      const count = Math.min(maxGraphRows, rows - first)
      const end = past + first + count
      return {
        step,
        cache,
        kernel,
        past: past + first,
        hidden: hidden.subarray(first * hiddenSize, (first + count) * hiddenSize),
        first,
        rows: count,
        kvLength: isSingle({ rows: count, kernel }) ? end : bucketOf(end)
      }
    })
  })
}
