import { shardError } from './errors.ts'

/**
 * Checks the memory a caller offers for logits.
 *
 * @throws A KwaaiError `ERR_BACKEND_INVALID_STEP` when it has another length.
 */
export function checkLogitsMemory(into: Float32Array, vocabularySize: number): void {
  if (into.length === vocabularySize) return
  throw shardError(
    'ERR_BACKEND_INVALID_STEP',
    `Cannot write logits to memory of ${into.length} numbers: there are ${vocabularySize}`
  )
}
