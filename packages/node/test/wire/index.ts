import { fork } from 'node:child_process'
import { createServer, type AddressInfo } from 'node:net'
import { fileURLToPath } from 'node:url'
import { createCaller } from '../ipc.ts'
import type { WireCalls } from './child.ts'
import type { WireNode, WireRule } from './wire.ts'

export type { WireNode, WireRule } from './wire.ts'

/** A wire in a process of its own. */
export interface RemoteWire extends AsyncDisposable {
  readonly pid: number
  add(node: WireNode): Promise<number>
  shape(rules: readonly WireRule[]): Promise<void>
  cut(name: string): Promise<number>
}

/** Starts the process. It ends with this one. */
export function startWire(): RemoteWire {
  const child = fork(fileURLToPath(new URL('./child.ts', import.meta.url)), {
    serialization: 'advanced',
    execArgv: ['--conditions=kwaai:source'],
    stdio: ['ignore', 'inherit', 'inherit', 'ipc']
  })
  const call = createCaller<WireCalls>(child)
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  return {
    pid: child.pid ?? 0,
    add: (node) => call('add', node),
    shape: (rules) => call('shape', rules),
    cut: (name) => call('cut', name),
    async [Symbol.asyncDispose]() {
      if (child.connected) child.disconnect()
      await ended
    }
  }
}

/** A port of loopback that is free now: for a node whose address others are told before it starts. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo
      server.close(() => resolve(port))
    })
  })
}
