import type { BlockStep, KvHandle } from '@kwaai/interface'
import { shardError } from '../errors.ts'
import type { KvCache } from './kv-cache.ts'

/**
 * All steps fit their sessions, before any of them runs.
 *
 * @throws A KwaaiError `ERR_BACKEND_INVALID_STEP`, or what `cacheOf` throws for a session it does not know.
 */
export function checkSteps(
  steps: readonly BlockStep[],
  hiddenSize: number,
  cacheOf: (session: KvHandle) => KvCache
): void {
  const seen = new Set<KvHandle>()
  for (const { session, past, hidden, kernel } of steps) {
    const cache = cacheOf(session)
    const refuse = (why: string): never => {
      throw shardError('ERR_BACKEND_INVALID_STEP', `Cannot run the step: ${why}`, {
        details: { session, past, length: cache.length }
      })
    }
    if (seen.has(session)) refuse(`the session ${session} has another one in the same batch`)
    seen.add(session)
    if (kernel !== 'tile' && kernel !== 'vec') refuse(`there is no kernel ${String(kernel)}`)
    const rows = hidden.length / hiddenSize
    if (!Number.isSafeInteger(rows) || rows < 1)
      refuse(`${hidden.length} values are no rows of ${hiddenSize}`)
    if (!Number.isSafeInteger(past) || past < 0) refuse(`it begins at ${past}`)
    if (past > cache.length) refuse(`it begins at row ${past}, the session has ${cache.length}`)
    if (past + rows > cache.maxTokens)
      refuse(`it ends at row ${past + rows}, the session has room for ${cache.maxTokens}`)
  }
}

/** @throws A KwaaiError `ERR_BACKEND_INVALID_KV` unless `0 <= from <= to <= limit`. */
export function checkKvRows(rows: { from: number; to: number }, limit: number, verb: string): void {
  const { from, to } = rows
  if (Number.isSafeInteger(from) && Number.isSafeInteger(to) && 0 <= from && from <= to && to <= limit) return
  throw shardError('ERR_BACKEND_INVALID_KV', `Cannot ${verb} rows ${from} to ${to}: there are ${limit}`)
}
