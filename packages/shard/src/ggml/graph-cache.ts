import { shardError } from '../errors.ts'
import { isSingle, type AttentionRows } from './attention.ts'
import { buildBlockGraph, type BlockGraph, type BlockRange } from './block-graph.ts'
import { kvBucket, maxGraphs } from './constants.ts'
import { createStandIn } from './kv-cache.ts'
import type { Ggml } from './native.ts'

/** A graph, with memory for its masks. */
export interface CachedGraph extends BlockGraph {
  readonly maskData: readonly Uint16Array[]
}

/** Graphs of a range, each kept for the next rows of its shape, whosever they are. */
export interface GraphCache {
  /**
   * @param capacity rows of the largest cache the graph will meet.
   * @throws A KwaaiError `ERR_BACKEND_OUT_OF_MEMORY`.
   */
  get(parts: readonly AttentionRows[], capacity: number): CachedGraph
  free(): void
}

/** What a graph depends on. */
export function shapeKey(part: AttentionRows): string {
  return isSingle(part) ? 'single' : `${part.kernel} ${part.rows} ${part.kvLength}`
}

/** @returns an empty cache of the graphs of a range. */
export function createGraphCache(ggml: Ggml, range: BlockRange): GraphCache {
  const { c } = ggml
  const graphs = new Map<string, CachedGraph>()
  const allocator = c.ggml_gallocr_new(ggml.bufferType)
  let allocated = 0
  let standIn: ReturnType<typeof createStandIn>
  let standInRows = 0

  const drop = (key: string): void => {
    graphs.get(key)?.free()
    graphs.delete(key)
  }
  const dropAll = (): void => [...graphs.keys()].forEach(drop)
  const refuse = (what: string): Error =>
    shardError('ERR_BACKEND_OUT_OF_MEMORY', `Cannot run the step: no memory for its ${what}`)

  function standInFor(rows: number): number {
    if (rows > standInRows) {
      dropAll()
      standIn?.free()
      standIn = createStandIn(ggml, range, rows)
      standInRows = standIn === undefined ? 0 : rows
    }
    if (standIn === undefined) throw refuse('graph')
    return standIn.tensor
  }

  function build(parts: readonly AttentionRows[], stand: number): CachedGraph {
    // Single rows are told the length they see before each run.
    const lengths = parts.map((part) => (isSingle(part) ? { ...part, kvLength: kvBucket } : part))
    const graph = buildBlockGraph(ggml, range, stand, lengths)
    if (!c.ggml_gallocr_alloc_graph(allocator, graph.graph)) {
      graph.free()
      throw refuse('intermediate values')
    }
    // All graphs lie in one buffer. When it had to grow it moved, and the older graphs point nowhere.
    const size = c.ggml_gallocr_get_buffer_size(allocator, 0)
    if (size !== allocated) dropAll()
    allocated = size
    const maskData = graph.masks.map(
      ({ rows }, i) => new Uint16Array(rows * (lengths[i]?.kvLength as number))
    )
    return { ...graph, maskData }
  }

  return {
    get(parts, capacity) {
      const stand = standInFor(capacity)
      const key = parts.map(shapeKey).join()
      let graph = graphs.get(key)
      // The map's order is the order of use.
      if (graph !== undefined) graphs.delete(key)
      else {
        while (graphs.size >= maxGraphs) drop(graphs.keys().next().value as string)
        graph = build(parts, stand)
      }
      graphs.set(key, graph)
      return graph
    },
    free() {
      dropAll()
      standIn?.free()
      c.ggml_gallocr_free(allocator)
    }
  }
}
