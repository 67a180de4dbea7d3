import { PassThrough, type Duplex } from 'node:stream'
import { main } from '../src/cli/main.ts'

/** What a command left behind. */
export interface MainResult {
  status: number
  stdout: string
  stderr: string
}

/** Runs a command line in this process, without a terminal: a process of its own takes half a second to start. */
export async function runMain(
  args: readonly string[],
  options: { env?: Record<string, string>; input?: string | Uint8Array } = {}
): Promise<MainResult> {
  const result: MainResult = { status: -1, stdout: '', stderr: '' }
  const stream = (name: 'stdout' | 'stderr'): NodeJS.WriteStream => {
    const made: Duplex = new PassThrough({ encoding: 'utf8' })
    made.on('data', (text: string) => (result[name] += text))
    return made as NodeJS.WriteStream
  }
  const stdin: Duplex = new PassThrough()
  stdin.end(options.input ?? '')
  result.status = await main(args, {
    stdin: stdin as NodeJS.ReadStream,
    stdout: stream('stdout'),
    stderr: stream('stderr'),
    env: options.env ?? {},
    signal: new AbortController().signal
  })
  return result
}
