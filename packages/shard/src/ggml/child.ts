// The child process of a backend: reads questions, answers them one after another, and ends with its parent.
//
// It has no use for an event loop: waiting in the read itself, it is computing some hundred microseconds sooner
// after each question.
import { readSync, writeSync } from 'node:fs'
import { KwaaiError } from '@kwaai/interface'
import { endWithParent } from './system.ts'
import { channelFd } from './exchange.ts'
import { createFrameReader, encodeFrame } from './frames.ts'
import { createHost, type Reply } from './host.ts'
import type { CallName, Calls, FromChild, ToChild } from './messages.ts'

const host = createHost()

function answer<N extends CallName>(call: N, request: Calls[N][0], data: Uint8Array<ArrayBuffer>): Reply<N> {
  return host[call](request, data)
}

function respond({ id, call, request }: ToChild, data: Uint8Array<ArrayBuffer>): Uint8Array {
  try {
    const { reply, data: pieces } = answer(call, request, data)
    return encodeFrame({ id, reply } satisfies FromChild, pieces)
  } catch (error) {
    const code = KwaaiError.is(error) ? error.code : 'ERR_BACKEND_FAILED'
    const details = KwaaiError.is(error) ? error.details : {}
    const message = error instanceof Error ? error.message : String(error)
    return encodeFrame({ id, error: { code, message, details } } satisfies FromChild)
  }
}

function serve(): void {
  const input = new Uint8Array(2 ** 18)
  const read = createFrameReader<ToChild>(({ head, data }) => {
    const frame = respond(head, data)
    for (let written = 0; written < frame.length;) written += writeSync(channelFd, frame, written)
  })
  for (let count = readSync(channelFd, input); count > 0; count = readSync(channelFd, input))
    read(input.subarray(0, count))
}

// A signal to the whole group asks the parent to end, which may have work to finish first.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => undefined)
endWithParent()
try {
  serve()
} catch (error) {
  writeSync(2, `error: ${String(error)}\n`)
}
// The channel is gone or speaks nonsense. Nothing here is worth saving: no orderly exit.
process.kill(process.pid, 'SIGKILL')
