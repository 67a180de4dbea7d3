import { spawn, type ChildProcess } from 'node:child_process'
import { fileURLToPath } from 'node:url'

const bin = fileURLToPath(new URL('../src/bin.ts', import.meta.url))

/** What a command left behind. */
export interface CliResult {
  status: number | null
  signal: NodeJS.Signals | null
  stdout: string
  stderr: string
}

/** A running `kwaai`. */
export interface CliRun {
  child: ChildProcess
  ended: Promise<CliResult>
  /** Resolves with all of standard output once it matches. */
  seen(pattern: RegExp): Promise<string>
}

/** Starts `kwaai` as a process of its own, without a terminal. */
export function startCli(
  args: readonly string[],
  options: { env?: Record<string, string>; input?: string; stdout?: number } = {}
): CliRun {
  const child = spawn(process.execPath, ['--conditions=kwaai:source', bin, ...args], {
    env: { ...process.env, ...options.env },
    stdio: ['pipe', options.stdout ?? 'pipe', 'pipe']
  })
  child.stdin?.end(options.input ?? '')
  let stdout = ''
  let stderr = ''
  let check = (): void => undefined
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    stdout += text
    check()
  })
  child.stderr?.setEncoding('utf8').on('data', (text: string) => (stderr += text))
  const ended = new Promise<CliResult>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (status, signal) => resolve({ status, signal, stdout, stderr }))
  })
  return {
    child,
    ended,
    seen: (pattern) =>
      new Promise((resolve, reject) => {
        check = () => {
          if (pattern.test(stdout)) resolve(stdout)
        }
        check()
        void ended.then((result) => reject(new Error(`it ended first: ${JSON.stringify(result)}`)))
      })
  }
}

/** Runs `kwaai` to its end. */
export function runCli(
  args: readonly string[],
  options: { env?: Record<string, string>; input?: string; stdout?: number } = {}
): Promise<CliResult> {
  return startCli(args, options).ended
}
