import { KwaaiError, type CallOptions, type Clock, type RouteConstraints } from '@kwaai/interface'
import { usableRows, worthTaking, type HeldRows } from './held-rows.ts'
import type { BlockPipeline, BlockPipelineSource } from './pipeline.ts'
import { createTokenSession, type TokenSession } from './token-session.ts'

/** How much is kept between two requests. */
export interface PrefixPoolInit {
  /** Longest prompt and answer together, in tokens. */
  contextLength: number
  /** Pipelines kept at once; 0 keeps none. */
  maxPrefixes: number
  /** Tokens for which they hold room at the servers, all together. */
  maxPrefixTokens: number
  /** Milliseconds one is kept. Servers forget sessions after two minutes without a word. */
  prefixTtlMs: number
}

/** What a pool is made of. */
export interface PrefixPoolComponents {
  blocks: BlockPipelineSource
  clock: Clock
}

/** Who wants to run what. */
export interface PrefixRequest {
  prompt: readonly number[]
  /** Rows of prompt and answer together. */
  maxTokens: number
  /** Whose rows may be used and kept. Unset: nobody's. */
  caller?: string | undefined
  constraints?: RouteConstraints | undefined
}

/** Opens sessions, and keeps those that ended well for the next request of the same caller. */
export interface PrefixPool extends AsyncDisposable {
  /** Pipelines kept now. */
  readonly parked: number
  /** @throws what {@link BlockPipelineSource.open} throws. */
  open(request: PrefixRequest, options?: CallOptions): Promise<TokenSession>
}

/** Fewer rows are computed as fast as another session is found. */
const minPrefixRows = 16
/** Sessions have room for a multiple of so many tokens. */
const roomStep = 2_048
/** Milliseconds to wait for room that was just given back: full servers ask for one to two seconds. */
const maxRoomWaitMs = 2_500

/** A pipeline nobody uses now. */
interface Parked {
  owner: string
  pipeline: BlockPipeline
  room: number
  held: HeldRows
  /** Ends its timer. */
  left: AbortController
}

const nothing: HeldRows = { tokens: [], tileRows: 0 }

/**
 * Makes a pool. A pipeline is used by one request at a time; the least recently used is closed first, and all
 * of them where somebody needs their room.
 */
