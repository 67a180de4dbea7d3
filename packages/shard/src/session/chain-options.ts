import type { CallOptions, CapabilitySource, Clock, Logger, Network, Random } from '@kwaai/interface'
import {
  defaultHedgeMs,
  defaultMaxFrameBytes,
  defaultMaxRecoveries,
  defaultOpenTimeoutMs,
  defaultProbeTimeoutMs,
  defaultRowTimeoutMs,
  defaultStepTimeoutMs
} from '../constants.ts'
import type { RecoveryEvent } from './core.ts'
import type { PlannedHop } from './hop.ts'
import type { SpanPlanner } from './replacement.ts'

/** Which servers run which blocks of which model. */
export interface ChainPlan {
  /** SHA-256 of the model file, 64 lower-case hex digits. */
  modelHash: string
  /** Blocks of the whole model; the hops cover them all, in order, each once. */
  blockCount: number
  hops: readonly PlannedHop[]
}

/** What a chain needs. */
export interface ChainComponents {
  network: Network
  clock: Clock
  random: Random
  logger?: Logger
  /** Finds servers that take over. Default: the chain ends with the first server that fails. */
  planner?: SpanPlanner
}

/** How a chain is opened. */
export interface ChainOptions extends CallOptions {
  /** Rows the session will hold at most. */
  maxTokens: number
  /** Width of the residual, as the client's own copy of the model's ends has it. */
  hiddenSize: number
  /**
   * `push`: servers hand rows to each other, and the client carries them only where two servers cannot;
   * `star`: the client carries all rows. Default `push`.
   */
  topology?: 'push' | 'star'
  /**
   * `exact`: whoever takes over computes in the same numerics class, so the bits are those of an undisturbed
   * run; `approximate`: a server of another class may take over, and the text may be another one. Default `exact`.
   */
  replay?: 'exact' | 'approximate'
  /** Milliseconds to open the session at all hops. Default 10,000. */
  openTimeoutMs?: number
  /** Milliseconds a step may take through all hops, recovery included, before what rows add. Default 30,000. */
  stepTimeoutMs?: number
  /** Milliseconds that each row under way adds to a step's deadline. Default 100. */
  rowTimeoutMs?: number
  /**
   * Milliseconds without a result after which the client asks what became of it, at least six times what a step
   * usually takes; doubled while nothing moves. Default 250.
   */
  hedgeMs?: number
  /** Milliseconds a server has to tell what became of a session before another one is looked for. Default 1,000. */
  probeTimeoutMs?: number
  /** Attempts to replace servers before the next step has to be answered. Default 8. */
  maxRecoveries?: number
  /** Steps under way at once. Default 8, at most what the servers take. */
  maxPendingSteps?: number
  /** Shown to the servers' authorizers: the same to all, or for each session what the source finds. */
  authorization?: Uint8Array | CapabilitySource
  /** W3C trace context of the caller's span. */
  traceparent?: string
  /** Largest frame. Default 8 MiB and a header. */
  maxFrameBytes?: number
  /** Told once when the open chain fails, before the calls under way do. */
  onFailure?: (error: unknown) => void
  /** Told of servers that took the place of others, once the first result since then is there. */
  onRecovery?: (event: RecoveryEvent) => void
}

/** The options of a chain with their defaults, and what its plan says of the model. */
export type ChainSettings = Required<Omit<ChainOptions, 'signal' | 'onFailure' | 'onRecovery'>> &
  Pick<ChainPlan, 'modelHash' | 'blockCount'>

/** Fills in the defaults. */
export function chainSettings(plan: ChainPlan, options: ChainOptions): ChainSettings {
  return {
    modelHash: plan.modelHash,
    blockCount: plan.blockCount,
    maxTokens: options.maxTokens,
    hiddenSize: options.hiddenSize,
    openTimeoutMs: options.openTimeoutMs ?? defaultOpenTimeoutMs,
    stepTimeoutMs: options.stepTimeoutMs ?? defaultStepTimeoutMs,
    rowTimeoutMs: options.rowTimeoutMs ?? defaultRowTimeoutMs,
    maxPendingSteps: options.maxPendingSteps ?? 8,
    topology: options.topology ?? 'push',
    replay: options.replay ?? 'exact',
    hedgeMs: options.hedgeMs ?? defaultHedgeMs,
    probeTimeoutMs: options.probeTimeoutMs ?? defaultProbeTimeoutMs,
    maxRecoveries: options.maxRecoveries ?? defaultMaxRecoveries,
    authorization: options.authorization ?? new Uint8Array(0),
    traceparent: options.traceparent ?? '',
    maxFrameBytes: options.maxFrameBytes ?? defaultMaxFrameBytes
  }
}
