#!/usr/bin/env node
import { main } from './cli/main.ts'

const ending = new AbortController()
const signalStatus: Partial<Record<NodeJS.Signals, number>> = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 }

function end(reason: string): void {
  // The second request does not wait for a graceful end.
  if (ending.signal.aborted) process.exit(signalStatus[reason as NodeJS.Signals] ?? 1)
  ending.abort(new Error(reason))
}

for (const name of Object.keys(signalStatus) as NodeJS.Signals[]) process.on(name, () => end(name))
// A parent that dies without a signal closes this channel.
if (process.connected) process.on('disconnect', () => end('disconnect'))
// Whoever read our output is gone: a closed terminal, or `| head`.
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE' || error.code === 'EIO') end('EPIPE')
    else throw error
  })
}

main(process.argv.slice(2), {
  stdin: process.stdin,
  stdout: process.stdout,
  stderr: process.stderr,
  env: process.env,
  signal: ending.signal
}).then(
  (status) => {
    process.exitCode = status
    // What still holds the event loop (an idle socket, standard input) is no reason to stay.
    process.stdout.write('', () => process.exit())
  },
  (error: unknown) => {
    process.stderr.write(
      `kwaai: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`
    )
    process.exit(70)
  }
)
