import type { ConnectionEncrypter, MessageStream, SecuredConnection } from '@libp2p/interface'
import { expect, test } from 'vitest'
import { wholeFrames } from '../src/whole-frames.ts'

/** What Yamux sends: pieces that follow each other. */
function listOf(...pieces: number[][]): Parameters<MessageStream['send']>[0] {
  return { subarray: () => Uint8Array.from(pieces.flat()) } as unknown as Parameters<MessageStream['send']>[0]
}

test('what is sent at once arrives as one piece, and the encrypter is the same otherwise', async () => {
  const sent: unknown[] = []
  class Encrypter {
    readonly #own = '/secret'
    get protocol(): string {
      return '/tls/1.0.0'
    }
    readonly secureInbound = (): Promise<SecuredConnection> => this.#secure()
    readonly secureOutbound = (): Promise<SecuredConnection> => this.#secure()
    async #secure(): Promise<SecuredConnection> {
      const own = this.#own
      const connection = {
        send(data: unknown) {
          expect(this).toBe(connection)
          sent.push(data)
          return sent.length < 3
        }
      }
      return { connection, own } as unknown as SecuredConnection
    }
  }
  const made = wholeFrames(() => new Encrypter() as ConnectionEncrypter)({})
  expect(made.protocol).toBe('/tls/1.0.0')
  const [inbound, outbound] = [
    await made.secureInbound({} as MessageStream),
    await made.secureOutbound({} as MessageStream)
  ]
  expect(inbound.connection.send(listOf([1, 2], [3]))).toBe(true)
  const one = Uint8Array.of(4)
  expect(outbound.connection.send(one)).toBe(true)
  expect(outbound.connection.send(listOf([5], [6], []))).toBe(false)
  expect(sent).toEqual([Uint8Array.of(1, 2, 3), one, Uint8Array.of(5, 6)])
  expect(sent[1]).toBe(one)
})
