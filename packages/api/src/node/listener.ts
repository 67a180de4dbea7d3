import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Clock } from '@kwaai/interface'
import type { ApiRequest } from '../api-request.ts'
import { MAX_UNREAD_BYTES, UNREAD_TIMEOUT_MS } from '../constants.ts'
import type { Reply } from '../replies.ts'
import { NodeRequest } from './node-request.ts'
import { writeReply } from './write-reply.ts'

/** Answers a request; `closed` is called once its answer has ended or its client is gone. */
export type Listener = (incoming: IncomingMessage, outgoing: ServerResponse, closed: () => void) => void

/** Hands what comes to an API of this room and writes its answers, without a `Request` or a `Response`. */
export function createListener(answer: (request: ApiRequest) => Promise<Reply>, clock: Clock): Listener {
  return (incoming, outgoing, closed) => {
    const request = new NodeRequest(incoming)
    outgoing.on('close', () => {
      if (!outgoing.writableFinished) request.leave()
      if (!incoming.complete) passOver(incoming, clock)
      closed()
    })
    answer(request)
      .then((reply) => writeReply(reply, outgoing))
      .catch(() => outgoing.destroy())
  }
}

/**
 * What is still to come of a request that has its answer is passed over: cut off at once, many a client would not
 * read the answer. One that goes on for too long is cut all the same.
 */
function passOver(incoming: IncomingMessage, clock: Clock): void {
  if (incoming.destroyed) return
  const over = new AbortController()
  let bytes = 0
  incoming.on('data', (part: Uint8Array) => {
    bytes += part.byteLength
    if (bytes > MAX_UNREAD_BYTES) incoming.socket.destroySoon()
  })
  incoming.on('close', () => over.abort())
  incoming.resume()
  clock.sleep(UNREAD_TIMEOUT_MS, { signal: over.signal }).then(
    () => {
      if (!incoming.complete) incoming.socket.destroySoon()
    },
    () => undefined
  )
}
