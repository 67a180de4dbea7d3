import type { HeadRunner } from '@kwaai/interface'
import { shardError } from '../errors.ts'
import type { LlamaConfig } from '../gguf/llama-config.ts'
import { checkLogitsMemory } from '../logits-memory.ts'
import { rmsNorm } from './block.ts'
import { findBadRow } from '../bad-row.ts'
import { multiply, type Matrix } from './matrix.ts'

/** The weights of the two ends of a model. */
export interface HeadWeights {
  readonly tokenEmbedding: Matrix
  readonly outputNorm: Float32Array
  readonly output: Matrix
}

/** Embeds tokens and makes logits, in this thread. */
export function createHead(config: LlamaConfig, weights: HeadWeights, onClose: () => void): HeadRunner {
  const { hiddenSize, vocabularySize } = config
  const { tokenEmbedding } = weights
  let closed = false
  const check = (signal: AbortSignal | undefined): void => {
    signal?.throwIfAborted()
    if (closed) throw shardError('ERR_BACKEND_CLOSED', 'Cannot use the head: it was closed')
  }
  return {
    shape: config,
    async embed(ids, options = {}) {
      check(options.signal)
      for (const id of ids)
        if (!Number.isSafeInteger(id) || id < 0 || id >= vocabularySize)
          throw shardError(
            'ERR_BACKEND_INVALID_TOKEN',
            `Cannot embed the token ${id}: there are ${vocabularySize}`
          )
      const out = new Float32Array(ids.length * hiddenSize)
      ids.forEach((id, i) => {
        const row = out.subarray(i * hiddenSize, (i + 1) * hiddenSize)
        tokenEmbedding.dequantize(tokenEmbedding.bytes, id * tokenEmbedding.rowBytes, hiddenSize, row)
      })
      return out
    },
    async logits(hidden, options = {}) {
      check(options.signal)
      if (hidden.length !== hiddenSize)
        throw shardError(
          'ERR_BACKEND_INVALID_STEP',
          `Cannot make logits of ${hidden.length} values: a row has ${hiddenSize}`
        )
      if (findBadRow(hidden, hiddenSize) !== undefined)
        throw shardError('ERR_BACKEND_NOT_FINITE', 'Cannot make logits of a row that is not finite')
      const norm = new Float32Array(hiddenSize)
      const out = options.into ?? new Float32Array(vocabularySize)
      checkLogitsMemory(out, vocabularySize)
      rmsNorm(hidden, weights.outputNorm, config.rmsEpsilon, norm)
      multiply(weights.output, norm, 1, out, new Float32Array(4 * hiddenSize))
      return out
    },
    async [Symbol.asyncDispose]() {
      if (closed) return
      closed = true
      onClose()
    }
  }
}
