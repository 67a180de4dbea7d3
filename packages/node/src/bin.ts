#!/usr/bin/env node
import { watchLauncher } from './cli/launcher.ts'
import { main } from './cli/main.ts'

const ending = new AbortController()
const signalStatus: Partial<Record<NodeJS.Signals, number>> = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 }

let unwritten: NodeJS.ErrnoException | undefined

/** A reader that leaves is no failure of the command; a full disk is one. */
function statusOf(status: number): number {
  if (unwritten === undefined) return status
  if (unwritten.code === 'EPIPE' || unwritten.code === 'EIO') return status
  process.stderr.write(`kwaai: Cannot write the output: ${unwritten.message}\n`)
  return 1
}

function end(reason: string): void {
  // The second request does not wait for a graceful end.
  if (ending.signal.aborted) process.exit(signalStatus[reason as NodeJS.Signals] ?? 1)
  ending.abort(new Error(reason))
}

for (const name of Object.keys(signalStatus) as NodeJS.Signals[]) process.on(name, () => end(name))
// A parent that dies without a signal closes this channel.
if (process.connected) process.on('disconnect', () => end('disconnect'))
watchLauncher(() => {
  if (!ending.signal.aborted) end('the launcher ended')
})
// Whoever read our output is gone: a closed terminal, or `| head`.
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    // Each write that is still on its way fails too: only the first one counts.
    if (unwritten !== undefined) return
    unwritten = error
    ending.abort(error)
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
    // What still holds the event loop (an idle socket, standard input) is no reason to stay.
    process.stdout.write('', (error) => {
      if (error) unwritten ??= error
      process.exit(statusOf(status))
    })
  },
  (error: unknown) => {
    process.stderr.write(
      `kwaai: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`
    )
    process.exit(70)
  }
)
