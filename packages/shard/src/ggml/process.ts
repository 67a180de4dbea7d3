import { fork, type ChildProcess } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { CallOptions } from '@kwaai/interface'
import { KwaaiError } from '@kwaai/interface'
import { shardError } from '../errors.ts'
import { createExchange, type Exchange } from './exchange.ts'
import type { CallName, Calls, FromChild, ToChild } from './messages.ts'

/** The child process that computes, as seen from here. */
export interface GgmlProcess {
  /** True until the process ended or was ended. */
  readonly alive: boolean
  /** How large answers come back. */
  readonly exchange: Exchange
  /**
   * Asks; answers come in the order of the questions.
   *
   * @throws A KwaaiError `ERR_BACKEND_CRASHED` when the process ends first, `ERR_BACKEND_BUSY` when too many
   * questions wait, `ERR_BACKEND_CLOSED` after `end`; the signal's reason; or whatever the child answers.
   */
  call<N extends CallName>(name: N, request: Calls[N][0], options?: CallOptions): Promise<Calls[N][1]>
  /** Ends the process at once; calls that wait reject. */
  end(): Promise<void>
}

interface Pending {
  resolve(reply: Calls[CallName][1]): void
  reject(error: unknown): void
}

// What a dying process says last, kept for the error message.
const keptErrorText = 2048

/** Starts the child process. */
export function startGgmlProcess(maxWaitingCalls: number): GgmlProcess {
  const own = import.meta.url
  const fromSource = own.endsWith('.ts')
  const exchange = createExchange()
  const child: ChildProcess = fork(
    fileURLToPath(new URL(fromSource ? './child.ts' : './child.js', own)),
    [],
    {
      serialization: 'advanced',
      execArgv: fromSource ? ['--conditions=kwaai:source'] : [],
      stdio: ['ignore', 'ignore', 'pipe', 'ipc', exchange.fd],
      env: { ...process.env, GGML_NO_BACKTRACE: '1' }
    }
  )
  const pending = new Map<number, Pending>()
  let next = 0
  let errorText = ''
  let gone: KwaaiError | undefined

  child.stderr?.setEncoding('utf8')
  child.stderr?.on('data', (text: string) => {
    errorText = (errorText + text).slice(-keptErrorText)
  })
  const finish = (error: KwaaiError): void => {
    gone ??= error
    for (const { reject } of pending.values()) reject(gone)
    pending.clear()
  }
  const crashed = (why: string, cause?: unknown): KwaaiError =>
    shardError('ERR_BACKEND_CRASHED', `The process that computes ended: ${why}`, {
      cause,
      details: { why, stderr: errorText.trim() }
    })
  const ended = new Promise<void>((resolve) => {
    // Not `close`: it does not come when the channel went first.
    let status = ''
    let open = 2
    const over = (): void => {
      if (--open > 0) return
      const text = lastWords(errorText)
      finish(crashed(text === '' ? status : `${status}, ${text}`))
      exchange.close()
      resolve()
    }
    child.once('exit', (code, signal) => {
      status = signal ?? `exit status ${code}`
      over()
    })
    child.stderr?.once('close', over)
    child.once('error', (error) => {
      finish(crashed(error.message, error))
      if (child.pid !== undefined) return
      exchange.close()
      resolve()
    })
  })
  child.on('message', (message: FromChild) => {
    const call = pending.get(message.id)
    pending.delete(message.id)
    if (call === undefined) return
    if ('reply' in message) return call.resolve(message.reply)
    const { code, message: text, details } = message.error
    call.reject(new KwaaiError(code, text, { details }))
  })
  const send = (message: ToChild): void => {
    // A failed send means that the process is ending; its `close` event settles what waits.
    if (child.connected) child.send(message, () => undefined)
  }

  return {
    get alive() {
      return gone === undefined
    },
    exchange,
    call<N extends CallName>(name: N, request: Calls[N][0], { signal }: CallOptions = {}) {
      return new Promise<Calls[N][1]>((resolve, reject) => {
        if (signal?.aborted === true) return reject(signal.reason)
        if (gone !== undefined) return reject(gone)
        if (pending.size >= maxWaitingCalls)
          return reject(
            shardError('ERR_BACKEND_BUSY', `Cannot take the call: ${pending.size} are waiting`, {
              details: { limit: maxWaitingCalls }
            })
          )
        const id = next++
        const abort = (): void => {
          pending.delete(id)
          send({ id, call: 'cancel' })
          reject(signal?.reason)
        }
        const settled = (): void => signal?.removeEventListener('abort', abort)
        pending.set(id, {
          resolve(reply) {
            settled()
            resolve(reply as Calls[N][1])
          },
          reject(error) {
            settled()
            reject(error)
          }
        })
        signal?.addEventListener('abort', abort, { once: true })
        send({ id, call: name, request })
      })
    },
    async end() {
      finish(shardError('ERR_BACKEND_CLOSED', 'The backend was closed'))
      child.kill('SIGKILL')
      await ended
    }
  }
}

/** The line that says what went wrong, of what a process wrote before it ended. */
function lastWords(text: string): string {
  const lines = text.trim().split('\n')
  return (lines.findLast((line) => /error|assert/i.test(line)) ?? lines.at(-1) ?? '').trim()
}
