import type { Clock, Logger, PeerId } from '@kwaai/interface'
import type { ChainSettings } from './chain-options.ts'
import type { Flow } from './flow.ts'
import type { HopLink } from './hop.ts'
import type { OpenRequest } from './opening.ts'
import type { SpanPlanner } from './replacement.ts'
import type { StepLog } from './step-log.ts'

/** A step that was sent and is not answered. */
export interface Flight {
  step: number
  rows: number
  startedAt: number
  deadlineAt: number
  resolve: (rows: Float32Array) => void
  reject: (error: unknown) => void
}

/** Servers that took the place of others. */
export interface RecoveryEvent {
  /** The first step that they, or those after them, answered; the next one where none was under way. */
  step: number
  /** Their blocks, half open. */
  blocks: { from: number; to: number }
  /** Who served the blocks, in order. */
  from: readonly PeerId[]
  /** Who serves them now, in order. */
  to: readonly PeerId[]
  /** The code of what was wrong. */
  cause: string
  /** Milliseconds for which callers that waited got no result; 0 where none waited. */
  stallMs: number
  /** Rows each of them had to run again. */
  replayedRows: number
}

/** What the parts of one chain share. */
export interface ChainCore {
  readonly settings: ChainSettings
  readonly clock: Clock
  readonly logger: Logger | undefined
  readonly planner: SpanPlanner | undefined
  readonly flow: Flow
  /** Steps under way, in order. */
  readonly flights: ReadonlyMap<number, Flight>
  /** Aborts when the chain ends. */
  readonly lifetime: AbortSignal
  /** Rows of one step at most, from the beginning on. */
  readonly maxStepRows: number
  /** Steps under way at once. */
  readonly window: number
  /** All links of all runs, in the order of their blocks. */
  links(): HopLink[]
  /** A history that keeps what steps under way may need. */
  createLog(): StepLog
  openLinks(requests: readonly OpenRequest[], signal: AbortSignal): Promise<HopLink[]>
  /** Ends the chain with an error. */
  fail(error: unknown): void
  /** Links have taken the place of others. */
  changed(event: RecoveryEvent, old: readonly HopLink[]): void
}
