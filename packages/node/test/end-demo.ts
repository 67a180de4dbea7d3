import { expect } from 'vitest'
import { descendants, gone } from './process-tree.ts'
import { startCli } from './run-cli.ts'

/** Ends a demonstration by a signal once its three servers run; no process may be left. Linux. */
export async function endDemo(signal: NodeJS.Signals): Promise<void> {
  const run = startCli(['demo', '--serve', '--api-port', '0', '--max-tokens', '4'])
  await run.seen(/node-3/)
  const processes = descendants(run.child.pid as number)
  run.child.kill(signal)
  await run.ended
  expect(processes.length).toBeGreaterThanOrEqual(6)
  expect(await gone(processes)).toEqual([])
}
