import type { BlockRunner, BlockStep, KvHandle, KvRows } from '@kwaai/interface'
import { shardError } from '../errors.ts'
import type { LlamaConfig } from '../gguf/index.ts'
import { kvBucket } from './constants.ts'
import type { KvFormat, WireStep } from './messages.ts'
import type { LoadedPart } from './loader.ts'

/** A range of blocks in the child process. What leaves this process has been checked here. */
export function createBlockRunner(
  part: LoadedPart,
  init: { config: LlamaConfig; from: number; to: number; kvFormat: KvFormat }
): BlockRunner {
  const { config, from, to, kvFormat } = init
  const { weightBytes } = part.facts
  const { hiddenSize } = config
  const kvWidth = config.kvHeadCount * config.headSize
  const kvBytesPerToken = 2 * (to - from) * kvWidth * (kvFormat === 'f16' ? 2 : 4)
  let closed: Promise<void> | undefined
  const check = (): void => {
    if (closed !== undefined)
      throw shardError('ERR_BACKEND_CLOSED', 'Cannot use the blocks: they were unloaded')
  }

  const close = async (session: number): Promise<void> => {
    // A session ends with its process; no other is started for that.
    if (part.alive) await part.ask(({ process, runner }) => process.call('close', { runner, session }))
  }

  return {
    shape: config,
    from,
    to,
    weightBytes,
    kvBytesPerToken,
    kvRowsMultiple: kvBucket,

    async open({ maxTokens }, options) {
      check()
      if (!Number.isSafeInteger(maxTokens) || maxTokens < 1)
        throw shardError('ERR_BACKEND_INVALID_STEP', `Cannot open a session of ${maxTokens} tokens`)
      options?.signal?.throwIfAborted()
      // Not cancelled on the way: a session nobody knows of would stay open.
      const { reply } = await part.ask(({ process, runner }) => process.call('open', { runner, maxTokens }))
      if (options?.signal?.aborted !== true) return reply.session as KvHandle
      await close(reply.session)
      throw options.signal.reason
    },

    async forward(steps, options) {
      check()
      const sent = steps.map((step, index) => wireStep(step, index, hiddenSize))
      if (sent.length === 0) return []
      // Copied before this returns, by the process that has the sessions: the caller may use its memory again. A
      // process that is loaded again reads later, and has none of the sessions.
      const rows = steps.map(({ hidden }) => hidden)
      const { reply, data } = await part.ask(
        ({ process, runner }) => process.call('forward', { runner, steps: sent }, { ...options, data: rows }),
        options
      )
      let at = 0
      return reply.failures.map((failure, index) => {
        if (failure !== null) return failure
        const bytes = (sent[index] as WireStep).rows * hiddenSize * 4
        at += bytes
        // In memory of its own.
        return new Float32Array(bytes === data.length ? data.buffer : data.buffer.slice(at - bytes, at))
      })
    },

    async trim(session, length) {
      check()
      await part.ask(({ process, runner }) => process.call('trim', { runner, session, length }))
    },

    async exportKv(session, from, to, options) {
      check()
      const { data } = await part.ask(
        ({ process, runner }) => process.call('exportKv', { runner, session, from, to }, options),
        options
      )
      return { from, to, format: kvFormat, data }
    },

    async importKv(session, rows, options) {
      check()
      checkFinite(rows)
      const { from, to, format } = rows
      const data = [rows.data]
      await part.ask(
        ({ process, runner }) =>
          process.call('importKv', { runner, session, from, to, format }, { ...options, data }),
        options
      )
    },

    async close(session) {
      check()
      await close(session)
    },

    [Symbol.asyncDispose]() {
      closed ??= part.unload()
      return closed
    }
  }
}

/** @throws A KwaaiError `ERR_BACKEND_INVALID_STEP` for a step that has no meaning. */
function wireStep(step: BlockStep, index: number, hiddenSize: number): WireStep {
  const { session, past, kernel, hidden } = step
  const refuse = (why: string): Error =>
    shardError('ERR_BACKEND_INVALID_STEP', `Cannot run the step: ${why}`, { details: { step: index } })
  if (!(hidden instanceof Float32Array) || hidden.length === 0 || hidden.length % hiddenSize !== 0)
    throw refuse(`its ${hidden.length} numbers are not rows of ${hiddenSize}`)
  if (!Number.isSafeInteger(past) || past < 0) throw refuse(`it expects ${past} rows in the cache`)
  if (kernel !== 'tile' && kernel !== 'vec') throw refuse(`there is no kernel ${String(kernel)}`)
  return { session, past, kernel, rows: hidden.length / hiddenSize }
}

/** @throws A KwaaiError `ERR_BACKEND_INVALID_KV` for rows that hold an infinity or no number. */
function checkFinite({ format, data }: KvRows): void {
  const exponent = format === 'f16' ? 0x7c00 : 0x7f800000
  // A copy, where the bytes do not lie at a multiple of their size.
  const bytes = data.byteOffset % 4 === 0 ? data : data.slice()
  const words =
    format === 'f16'
      ? new Uint16Array(bytes.buffer, bytes.byteOffset, Math.floor(bytes.length / 2))
      : new Uint32Array(bytes.buffer, bytes.byteOffset, Math.floor(bytes.length / 4))
  for (let i = 0; i < words.length; i++)
    if (((words[i] as number) & exponent) === exponent)
      throw shardError('ERR_BACKEND_INVALID_KV', 'Cannot import the rows: a value is not finite')
}
