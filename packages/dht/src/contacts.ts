import { deadlineSignal, KwaaiError, type Clock, type Network, type PeerId } from '@kwaai/interface'
import { DHT_PROTOCOL, MAX_MESSAGE_BYTES } from './constants.ts'
import { ERR_DHT_INVALID_MESSAGE, ERR_DHT_TIMEOUT, dhtError } from './errors.ts'
import { createFailureBook } from './failure-book.ts'
import { decodeResponse, encodeRequest, type DhtRequest, type DhtResponse } from './messages.ts'
import type { RoutingTable } from './routing-table.ts'
import type { TaskSet } from './task-set.ts'

/** The response that belongs to a request. */
export type ResponseTo<R extends DhtRequest> = Extract<
  DhtResponse,
  {
    type: { ping: 'pong'; findPeers: 'peers'; findRecords: 'records'; store: 'stored' }[R['type']]
  }
>

const responseTypes = { ping: 'pong', findPeers: 'peers', findRecords: 'records', store: 'stored' } as const

/** Asks peers and keeps the books on who answers. */
export interface Contacts {
  /**
   * Asks a peer. Whoever answers rightly enters the routing table, whoever does not may leave it.
   *
   * @throws A KwaaiError, of this package or of the network, when there is no right answer; the signal's reason when
   * it aborts.
   */
  ask<R extends DhtRequest>(peer: PeerId, request: R, signal: AbortSignal): Promise<ResponseTo<R>>
  /** A peer was heard of first hand: in the background it is asked whether it answers, and enters the table if so. */
  greet(peer: PeerId): void
  /** Asks again whoever fell silent, some at a time: a partition may have healed. */
  retrySilent(count: number): void
}

/** Makes the contacts of a node. */
export function createContacts(components: {
  network: Network
  clock: Clock
  table: RoutingTable
  /** Where greetings run. */
  tasks: TaskSet
  requestTimeoutMs: number
}): Contacts {
  const { network, clock, table, tasks, requestTimeoutMs } = components
  const book = createFailureBook()
  const greeting = new Set<PeerId>()

  const request = async <R extends DhtRequest>(
    peer: PeerId,
    message: R,
    signal: AbortSignal
  ): Promise<ResponseTo<R>> => {
    const late = (): Error =>
      dhtError(ERR_DHT_TIMEOUT, `Cannot ask peer ${peer}: no answer in ${requestTimeoutMs} ms`)
    const deadline = deadlineSignal(clock, requestTimeoutMs, late, signal)
    try {
      const answer = await network.request(peer, DHT_PROTOCOL, encodeRequest(message), {
        maxFrameBytes: MAX_MESSAGE_BYTES,
        signal: deadline.signal
      })
      const response = decodeResponse(answer)
      if (!answers(message, response)) {
        throw dhtError(
          ERR_DHT_INVALID_MESSAGE,
          `Cannot use the answer of peer ${peer}: it answers another question`
        )
      }
      return response
    } finally {
      deadline.clear()
    }
  }

  const ask: Contacts['ask'] = async (peer, message, signal) => {
    signal.throwIfAborted()
    if (book.blocked(peer, clock.now())) {
      throw dhtError(ERR_DHT_TIMEOUT, `Cannot ask peer ${peer}: it did not answer a moment ago`)
    }
    try {
      const response = await request(peer, message, signal).catch((error: unknown) => {
        // A lost connection may be the old one's end only. All requests may be repeated.
        if (signal.aborted || !KwaaiError.is(error, 'ERR_NETWORK_REQUEST_FAILED')) throw error
        return request(peer, message, signal)
      })
      book.succeeded(peer)
      const silent = table.seen(peer)
      if (silent !== undefined) check(silent)
      return response
    } catch (error) {
      if (!signal.aborted) {
        const dead = KwaaiError.is(error, ERR_DHT_TIMEOUT)
        book.failed(peer, clock.now(), { weight: dead ? 2 : 1, known: table.has(peer) })
        if (KwaaiError.is(error, 'ERR_NETWORK_PROTOCOL_UNSUPPORTED')) table.remove(peer)
        else table.failed(peer)
      }
      throw error
    }
  }

  const check = (peer: PeerId): void => {
    if (greeting.has(peer)) return
    tasks.run(async (signal) => {
      greeting.add(peer)
      try {
        await ask(peer, { type: 'ping' }, signal)
      } finally {
        greeting.delete(peer)
      }
    })
  }

  return {
    ask,
    greet: (peer) => {
      if (peer === network.peerId) return
      book.succeeded(peer)
      if (!table.knows(peer)) check(peer)
    },
    retrySilent: (count) => {
      for (const peer of book.worthRetrying(clock.now(), count)) check(peer)
    }
  }
}

function answers<R extends DhtRequest>(request: R, response: DhtResponse): response is ResponseTo<R> {
  return response.type === responseTypes[request.type]
}
