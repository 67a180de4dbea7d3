import type { ChildProcess } from 'node:child_process'
import { KwaaiError } from '@kwaai/interface'

/** What a child process answers: by name, one argument and a result that can be cloned. */
export type Calls = Record<string, (argument: never) => unknown>

interface Question {
  id: number
  op: string
  argument: unknown
}

interface Reply {
  id: number
  value?: unknown
  error?: { code?: string; message: string; details?: Readonly<Record<string, unknown>> }
}

/** Calls into a child process that was forked with `serialization: 'advanced'`. */
export type Caller<C extends Calls> = <K extends keyof C & string>(
  op: K,
  ...argument: Parameters<C[K]>
) => Promise<Awaited<ReturnType<C[K]>>>

/** Makes the parent's end. A call to a process that ends rejects. */
export function createCaller<C extends Calls>(child: ChildProcess): Caller<C> {
  const pending = new Map<number, { resolve: (value: never) => void; reject: (error: Error) => void }>()
  let next = 0
  const end = (why: string): void => {
    for (const { reject } of pending.values()) reject(new Error(why))
    pending.clear()
  }
  child.on('message', ({ id, value, error }: Reply) => {
    const call = pending.get(id)
    pending.delete(id)
    if (error === undefined) call?.resolve(value as never)
    else if (error.code === undefined) call?.reject(new Error(error.message))
    else call?.reject(new KwaaiError(error.code, error.message, { details: error.details ?? {} }))
  })
  child.once('error', (error) => end(error.message))
  child.once('exit', (code, signal) => end(`process ${child.pid} ended: ${signal ?? code}`))
  return (op, ...[argument]) =>
    new Promise((resolve, reject) => {
      if (!child.connected) return reject(new Error(`process ${child.pid} has ended`))
      const id = next++
      pending.set(id, { resolve, reject })
      child.send({ id, op, argument } satisfies Question, (error) => {
        if (error === null) return
        pending.delete(id)
        reject(error)
      })
    })
}

/** The child's end: answers until the parent is gone, and then ends this process. */
export function answerCalls(calls: Calls): void {
  process.on('disconnect', () => process.exit(0))
  process.on('message', ({ id, op, argument }: Question) => {
    const reply = (message: Reply): void => void (process.connected && process.send?.(message))
    Promise.resolve()
      .then(() => calls[op]?.(argument as never))
      .then(
        (value) => reply({ id, value }),
        (error: unknown) => {
          const message = error instanceof Error ? error.message : String(error)
          reply({ id, error: KwaaiError.is(error) ? { code: error.code, message } : { message } })
        }
      )
  })
}
