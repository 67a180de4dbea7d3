import type { HeadRunner } from '@kwaai/interface'
import { shardError } from '../errors.ts'
import type { LlamaConfig } from '../gguf/index.ts'
import { maxGraphRows } from './constants.ts'
import type { GgmlProcess } from './process.ts'
import { checkLogitsMemory } from '../logits-memory.ts'
import { findBadRow } from '../bad-row.ts'

/** The likeliest token of some logits, and its embedding. */
interface Likeliest {
  token: number
  hidden: Float32Array
}

/** The two ends of a model in the child process. */
export function createHeadRunner(process: GgmlProcess, runner: number, config: LlamaConfig): HeadRunner {
  const { hiddenSize, vocabularySize } = config
  let closed: Promise<void> | undefined
  let likeliest: Likeliest | undefined
  const check = (): void => {
    if (closed !== undefined) throw shardError('ERR_BACKEND_CLOSED', 'Cannot use the head: it was unloaded')
  }
  return {
    shape: config,

    async embed(ids, options) {
      check()
      for (const id of ids)
        if (!Number.isSafeInteger(id) || id < 0 || id >= vocabularySize)
          throw shardError(
            'ERR_BACKEND_INVALID_TOKEN',
            `Cannot embed the token ${id}: the model has ${vocabularySize}`,
            { details: { token: id, vocabularySize } }
          )
      if (likeliest !== undefined && ids.length === 1 && ids[0] === likeliest.token)
        return likeliest.hidden.slice()
      const out = new Float32Array(ids.length * hiddenSize)
      const own = Int32Array.from(ids)
      for (let at = 0; at < own.length; at += maxGraphRows) {
        const some = own.subarray(at, at + maxGraphRows)
        const { data } = await process.call('embed', { runner }, { ...options, data: [some] })
        out.set(new Float32Array(data.buffer), at * hiddenSize)
      }
      return out
    },

    async logits(hidden, options = {}) {
      check()
      const into = options.into ?? new Float32Array(vocabularySize)
      checkLogitsMemory(into, vocabularySize)
      if (hidden.length !== hiddenSize)
        throw shardError(
          'ERR_BACKEND_INVALID_STEP',
          `Cannot compute logits: ${hidden.length} numbers are no row of ${hiddenSize}`
        )
      const bad = findBadRow(hidden, hiddenSize)
      if (bad !== undefined)
        throw shardError('ERR_BACKEND_NOT_FINITE', `Cannot compute logits: the row is ${bad.failure}`)
      const ask = () => process.call('logits', { runner }, { ...options, data: [hidden] })
      const { reply, data } = await process.exchange.read(ask, into)
      likeliest = { token: reply.token, hidden: new Float32Array(data.buffer) }
      return into
    },

    [Symbol.asyncDispose]() {
      closed ??= process.call('unload', { runner }).then(
        () => undefined,
        () => undefined
      )
      return closed
    }
  }
}
