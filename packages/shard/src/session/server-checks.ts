import type { BlockRunner } from '@kwaai/interface'
import { bytesToHex } from '@noble/hashes/utils.js'
import { shardError } from '../errors.ts'
import type { Hop, Open, Route, Step } from '../gen/shard_pb.ts'
import type { LedgerStep } from './ledger.ts'
import { isKernel, isWanted } from './messages.ts'
import { equalBytes } from './rows.ts'
import type { BlockServerSettings } from './server-settings.ts'

/** Refuses a session this server cannot serve. */
export function checkOpen(open: Open, settings: BlockServerSettings, runner: BlockRunner): void {
  const cannot = 'Cannot open the session'
  if (bytesToHex(open.model) !== settings.modelHash) {
    throw shardError(
      'ERR_SHARD_MODEL_MISMATCH',
      `${cannot}: the server holds the model ${settings.modelHash}`
    )
  }
  checkBlocks(open, runner, cannot)
  if (open.residual !== 'f32') {
    throw shardError('ERR_SHARD_RESIDUAL_UNSUPPORTED', `${cannot}: the server speaks f32 residuals only`)
  }
  if (open.numericsClass !== '' && open.numericsClass !== settings.numericsClass) {
    throw shardError(
      'ERR_SHARD_NUMERICS_MISMATCH',
      `${cannot}: the server computes as ${settings.numericsClass}`
    )
  }
  checkNeighbours({ before: open.before }, runner, cannot)
  if (open.maxTokens > settings.maxTokens) {
    throw shardError(
      'ERR_SHARD_CONTEXT_EXCEEDED',
      `${cannot}: it asks for ${open.maxTokens} rows and the server gives ${settings.maxTokens}`
    )
  }
}

function checkBlocks(range: { from: number; to: number }, runner: BlockRunner, cannot: string): void {
  if (range.from === runner.from && range.to === runner.to) return
  throw shardError(
    'ERR_SHARD_RANGE_MISMATCH',
    `${cannot}: the server runs blocks ${runner.from} to ${runner.to - 1}, not ${range.from} to ${range.to - 1}`
  )
}

/**
 * Rows go from a server to one whose blocks come next. So they never come back to where they were, however
 * sessions are wired.
 */
function checkNeighbours(
  { before, after }: { before?: Hop | undefined; after?: Hop | undefined },
  runner: BlockRunner,
  cannot: string
): void {
  if (before !== undefined && before.to !== runner.from) {
    throw shardError(
      'ERR_SHARD_RANGE_MISMATCH',
      `${cannot}: the server before ends at block ${before.to - 1}, this one begins at ${runner.from}`
    )
  }
  if (after !== undefined && after.from !== runner.to) {
    throw shardError(
      'ERR_SHARD_RANGE_MISMATCH',
      `${cannot}: the next server begins at block ${after.from}, this one ends at ${runner.to - 1}`
    )
  }
}

/** Refuses a route that cannot be. */
export function checkRoute(
  route: Route,
  lastRoute: number,
  keepsResults: boolean,
  runner: BlockRunner
): void {
  const cannot = `Cannot set route ${route.route}`
  if (route.route <= lastRoute) {
    throw shardError('ERR_SHARD_PUSH_REFUSED', `${cannot}: route ${lastRoute} came before it`)
  }
  checkNeighbours(route, runner, cannot)
  if (route.after !== undefined && !keepsResults) {
    throw shardError('ERR_SHARD_PUSH_REFUSED', `${cannot}: the session was not opened to hand rows on`)
  }
}

/** A session's key as the server looks it up. */
export function keyText(key: Uint8Array): string {
  return bytesToHex(key)
}

/** One answer to whoever asks to hand in rows and is not expected: it tells nobody which sessions there are. */
export function notExpected(): Error {
  return shardError('ERR_SHARD_PUSH_REFUSED', 'Cannot take rows: no session here expects them from this peer')
}

/** Refuses a step that does not belong to this session, or cannot run here. */
export function checkStep(
  step: Step,
  payload: Uint8Array,
  session: Uint8Array,
  runner: BlockRunner,
  settings: BlockServerSettings
): LedgerStep {
  const cannot = `Cannot run step ${step.step}`
  if (!equalBytes(step.session, session)) {
    throw shardError('ERR_SHARD_SESSION_FOREIGN', `${cannot}: its session is not the one of this channel`)
  }
  checkBlocks(step, runner, cannot)
  if (step.residual !== 'f32') {
    throw shardError('ERR_SHARD_RESIDUAL_UNSUPPORTED', `${cannot}: the session was opened for f32 residuals`)
  }
  const { kernel, wanted } = step
  if (!isKernel(kernel)) {
    throw shardError('ERR_SHARD_KERNEL_UNSUPPORTED', `${cannot}: the server knows the kernels tile and vec`)
  }
  if (!isWanted(wanted) || step.rows > settings.maxStepRows) {
    throw shardError(
      'ERR_SHARD_INVALID_STEP',
      `${cannot}: it has ${step.rows} rows, the server takes ${settings.maxStepRows}`
    )
  }
  if (payload.length !== step.rows * runner.shape.hiddenSize * 4) {
    throw shardError(
      'ERR_SHARD_INVALID_STEP',
      `${cannot}: ${payload.length} bytes are not ${step.rows} rows of this model`
    )
  }
  const { previous, past, rows } = step
  return { step: step.step, previous, past, rows, kernel, wanted, payload }
}
