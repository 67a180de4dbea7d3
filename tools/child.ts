import { spawn } from 'node:child_process'
import { root } from './repository.ts'

/** How a child process ended. */
export interface Finished {
  /** `null` where a signal ended it. */
  code: number | null
  /** What it wrote on both outputs, in the order it was read. */
  output: string
  /** What it wrote on standard output. */
  stdout: string
}

/**
 * Runs a program to its end and keeps what it wrote. The environment is this process's own without what a
 * test runner put into it, so that a child behaves as at a terminal. It is killed, with its children, when
 * the time is up.
 */
export function run(
  command: string,
  args: readonly string[],
  options: { cwd?: string; timeoutMs?: number; env?: NodeJS.ProcessEnv; input?: string } = {}
): Promise<Finished> {
  const { cwd = root, timeoutMs = 300_000, env = {}, input = '' } = options
  const inherited = Object.entries(process.env).filter(
    ([name]) => !/^(VITEST|NODE_ENV$|NODE_OPTIONS$|npm_)/.test(name)
  )
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      cwd,
      env: { ...Object.fromEntries(inherited), FORCE_COLOR: undefined, NO_COLOR: '1', ...env },
      // A group of its own, so that a late grandchild can be ended too.
      detached: true
    })
    let output = ''
    let stdout = ''
    const keep = (chunk: string): void => {
      if (output.length < 1 << 22) output += chunk
    }
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
      keep(chunk)
      if (stdout.length < 1 << 22) stdout += chunk
    })
    child.stderr.setEncoding('utf8').on('data', keep)
    const timer = setTimeout(() => {
      output += `\nended after ${timeoutMs} ms\n`
      if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL')
    }, timeoutMs)
    child.on('error', (error) => {
      clearTimeout(timer)
      reject(error)
    })
    child.on('close', (code) => {
      clearTimeout(timer)
      resolve({ code, output, stdout })
    })
    child.stdin.on('error', () => undefined).end(input)
  })
}

/** Runs a program that has to succeed; the error shows what it wrote. */
export async function runToSuccess(
  command: string,
  args: readonly string[],
  options: Parameters<typeof run>[2] = {}
): Promise<string> {
  const { code, output } = await run(command, args, options)
  if (code !== 0) {
    throw new Error(`${command} ${args.join(' ')} ended with status ${code}:\n${output.slice(-20_000)}`)
  }
  return output
}

/** A tool that the workspace installed. */
export function tool(name: string): string {
  return `${root}/node_modules/.bin/${name}`
}
