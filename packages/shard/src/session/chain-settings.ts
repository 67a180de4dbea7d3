import {
  defaultHedgeMs,
  defaultMaxFrameBytes,
  defaultMaxRecoveries,
  defaultOpenTimeoutMs,
  defaultProbeTimeoutMs,
  defaultRowTimeoutMs,
  defaultStepTimeoutMs
} from '../constants.ts'
import type { ChainOptions, ChainPlan } from './chain.ts'

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
