import { parentPort, workerData } from 'node:worker_threads'
import type { InferenceSession } from 'onnxruntime-node'
import type { FromEncoderWorker, ToEncoderWorker } from './worker-messages.ts'

// The thread that encodes: `platform.ts` starts it.
let session: InferenceSession | undefined
let runtime: typeof import('onnxruntime-node') | undefined

async function answer(message: ToEncoderWorker): Promise<FromEncoderWorker> {
  try {
    runtime ??= await import('onnxruntime-node')
  } catch (error) {
    return { type: 'missing', why: wordsOf(error) }
  }
  try {
    if (message.type === 'load') {
      session = await runtime.InferenceSession.create(message.model, {
        intraOpNumThreads: message.threads,
        interOpNumThreads: 1,
        logSeverityLevel: 3,
        // Idle threads that spin would take the cores of everything else.
        extra: { session: { intra_op: { allow_spinning: '0' } } }
      })
      return { type: 'done', data: new Float32Array() }
    }
    const { ids, mask, rows, tokens } = message.input
    const shape = [rows, tokens]
    const feeds = {
      input_ids: new runtime.Tensor('int64', ids, shape),
      attention_mask: new runtime.Tensor('int64', mask, shape)
    }
    const { embedding } = (await session?.run(feeds)) ?? {}
    return { type: 'done', data: new Float32Array(embedding?.data as Float32Array) }
  } catch (error) {
    return { type: 'failed', why: wordsOf(error) }
  }
}

function wordsOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

parentPort?.on('message', (message: ToEncoderWorker) => {
  void answer(message).then((reply) => {
    const busy = workerData as Int32Array
    Atomics.store(busy, 0, 0)
    Atomics.notify(busy, 0)
    parentPort?.postMessage(reply, reply.type === 'done' ? [reply.data.buffer] : [])
  })
})
