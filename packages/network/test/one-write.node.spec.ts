import { Writable } from 'node:stream'
import type { ConnectionEncrypter, MessageStream, SecuredConnection } from '@libp2p/interface'
import { macrotask } from '@kwaai/testing'
import { expect, test } from 'vitest'
import { inOneWrite } from '../src/one-write.ts'

/** An encrypter over sockets that note what each write to the transport holds. */
function encrypterOver(writes: string[][]): ConnectionEncrypter {
  const secure = async (): Promise<SecuredConnection> => {
    const socket = new Writable({
      writev(chunks, callback) {
        writes.push(chunks.map(({ chunk }) => String(chunk)))
        callback()
      },
      write(chunk, _, callback) {
        writes.push([String(chunk)])
        callback()
      }
    })
    const connection = { socket, send: (data: Uint8Array) => connection.socket.write(data) }
    return { connection } as unknown as SecuredConnection
  }
  return { protocol: '/tls/1.0.0', secureInbound: secure, secureOutbound: secure } as ConnectionEncrypter
}

test('what is sent in one turn goes out in one write, and all that is sent goes out', async () => {
  const writes: string[][] = []
  const encrypter = inOneWrite(() => encrypterOver(writes))({})
  expect(encrypter.protocol).toBe('/tls/1.0.0')
  const stream = {} as MessageStream
  for (const { connection } of [
    await encrypter.secureInbound(stream),
    await encrypter.secureOutbound(stream)
  ]) {
    const send = (text: string): boolean => connection.send(new TextEncoder().encode(text))
    expect(send('header')).toBe(true)
    send('data')
    // What follows from it in the same turn goes along.
    await Promise.resolve()
    send('another frame')
    expect(writes).toEqual([])
    await macrotask()
    expect(writes.splice(0)).toEqual([['header', 'data', 'another frame']])
    send('later')
    await macrotask()
    expect(writes.splice(0)).toEqual([['later']])
    // An end does not overtake it.
    send('last')
    ;(connection as unknown as { socket: Writable }).socket.end()
    await macrotask()
    expect(writes.splice(0)).toEqual([['last']])
  }
})

test('who ends the transport below does not overtake what was sent before', async () => {
  const order: unknown[] = []
  const encrypter = inOneWrite(() => encrypterOver(order as string[][]))({})
  for (const how of ['close', 'abort'] as const) {
    const raw = {
      close: async () => void order.push('close'),
      abort: () => void order.push('abort')
    } as unknown as MessageStream
    const { connection } = await encrypter.secureOutbound(raw)
    connection.send(new TextEncoder().encode('why'))
    if (how === 'close') await raw.close()
    else raw.abort(new Error('over'))
    await macrotask()
    expect(order.splice(0)).toEqual([['why'], how])
  }
})

test('a connection without such a socket sends as it did', async () => {
  const sent: unknown[] = []
  const secure = async (): Promise<SecuredConnection> =>
    ({ connection: { send: (data: unknown) => sent.push(data) > 0 } }) as unknown as SecuredConnection
  const encrypter = inOneWrite(
    () => ({ protocol: '/x', secureInbound: secure, secureOutbound: secure }) as ConnectionEncrypter
  )({})
  const { connection } = await encrypter.secureInbound({} as MessageStream)
  const data = Uint8Array.of(1)
  expect(connection.send(data)).toBe(true)
  expect(sent).toEqual([data])
})
