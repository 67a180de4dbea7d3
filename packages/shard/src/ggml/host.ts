import { writeSync } from 'node:fs'
import { shardError } from '../errors.ts'
import { createBlockHost, type BlockHost } from './block-host.ts'
import { exchangeFd } from './exchange.ts'
import { createHeadHost, type HeadHost } from './head-host.ts'
import type { CallName, Calls, StartRequest } from './messages.ts'
import { openGgml, type Ggml } from './native.ts'
import { blockRange, headWeights } from './parts.ts'
import { selfTest } from './self-test.ts'
import { createWeights, type Weights, type WeightSpec } from './weights.ts'

/** An answer, and the pieces of its data. */
export interface Reply<N extends CallName> {
  reply: Calls[N][1]
  data?: readonly ArrayBufferView[]
}

/** Answers calls, one after another. */
export type Host = {
  [N in CallName]: (request: Calls[N][0], data: Uint8Array<ArrayBuffer>) => Reply<N>
}

const nothing = { reply: undefined }

interface Runner {
  weights: Weights
  specs: readonly WeightSpec[]
  config: Calls['load'][0]['config']
  part: 'blocks' | 'head'
  blocks?: BlockHost
  head?: HeadHost
}

/** Everything the child process does, free of how questions reach it. */
export function createHost(): Host {
  let opened: { ggml: Ggml; init: StartRequest; budget: { bytes: number } } | undefined
  const runners = new Map<number, Runner>()
  let next = 1

  const state = (): NonNullable<typeof opened> => {
    if (opened === undefined) throw new Error('not started')
    return opened
  }
  const find = (id: number): Runner => {
    const runner = runners.get(id)
    if (runner === undefined) throw shardError('ERR_BACKEND_CLOSED', 'Cannot use the model: it was unloaded')
    return runner
  }
  const blocks = (id: number): BlockHost => {
    const host = find(id).blocks
    if (host === undefined) throw new Error(`runner ${id} has no blocks`)
    return host
  }
  const head = (id: number): HeadHost => {
    const host = find(id).head
    if (host === undefined) throw new Error(`runner ${id} has no head`)
    return host
  }

  return {
    start(init) {
      const ggml = openGgml(init.dir, init.threads, init.variant)
      selfTest(ggml)
      opened = { ggml, init, budget: { bytes: init.maxKvBytes } }
      const types = [...ggml.extraBufferTypes, ggml.bufferType]
      const bufferTypes = types.map((type) => ggml.c.ggml_backend_buft_name(type))
      const { version, commit, variant } = ggml
      return { reply: { version, commit, variant, bufferTypes } }
    },
    load({ part, config, specs }) {
      const weights = createWeights(state().ggml, specs)
      if (weights === undefined) {
        const bytes = specs.reduce((sum, spec) => sum + spec.byteLength, 0)
        throw shardError('ERR_BACKEND_OUT_OF_MEMORY', `Cannot load the weights: no memory for ${bytes} bytes`)
      }
      runners.set(next, { weights, specs, config, part })
      return { reply: { runner: next++ } }
    },
    write({ runner, tensor, offset }, data) {
      find(runner).weights.write(tensor, offset, data)
      return nothing
    },
    finish({ runner }) {
      const { ggml, init, budget } = state()
      const loaded = find(runner)
      const { weights, specs, config, part } = loaded
      weights.finish()
      if (part === 'head') loaded.head = createHeadHost(ggml, config, headWeights(ggml, config, weights))
      else {
        const range = blockRange(ggml, config, specs, weights, init.kvFormat)
        loaded.blocks = createBlockHost(ggml, range, budget, init.firstSession)
      }
      return { reply: { weightBytes: weights.bytes, maxLogitsRows: loaded.head?.maxLogitsRows ?? 0 } }
    },
    unload({ runner }) {
      const loaded = find(runner)
      loaded.blocks?.free()
      loaded.head?.free()
      loaded.weights.free()
      runners.delete(runner)
      return nothing
    },
    open: ({ runner, maxTokens }) => ({ reply: { session: blocks(runner).open(maxTokens) } }),
    forward({ runner, steps }, data) {
      const { hiddenSize } = find(runner).config
      const floats = new Float32Array(data.buffer)
      let row = 0
      const results = blocks(runner).forward(
        steps.map(({ session, past, kernel, rows }) => {
          const hidden = floats.subarray(row * hiddenSize, (row + rows) * hiddenSize)
          row += rows
          return { session, past, kernel, hidden }
        })
      )
      return {
        reply: { failures: results.map((result) => (result instanceof Float32Array ? null : result)) },
        data: results.filter((result) => result instanceof Float32Array)
      }
    },
    trim({ runner, session, length }) {
      blocks(runner).trim(session, length)
      return nothing
    },
    exportKv: ({ runner, session, from, to }) => ({
      reply: undefined,
      data: [blocks(runner).exportKv(session, from, to)]
    }),
    importKv({ runner, session, from, to, format }, data) {
      blocks(runner).importKv(session, { from, to, format, data })
      return nothing
    },
    close({ runner, session }) {
      blocks(runner).close(session)
      return nothing
    },
    embed: ({ runner }, data) => ({
      reply: undefined,
      data: [head(runner).embed(new Int32Array(data.buffer))]
    }),
    logits({ runner }, data) {
      const host = head(runner)
      const { vocabularySize } = find(runner).config
      const logits = host.logits(new Float32Array(data.buffer))
      const bytes = new Uint8Array(logits.buffer, 0, logits.byteLength)
      for (let written = 0; written < bytes.length;)
        written += writeSync(exchangeFd, bytes, written, bytes.length - written, written)
      const tokens = Int32Array.from({ length: logits.length / vocabularySize }, (_, row) =>
        likeliest(logits.subarray(row * vocabularySize, (row + 1) * vocabularySize))
      )
      return { reply: { tokens: [...tokens] }, data: [host.embed(tokens)] }
    }
  }
}

/** Index of the largest value, the first of several; 0 where there is none. */
function likeliest(values: Float32Array): number {
  let best = 0
  for (let i = 1; i < values.length; i++) if ((values[i] as number) > (values[best] as number)) best = i
  return best
}
