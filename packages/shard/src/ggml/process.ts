import { spawn, type ChildProcess } from 'node:child_process'
import type { Duplex } from 'node:stream'
import { fileURLToPath } from 'node:url'
import type { CallOptions } from '@kwaai/interface'
import { KwaaiError } from '@kwaai/interface'
import { shardError } from '../errors.ts'
import { maxSentCalls } from './constants.ts'
import { channelFd, createExchange, type Exchange } from './exchange.ts'
import { createFrameReader, encodeFrame } from './frames.ts'
import type { Answer, CallName, Calls, FromChild, ToChild } from './messages.ts'

/** Options of {@link GgmlProcess.call}. */
export interface AskOptions extends CallOptions {
  /** Pieces of data; copied before the call returns. */
  data?: readonly ArrayBufferView[]
}

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
  call<N extends CallName>(name: N, request: Calls[N][0], options?: AskOptions): Promise<Answer<N>>
  /** Ends the process at once; calls that wait reject. */
  end(): Promise<void>
}

/** A question nobody gave up. */
interface Pending {
  id: number
  frame: Uint8Array
  resolve(answer: Answer<CallName>): void
  reject(error: unknown): void
}

// What a dying process says last, kept for the error message.
const keptErrorText = 2048

/** Starts the child process. */
export function startGgmlProcess(maxWaitingCalls: number): GgmlProcess {
  const own = import.meta.url
  const fromSource = own.endsWith('.ts')
  const exchange = createExchange()
  const child: ChildProcess = spawn(
    process.execPath,
    [
      ...(fromSource ? ['--conditions=kwaai:source'] : []),
      fileURLToPath(new URL(fromSource ? './child.ts' : './child.js', own))
    ],
    {
      stdio: ['ignore', 'ignore', 'pipe', 'pipe', exchange.fd],
      env: { ...process.env, GGML_NO_BACKTRACE: '1' },
      windowsHide: true
    }
  )
  const channel = child.stdio[channelFd] as Duplex
  // In order of arrival. The child has the first few, so that it never waits for the next; one that it has is
  // computed even when its caller has given up.
  const pending = new Map<number, Pending>()
  const sent = new Set<number>()
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
  const sendNext = (): void => {
    for (const { id, frame } of pending.values()) {
      if (sent.size >= maxSentCalls) return
      if (sent.has(id)) continue
      sent.add(id)
      channel.write(frame)
    }
  }
  const read = createFrameReader<FromChild>(({ head, data }) => {
    const call = pending.get(head.id)
    pending.delete(head.id)
    sent.delete(head.id)
    sendNext()
    if (call === undefined) return
    if (!('error' in head)) return call.resolve({ reply: head.reply, data })
    const { code, message, details } = head.error
    call.reject(new KwaaiError(code, message, { details }))
  })
  channel.on('data', (bytes: Uint8Array) => {
    try {
      read(bytes)
    } catch (error) {
      finish(crashed(error instanceof Error ? error.message : String(error), error))
      child.kill('SIGKILL')
    }
  })
  // The process is ending then; its `exit` event settles what waits.
  channel.on('error', () => undefined)

  return {
    get alive() {
      return gone === undefined
    },
    exchange,
    call<N extends CallName>(name: N, request: Calls[N][0], { signal, data }: AskOptions = {}) {
      return new Promise<Answer<N>>((resolve, reject) => {
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
          reject(signal?.reason)
        }
        const settled = (): void => signal?.removeEventListener('abort', abort)
        pending.set(id, {
          id,
          frame: encodeFrame({ id, call: name, request } satisfies ToChild<N>, data),
          resolve(answer) {
            settled()
            resolve(answer as Answer<N>)
          },
          reject(error) {
            settled()
            reject(error)
          }
        })
        signal?.addEventListener('abort', abort, { once: true })
        sendNext()
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