export function createPrefixPool(init: PrefixPoolInit, components: PrefixPoolComponents): PrefixPool {
  const { contextLength, maxPrefixes, maxPrefixTokens, prefixTtlMs } = init
  const { blocks, clock } = components
  /** The least recently used first. */
  const parked = new Set<Parked>()
  let closed = false

  const remove = (entry: Parked): void => {
    parked.delete(entry)
    entry.left.abort()
  }

  /** Closes a pipeline nobody waits for. */
  const drop = async (entry: Parked): Promise<void> => {
    remove(entry)
    try {
      await entry.pipeline[Symbol.asyncDispose]()
    } catch {
      // It failed while it was parked, which is nobody's failure.
    }
  }

  const park = (entry: Parked): void => {
    parked.add(entry)
    let tokens = [...parked].reduce((sum, { room }) => sum + room, 0)
    for (const oldest of parked) {
      if (parked.size <= maxPrefixes && tokens <= maxPrefixTokens) break
      tokens -= oldest.room
      void drop(oldest)
    }
    if (!parked.has(entry)) return
    const { signal } = entry.left
    entry.pipeline.ended?.addEventListener('abort', () => void drop(entry), { once: true, signal })
    clock.sleep(prefixTtlMs, { signal }).then(
      () => drop(entry),
      () => undefined
    )
  }

  /** The parked pipeline that saves most rows; those that would, but are too small, have had their time. */
  const take = (
    owner: string,
    { prompt, maxTokens }: PrefixRequest
  ): { entry: Parked; rows: number } | undefined => {
    let best: { entry: Parked; rows: number } | undefined
    for (const entry of parked) {
      if (entry.owner !== owner) continue
      const rows = usableRows(entry.held, prompt)
      if (rows < minPrefixRows || !worthTaking(entry.held, prompt, rows)) continue
      if (entry.room < maxTokens) void drop(entry)
      else if (best === undefined || rows >= best.rows) best = { entry, rows }
    }
    if (best !== undefined) remove(best.entry)
    return best
  }

  /** Opens a session of the first size that is to be had. */
  const openOneOf = async (
    rooms: readonly number[],
    { constraints }: PrefixRequest,
    options: CallOptions
  ): Promise<{ pipeline: BlockPipeline; room: number } | { refusals: readonly unknown[] }> => {
    const refusals: unknown[] = []
    for (const room of rooms) {
      try {
        const wanted = { maxTokens: room, ...(constraints === undefined ? {} : { constraints }) }
        return { pipeline: await blocks.open(wanted, options), room }
      } catch (error) {
        options.signal?.throwIfAborted()
        refusals.push(error)
        if (!lacksRoom(error) && !isUnplanned(error)) break
      }
    }
    return { refusals }
  }

  const openNew = async (
    request: PrefixRequest,
    keep: boolean,
    options: CallOptions
  ): Promise<{ pipeline: BlockPipeline; room: number }> => {
    const { maxTokens } = request
    // The next turn of a chat holds this one, the answer and a new question: a session with room for no more
    // than this turn could never be used again.
    const rounded = Math.min(Math.ceil(maxTokens / roomStep) * roomStep, contextLength)
    const rooms = keep && rounded > maxTokens ? [rounded, maxTokens] : [maxTokens]
    let opened = await openOneOf(rooms, request, options)
    if ('refusals' in opened && parked.size > 0 && opened.refusals.some(lacksRoom)) {
      await Promise.all([...parked].map(drop))
      // Servers that said they are full are asked again when they said.
      await clock.sleep(Math.min(retryAfterOf(opened.refusals.at(-1)), maxRoomWaitMs), options)
      opened = await openOneOf(rooms, request, options)
    }
    if ('refusals' in opened) throw opened.refusals.at(-1)
    return opened
  }

  return {
    get parked() {
      return parked.size
    },
    async open(request, options = {}) {
      const { caller, constraints } = request
      const owner = caller === undefined || maxPrefixes === 0 ? undefined : ownerOf(caller, constraints)
      const taken = owner === undefined ? undefined : take(owner, request)
      const { pipeline, room } = taken?.entry ?? (await openNew(request, owner !== undefined, options))
      return createTokenSession({
        pipeline,
        held: taken?.entry.held ?? nothing,
        cachedTokens: taken?.rows ?? 0,
        signal: options.signal,
        leave: async (held) => {
          const useful = owner !== undefined && held !== undefined && held.tokens.length >= minPrefixRows
          if (!useful || closed || pipeline.ended?.aborted === true) return pipeline[Symbol.asyncDispose]()
          park({ owner, pipeline, room, held, left: new AbortController() })
        }
      })
    },
    async [Symbol.asyncDispose]() {
      closed = true
      await Promise.all([...parked].map(drop))
    }
  }
}

/** One caller under one set of constraints: rows made by servers of another set must not serve it. */
function ownerOf(caller: string, constraints: RouteConstraints | undefined): string {
  return JSON.stringify([caller, Object.entries(constraints ?? {}).toSorted(([a], [b]) => (a < b ? -1 : 1))])
}

/** When servers that are full are to be asked again, in milliseconds. */
function retryAfterOf(error: unknown): number {
  const value = KwaaiError.is(error) ? error.details['retryAfterMs'] : undefined
  return typeof value === 'number' && value > 0 ? value : 0
}

/** Causes looked at behind an error. */
const maxCauses = 8

/** True where closing sessions, or a smaller one, may help. */
function lacksRoom(error: unknown): boolean {
  for (let cause = error, i = 0; i < maxCauses && KwaaiError.is(cause); cause = cause.cause, i++) {
    if (cause.code === 'ERR_SHARD_SERVER_FULL' || cause.code === 'ERR_BACKEND_OUT_OF_MEMORY') return true
  }
  return false
}

/** True where no server was tried: it may be that none announces room for so many tokens. */
function isUnplanned(error: unknown): boolean {
  return KwaaiError.is(error, 'ERR_MODEL_UNAVAILABLE') && error.cause === undefined
}
