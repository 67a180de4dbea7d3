import { shardError } from '../errors.ts'
import type { PipelineStep } from '../generate/pipeline.ts'
import type { ChainOptions, ChainPlan } from './chain-options.ts'
import { findBadRow } from '../bad-row.ts'

/** @returns the rows of a step that can run. */
export function checkStep(
  step: PipelineStep,
  limits: { length: number; maxStepRows: number; maxTokens: number; hiddenSize: number }
): number {
  const rows = step.hidden.length / limits.hiddenSize
  const invalid = (why: string): Error => shardError('ERR_SHARD_INVALID_STEP', `Cannot run the step: ${why}`)
  if (!Number.isInteger(rows) || rows === 0) {
    throw invalid(`${step.hidden.length} values are not rows of ${limits.hiddenSize}`)
  }
  if (rows > limits.maxStepRows)
    throw invalid(`it has ${rows} rows and the chain takes ${limits.maxStepRows}`)
  if (!Number.isInteger(step.past) || step.past < 0) throw invalid(`${step.past} rows cannot be past`)
  if (step.past > limits.length) {
    throw shardError(
      'ERR_SHARD_STEP_GAP',
      `Cannot run the step: it counts on ${step.past} rows and the chain holds ${limits.length}`
    )
  }
  if (step.past + rows > limits.maxTokens) {
    throw shardError(
      'ERR_SHARD_CONTEXT_EXCEEDED',
      `Cannot run the step: the chain is open for ${limits.maxTokens} rows, not ${step.past + rows}`
    )
  }
  const bad = findBadRow(step.hidden, limits.hiddenSize)
  if (bad !== undefined)
    throw shardError(
      'ERR_SHARD_INVALID_VALUES',
      `Cannot run the step: row ${bad.row} holds values no model makes`
    )
  return rows
}

/** Rejects a plan that does not cover all blocks in order, each once. */
export function checkPlan(plan: ChainPlan, options: ChainOptions): void {
  const invalid = (why: string): Error =>
    shardError('ERR_SHARD_INVALID_INIT', `Cannot open the session: ${why}`)
  if (!/^[0-9a-f]{64}$/.test(plan.modelHash)) throw invalid('the model hash is no SHA-256 in lower-case hex')
  for (const [name, value] of Object.entries({
    maxTokens: options.maxTokens,
    hiddenSize: options.hiddenSize
  })) {
    if (!Number.isSafeInteger(value) || value <= 0)
      throw invalid(`${name} is ${value}, not a positive integer`)
  }
  let next = 0
  for (const hop of plan.hops) {
    if (hop.from !== next || hop.to <= hop.from) {
      throw invalid(`the chain runs blocks ${hop.from} to ${hop.to - 1} where block ${next} is due`)
    }
    next = hop.to
  }
  if (next !== plan.blockCount)
    throw invalid(`the chain has no server for blocks ${next} to ${plan.blockCount - 1}`)
}
