// The child process of a backend: hears questions, answers them one after another, and ends with its parent.
import { KwaaiError } from '@kwaai/interface'
import { createHost } from './host.ts'
import type { CallName, Calls, FromChild, ToChild } from './messages.ts'

const host = createHost()
const waiting: Exclude<ToChild, { call: 'cancel' }>[] = []
let busy = false

function answer<N extends CallName>(call: N, request: Calls[N][0]): Calls[N][1] | Promise<Calls[N][1]> {
  return host[call](request)
}

async function run(): Promise<void> {
  if (busy) return
  busy = true
  for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
    const { id, call, request } = next
    let message: FromChild
    try {
      const reply = answer(call, request)
      message = { id, reply: reply instanceof Promise ? await reply : reply }
    } catch (error) {
      const code = KwaaiError.is(error) ? error.code : 'ERR_BACKEND_FAILED'
      const details = KwaaiError.is(error) ? error.details : {}
      message = {
        id,
        error: { code, message: error instanceof Error ? error.message : String(error), details }
      }
    }
    process.send?.(message)
  }
  busy = false
}

process.on('message', (message: ToChild) => {
  if (message.call === 'cancel') {
    const index = waiting.findIndex(({ id }) => id === message.id)
    if (index >= 0) waiting.splice(index, 1)
    return
  }
  waiting.push(message)
  void run()
})

// Nothing here is worth saving, and a computation may be running on another thread: no orderly exit.
process.on('disconnect', () => process.kill(process.pid, 'SIGKILL'))
