import { fork, type ChildProcess } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { nodeError } from '../errors.ts'
import type { NodeStatus } from '../status.ts'

/** A server process of the demonstration. */
export interface Server {
  child: ChildProcess
  status: NodeStatus
  /** Where its API listens, if it does. */
  apiUrl: string | undefined
  /** True once it was asked to end. */
  ending: boolean
}

const maxLineLength = 1 << 20
/** A server has 30 s to end in good order. */
const killAfterMs = 32_000

/**
 * Starts `kwaai up` in a process of its own and waits until it serves. The process ends with this one: a
 * channel between the two closes when either is gone, whatever ended it.
 *
 * @throws A KwaaiError `ERR_NODE_CHILD_FAILED` with the child's own words.
 */
export async function startServer(
  args: readonly string[],
  options: { env: NodeJS.ProcessEnv; signal: AbortSignal }
): Promise<Server> {
  const own = import.meta.url
  const extension = own.endsWith('.ts') ? 'ts' : 'js'
  const child = fork(fileURLToPath(new URL(`../bin.${extension}`, own)), ['up', '--json', ...args], {
    env: options.env,
    execArgv: extension === 'ts' ? ['--conditions=kwaai:source'] : [],
    stdio: ['ignore', 'pipe', 'pipe', 'ipc']
  })
  let errorText = ''
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    errorText = (errorText + text).slice(-maxLineLength)
  })
  try {
    const { api, ...status } = await firstEvent(child, options.signal)
    return { child, status, apiUrl: api ?? undefined, ending: false }
  } catch (error) {
    await stopServer({ child, ending: false })
    if (options.signal.aborted) throw error
    const words = errorText
      .trim()
      .split('\n')
      .at(-1)
      ?.replace(/^kwaai: /, '')
    throw nodeError('ERR_NODE_CHILD_FAILED', `Cannot start a server: ${words || String(error)}`, {
      cause: error
    })
  }
}

/** What `kwaai up --json` says once it serves. */
type UpEvent = NodeStatus & { api: string | null }

function firstEvent(child: ChildProcess, signal: AbortSignal): Promise<UpEvent> {
  return new Promise((resolve, reject) => {
    let rest = ''
    const onAbort = (): void => reject(signal.reason)
    signal.addEventListener('abort', onAbort, { once: true })
    if (signal.aborted) onAbort()
    child.once('error', reject)
    child.once('exit', (code, name) => reject(new Error(`it ended with ${name ?? `status ${code}`}`)))
    child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      rest = (rest + text).slice(-maxLineLength)
      const end = rest.indexOf('\n')
      if (end < 0) return
      signal.removeEventListener('abort', onAbort)
      try {
        resolve(JSON.parse(rest.slice(0, end)) as UpEvent)
      } catch (error) {
        reject(error)
      }
    })
  })
}

/** Asks a server process to end, and makes it after its time. */
export function stopServer(server: Pick<Server, 'child' | 'ending'>): Promise<void> {
  const { child } = server
  server.ending = true
  return new Promise((resolve) => {
    if (child.exitCode !== null || child.signalCode !== null) return resolve()
    const timer = setTimeout(() => child.kill('SIGKILL'), killAfterMs)
    child.once('exit', () => {
      clearTimeout(timer)
      resolve()
    })
    child.kill('SIGTERM')
  })
}
