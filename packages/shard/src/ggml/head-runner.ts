import type { Clock, HeadRunner } from '@kwaai/interface'
import { shardError } from '../errors.ts'
import type { LlamaConfig } from '../gguf/index.ts'
import { createBatcher } from './batcher.ts'
import { keptEmbeddings, logitsRows, maxGraphRows, maxLogitsHoldMs } from './constants.ts'
import type { LoadedPart } from './loader.ts'
import { checkLogitsMemory } from '../logits-memory.ts'
import { findBadRow } from '../bad-row.ts'

/** The two ends of a model in the child process. Calls that wait run together, as far as that changes no bit. */
export function createHeadRunner(
  part: LoadedPart,
  init: { config: LlamaConfig; maxWaitingCalls: number },
  { clock }: { clock: Clock }
): HeadRunner {
  const { config, maxWaitingCalls: maxWaiting } = init
  const { maxLogitsRows } = part.facts
  const { hiddenSize, vocabularySize } = config
  let closed: Promise<void> | undefined
  const check = (): void => {
    if (closed !== undefined) throw shardError('ERR_BACKEND_CLOSED', 'Cannot use the head: it was unloaded')
  }
  // Embeddings of the tokens that were the likeliest lately: mostly the next thing asked for.
  const likeliest = new Map<number, Float32Array>()
  const keep = (token: number, hidden: Float32Array): void => {
    likeliest.delete(token)
    likeliest.set(token, hidden)
    if (likeliest.size > keptEmbeddings) likeliest.delete(likeliest.keys().next().value as number)
  }

  const embeds = createBatcher<Int32Array, Float32Array>({
    maxWaiting,
    fit(items) {
      let ids = 0
      const tooMany = items.findIndex(({ length }) => (ids += length) > maxGraphRows)
      return tooMany < 0 ? items.length : Math.max(1, tooMany)
    },
    async run(batch) {
      const ids = batch.map(({ item }) => item)
      const { data } = await part.ask(({ process, runner }) =>
        process.call('embed', { runner }, { data: ids })
      )
      const lengths = ids.map(({ length }) => length * hiddenSize)
      return split(data.buffer, lengths)
    }
  })
  const enough = logitsRows.findLast((rows) => rows > 1 && rows <= maxLogitsRows)
  const logits = createBatcher<{ hidden: Float32Array; into: Float32Array }, Float32Array>({
    maxWaiting,
    fit: ({ length }) => logitsRows.find((rows) => rows <= maxLogitsRows && rows <= length) ?? 1,
    // Rows that left a server together come back one by one, within a millisecond or two.
    ...(enough === undefined ? {} : { hold: { enough, maxMs: maxLogitsHoldMs, clock } }),
    run: (batch) =>
      part.ask(({ process: { call, exchange }, runner }) =>
        exchange.use(async () => {
          const rows = batch.map(({ item }) => item.hidden)
          const { reply, data } = await call('logits', { runner }, { data: rows })
          const embeddings = split(
            data.buffer,
            rows.map(() => hiddenSize)
          )
          return batch.map(({ item: { into }, wanted }, i) => {
            keep(reply.tokens[i] as number, embeddings[i] as Float32Array)
            // The memory of a caller that gave up is its own again.
            if (wanted) exchange.read(i * vocabularySize * 4, into)
            return into
          })
        })
      )
  })

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
      const known = ids.length === 1 ? likeliest.get(ids[0] as number) : undefined
      if (known !== undefined) return known.slice()
      const out = new Float32Array(ids.length * hiddenSize)
      const own = Int32Array.from(ids)
      for (let at = 0; at < own.length; at += maxGraphRows)
        out.set(await embeds.add(own.subarray(at, at + maxGraphRows), options), at * hiddenSize)
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
      // Whoever generates brings the same memory each time.
      const caller = options.into === undefined ? {} : { caller: options.into }
      return logits.add({ hidden: hidden.slice(), into }, { ...options, ...caller })
    },

    [Symbol.asyncDispose]() {
      closed ??= part.unload()
      return closed
    }
  }
}

/** Floats that follow each other, each stretch in memory of its own. */
function split(buffer: ArrayBuffer, lengths: readonly number[]): Float32Array[] {
  let at = 0
  return lengths.map((length) => {
    at += length * 4
    return new Float32Array(buffer.slice(at - length * 4, at))
  })
}
