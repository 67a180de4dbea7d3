import type { CallOptions, HopAccount } from '@kwaai/interface'
import { shardError } from '../errors.ts'
import { usableRows, type HeldRows } from './held-rows.ts'
import { accountSince } from './hop-accounts.ts'
import type { BlockPipeline, PipelineStep } from './pipeline.ts'

/** Tokens to run, and their embeddings. */
export interface TokenStep extends Pick<PipelineStep, 'hidden' | 'kernel' | 'result'> {
  tokens: readonly number[]
}

/** The blocks of a model for one answer, with an account of the rows they hold. */
export interface TokenSession extends AsyncDisposable, Pick<BlockPipeline, 'chain' | 'relaxed'> {
  /** Rows of the prompt that are there already. */
  readonly cachedTokens: number
  /**
   * Goes back to the beginning of a prompt, for another answer to it.
   *
   * @returns how many of its rows are there; the next step runs those that follow.
   */
  rewind(prompt: readonly number[]): number
  /** What each hop did for this session, not for those that had the pipeline before; see {@link BlockPipeline.account}. */
  account(): readonly HopAccount[] | undefined
  /** Runs tokens after those that ran before; see {@link BlockPipeline.forward}. */
  forward(step: TokenStep, options?: CallOptions): Promise<Float32Array>
}

/** What a session begins with. */
export interface TokenSessionInit {
  pipeline: BlockPipeline
  /** Rows the pipeline holds; those from `cachedTokens` on are given up with the first step. */
  held: HeldRows
  cachedTokens: number
  /** Ends the session at once, whoever waits for what. */
  signal: AbortSignal | undefined
  /** Called once, at the end. `held` is unset where the pipeline can be of no more use. */
  leave: (held: HeldRows | undefined) => Promise<void>
}

/** Opens an account of a pipeline's rows. */
export function createTokenSession(init: TokenSessionInit): TokenSession {
  const { pipeline, cachedTokens, signal, leave } = init
  const before = pipeline.account?.() ?? []
  const tokens = [...init.held.tokens]
  let { tileRows } = init.held
  let started = false
  let underWay = 0
  let broken = false
  let ending: Promise<void> | undefined

  const end = (): Promise<void> => {
    signal?.removeEventListener('abort', onAbort)
    // A step under way may still change the rows, one that failed may have.
    ending ??= leave(underWay === 0 && !broken ? { tokens, tileRows } : undefined)
    return ending
  }
  const onAbort = (): void => {
    // Whoever cancels wants its memory back at the servers, not kept for a next request.
    broken = true
    // What the end says matters to who disposes; here it would be nobody's.
    void end().catch(() => undefined)
  }
  signal?.addEventListener('abort', onAbort, { once: true })
  if (signal?.aborted) onAbort()

  return {
    chain: pipeline.chain,
    ...(pipeline.relaxed === undefined ? {} : { relaxed: pipeline.relaxed }),
    cachedTokens,
    rewind(prompt) {
      if (!started) return cachedTokens
      const rows = usableRows({ tokens, tileRows }, prompt)
      tokens.length = rows
      tileRows = Math.min(tileRows, rows)
      return rows
    },
    account: () => accountSince(before, pipeline.account?.()),
    async forward({ tokens: added, hidden, kernel, result }, options) {
      if (ending !== undefined) {
        throw shardError('ERR_BACKEND_CLOSED', 'Cannot run the step: the session was closed')
      }
      if (!started) {
        started = true
        tokens.length = cachedTokens
      }
      const past = tokens.length
      for (const token of added) tokens.push(token)
      if (kernel === 'tile') tileRows = tokens.length
      underWay++
      try {
        return await pipeline.forward({ past, hidden, kernel, result }, options)
      } catch (error) {
        broken = true
        throw error
      } finally {
        underWay--
      }
    },
    [Symbol.asyncDispose]: end
  }
}
