// A process with a backend that has much to compute: the parent in a test of what becomes of the child.
import type { ChildProcess } from 'node:child_process'
import diagnostics from 'node:diagnostics_channel'
import type { Writable } from 'node:stream'
import { macrotask } from '@kwaai/testing'
import { createGgmlBackend } from '../src/ggml/index.ts'
import { bytesSource } from '../src/gguf/index.ts'
import { toyModel } from './toy-model.ts'

let child: ChildProcess | undefined
diagnostics.subscribe('child_process', (message) => {
  child = (message as { process: ChildProcess }).process
})
const rows = Number(process.argv[2])

async function main(): Promise<void> {
  const backend = createGgmlBackend()
  const runner = await backend.loadBlocks(bytesSource(toyModel({ type: 'Q4_0' })), { from: 0, to: 3 })
  const session = await runner.open({ maxTokens: rows })
  const hidden = Float32Array.from({ length: rows * 64 }, (_, i) => Math.sin(i))
  const busy = runner.forward([{ session, past: 0, kernel: 'vec', hidden }])
  // The child has all of it as soon as nothing is left to write.
  const channel = child?.stdio[3] as Writable | undefined
  while ((channel?.writableLength ?? 0) > 0) await macrotask()
  process.stdout.write(`${child?.pid}\n`)
  await busy
}

main().catch((error: unknown) => {
  console.error(error)
  process.exit(1)
})
