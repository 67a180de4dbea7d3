import type { CallOptions } from '@kwaai/interface'
import type { PlannedHop } from './hop.ts'

/** Blocks that lost their server in the middle of a session. */
export interface ReplacementRequest {
  /** First block. */
  from: number
  /** One past the last block. */
  to: number
  /** Rows the session will hold at most. */
  maxTokens: number
  /** The class the session was computed in until now. */
  numericsClass: string
  /** Peers that must not be taken: they failed this session. */
  excluded: ReadonlySet<string>
  /** Servers of another class may be taken; the text may then differ from an undisturbed run. */
  approximate: boolean
}

/** Servers that take over, in the order of their blocks, or why there are none. */
export type Replacement = { hops: readonly PlannedHop[] } | { problem: string }

/** Finds servers while a session runs: for blocks whose server is lost, and for the whole model again. */
export interface SpanPlanner {
  /** Told of every server that failed, with the error, before another one is asked for. */
  failed(hop: PlannedHop, error: unknown): void
  /** Servers for exactly these blocks. Never rejects but for the signal. */
  replace(request: ReplacementRequest, options?: CallOptions): Promise<Replacement>
}
