import { Worker } from 'node:worker_threads'
import { shardError } from '../errors.ts'
import type { FromEncoderWorker, ToEncoderWorker } from './worker-messages.ts'
import { runtimeUnavailable, type EncoderSession, type OpenEncoderSession } from './session.ts'

/** Milliseconds a process that ends waits for a run at most. */
const maxExitWaitMs = 10_000

/**
 * Loads a graph into ONNX Runtime, in a thread of its own: a run of the package `onnxruntime-node` keeps the thread
 * it is called from until it is done. The thread keeps no process alive while nothing is asked of it.
 *
 * @throws A KwaaiError `ERR_BACKEND_UNAVAILABLE` when the package is missing, `ERR_BACKEND_FAILED` for a graph it
 * cannot run, `ERR_BACKEND_CRASHED` when the thread ends.
 */
export const openEncoderSession: OpenEncoderSession = async (model, { threads }) => {
  const own = import.meta.url
  const file = own.endsWith('.ts') ? './platform.worker.ts' : './platform.worker.js'
  // 1 while the thread has something to do, told without messages.
  const busy = new Int32Array(new SharedArrayBuffer(4))
  const worker = new Worker(new URL(file, own), { name: 'kwaai-encoder', workerData: busy })
  let pending: { resolve(data: Float32Array): void; reject(error: Error): void } | undefined
  let gone: Error | undefined

  // A thread that is ended within a run takes the process down with an abort: the native code throws where
  // nobody catches. So a process that ends waits until the run is over.
  const onExit = (): void => void Atomics.wait(busy, 0, 1, maxExitWaitMs)
  process.on('exit', onExit)

  const settle = (): typeof pending => {
    const waiting = pending
    pending = undefined
    worker.unref()
    return waiting
  }
  const fail = (error: Error): void => settle()?.reject(error)
  worker.on('message', (message: FromEncoderWorker) => {
    if (message.type === 'missing') fail(runtimeUnavailable('onnxruntime-node', new Error(message.why)))
    else if (message.type === 'failed')
      fail(shardError('ERR_BACKEND_FAILED', `Cannot run the encoder: ${message.why}`))
    else settle()?.resolve(message.data)
  })
  const ended = (why: string, cause?: unknown): void => {
    process.off('exit', onExit)
    gone ??= shardError('ERR_BACKEND_CRASHED', `The thread that encodes ended: ${why}`, { cause })
    fail(gone)
  }
  worker.on('error', (cause: unknown) => ended(cause instanceof Error ? cause.message : String(cause), cause))
  worker.on('exit', (code) => ended(`exit status ${code}`))

  let running: Promise<unknown> = Promise.resolve()
  const ask = (message: ToEncoderWorker, transfer: ArrayBuffer[]): Promise<Float32Array> => {
    const answer = new Promise<Float32Array>((resolve, reject) => {
      if (gone !== undefined) return reject(gone)
      pending = { resolve, reject }
      worker.ref()
      Atomics.store(busy, 0, 1)
      worker.postMessage(message, transfer)
    })
    running = answer
    return answer
  }
  const session: EncoderSession = {
    run: (input) => ask({ type: 'run', input }, [input.ids.buffer, input.mask.buffer]),
    async close() {
      gone ??= shardError('ERR_BACKEND_CLOSED', 'The encoder was closed')
      await running.catch(() => undefined)
      await worker.terminate()
    }
  }
  try {
    await ask({ type: 'load', model, threads }, [model.buffer])
  } catch (error) {
    await session.close()
    throw error
  }
  return session
}
