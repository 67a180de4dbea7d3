import type { CallOptions, Clock, PeerId } from '../common.ts'
import { KwaaiError } from '../errors.ts'
import type { TopicMessage } from '../network.ts'
import { protocolUnsupported, unreachable } from '../streams/errors.ts'
import type { RawStream } from '../streams/raw-stream.ts'
import { createStreamPair, type StreamTransfer } from '../streams/stream-pair.ts'
import { systemClock } from './clock.ts'

/**
 * What may go wrong on a hub. Both hooks may wait (that is delay), for ever too (that is a peer that hangs); the
 * signal aborts when the outcome no longer matters. There is no loss of single frames: a channel is reliable,
 * so loss is a reset.
 */
export interface MemoryFaults {
  /** Asked before two peers connect. */
  dial?: (link: { from: PeerId; to: PeerId }, signal: AbortSignal) => Promise<'pass' | 'fail'>
  /** Asked for each write, in order, before it arrives; `reset` ends the stream. */
  transfer?: (transfer: StreamTransfer, signal: AbortSignal) => Promise<'pass' | 'reset'>
}

/** What a hub is made with. */
export interface MemoryHubInit {
  /** Measures round trips and waits. Default the system's. */
  clock?: Clock
  faults?: MemoryFaults
}

/** A network on a hub, as the hub sees it. */
export interface MemoryMember {
  readonly peerId: PeerId
  answers(protocol: string): boolean
  accept(raw: RawStream): void
  subscribes(topic: string): boolean
  deliver(message: TopicMessage): void
  connected(peer: PeerId): void
  disconnected(peer: PeerId): void
  /** The hub has ended it without a word to anybody. */
  killed(): void
}

/** The place where in-memory networks meet. */
export interface MemoryHub {
  readonly clock: Clock
  /** Peers running now, in the order they came. */
  peers(): PeerId[]
  /** Ends a peer as a crash would: its streams are reset, its connections lost. It may be started again. */
  kill(peer: PeerId): void
  /** Cuts every link between the two groups: connections are lost and dials fail, until {@link heal}. */
  partition(a: readonly PeerId[], b: readonly PeerId[]): void
  /** Mends all partitions. */
  heal(): void
  /**
   * For networks: joins the hub.
   *
   * @throws A KwaaiError `ERR_NETWORK_ADDRESS_IN_USE` when a peer of this id is running.
   */
  attach(member: MemoryMember): MemoryPort
}

/** What a hub does for one member. */
export interface MemoryPort {
  connect(to: PeerId, options?: CallOptions): Promise<void>
  openStream(to: PeerId, protocol: string, options?: CallOptions): Promise<RawStream>
  disconnect(peer: PeerId): void
  /** Peers connected now. */
  peers(): PeerId[]
  /** Peers that could be dialled now. */
  reachable(): PeerId[]
  /** Measures a round trip, in milliseconds. */
  ping(to: PeerId, options?: CallOptions): Promise<number>
  rttMs(peer: PeerId): number | undefined
  publish(topic: string, data: Uint8Array): Promise<void>
  detach(): void
}

interface Link {
  readonly ends: readonly [PeerId, PeerId]
  /** Aborts when the link is lost. */
  readonly lost: AbortController
  readonly streams: Set<RawStream>
  rttMs?: number
}

const linkKey = (a: PeerId, b: PeerId): string => JSON.stringify(a < b ? [a, b] : [b, a])

/** Waits for a promise or for a signal, whichever is first. */
function orAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = (): void => reject(signal.reason)
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort))
    if (signal.aborted) abort()
    else signal.addEventListener('abort', abort, { once: true })
  })
}

/** Makes a {@link MemoryHub}. Everything on it happens in one order, the same in every run. */
export function createMemoryHub(init: MemoryHubInit = {}): MemoryHub {
  const clock = init.clock ?? systemClock
  const faults = init.faults ?? {}
  const members = new Map<PeerId, MemoryMember>()
  const links = new Map<string, Link>()
  const kills = new WeakMap<MemoryMember, () => void>()
  const cuts: (readonly [ReadonlySet<PeerId>, ReadonlySet<PeerId>])[] = []

  const isCut = (a: PeerId, b: PeerId): boolean =>
    cuts.some(([left, right]) => (left.has(a) && right.has(b)) || (left.has(b) && right.has(a)))

  const drop = (link: Link): void => {
    const [a, b] = link.ends
    if (!links.delete(linkKey(a, b))) return
    link.lost.abort(unreachable(b, 'the connection was lost'))
    for (const stream of link.streams) stream.abort()
    members.get(a)?.disconnected(b)
    members.get(b)?.disconnected(a)
  }
  const linksOf = (peer: PeerId): Link[] => [...links.values()].filter((link) => link.ends.includes(peer))

  const live = (peer: PeerId): MemoryMember => {
    const member = members.get(peer)
    if (member === undefined) throw unreachable(peer, 'nobody of this id is running')
    return member
  }

  const connect = async (from: MemoryMember, to: PeerId, signal: AbortSignal): Promise<Link> => {
    const check = (): void => {
      signal.throwIfAborted()
      if (to === from.peerId) throw unreachable(to, 'it is the own peer')
      if (isCut(from.peerId, to)) throw unreachable(to, 'the link is cut')
      live(to)
    }
    check()
    const key = linkKey(from.peerId, to)
    const known = links.get(key)
    if (known !== undefined) return known
    const verdict = await faults.dial?.({ from: from.peerId, to }, signal)
    if (verdict === 'fail') throw unreachable(to, 'the dial failed')
    // The world may have changed meanwhile.
    check()
    const raced = links.get(key)
    if (raced !== undefined) return raced
    const link: Link = { ends: [from.peerId, to], lost: new AbortController(), streams: new Set() }
    links.set(key, link)
    from.connected(to)
    live(to).connected(from.peerId)
    return link
  }

  const travel = async (transfer: StreamTransfer, signal: AbortSignal): Promise<void> => {
    const verdict = await faults.transfer?.(transfer, signal)
    signal.throwIfAborted()
    if (verdict === 'reset') throw unreachable(transfer.to, 'the stream was reset')
  }

  const attach = (member: MemoryMember): MemoryPort => {
    const own = member.peerId
    if (members.has(own)) {
      throw new KwaaiError(
        'ERR_NETWORK_ADDRESS_IN_USE',
        `Cannot start peer ${own}: a peer of this id is running on the hub`,
        { details: { peer: own } }
      )
    }
    members.set(own, member)
    const gone = new AbortController()
    const leave = (): void => {
      if (members.get(own) !== member) return
      for (const link of linksOf(own)) drop(link)
      members.delete(own)
      gone.abort(unreachable(own, 'it is not running'))
    }
    kills.set(member, () => {
      leave()
      member.killed()
    })
    /** Runs a task that ends with the call's signal or with the peer itself. */
    const running = <T>(options: CallOptions, task: (signal: AbortSignal) => Promise<T>): Promise<T> => {
      const signal =
        options.signal === undefined ? gone.signal : AbortSignal.any([options.signal, gone.signal])
      return orAborted(task(signal), signal)
    }

    return {
      connect: (to, options = {}) =>
        running(options, async (signal) => {
          await connect(member, to, signal)
        }),
      openStream: (to, protocol, options = {}) =>
        running(options, async (signal) => {
          const link = await connect(member, to, signal)
          const open = AbortSignal.any([signal, link.lost.signal])
          await orAborted(travel({ from: own, to, protocol, bytes: 0 }, open), open)
          const acceptor = live(to)
          if (!acceptor.answers(protocol)) throw protocolUnsupported(to, protocol)
          const [near, far] = createStreamPair({
            peers: [own, to],
            protocol,
            ...(faults.transfer === undefined ? {} : { transfer: faults.transfer }),
            onClosed: () => link.streams.delete(near)
          })
          link.streams.add(near)
          acceptor.accept(far)
          return near
        }),
      disconnect: (peer) => {
        const link = links.get(linkKey(own, peer))
        if (link !== undefined) drop(link)
      },
      peers: () => linksOf(own).map(({ ends: [a, b] }) => (a === own ? b : a)),
      reachable: () => [...members.keys()].filter((peer) => peer !== own && !isCut(own, peer)),
      ping: (to, options = {}) =>
        running(options, async (signal) => {
          const link = await connect(member, to, signal)
          const open = AbortSignal.any([signal, link.lost.signal])
          const started = clock.monotonic()
          for (const [from, towards] of [
            [own, to],
            [to, own]
          ] as const) {
            await orAborted(travel({ from, to: towards, protocol: '/ping', bytes: 32 }, open), open)
          }
          link.rttMs = clock.monotonic() - started
          return link.rttMs
        }),
      rttMs: (peer) => links.get(linkKey(own, peer))?.rttMs,
      publish: async (topic, data) => {
        for (const [peer, other] of members) {
          if (peer === own || isCut(own, peer) || !other.subscribes(topic)) continue
          other.deliver({ topic, from: own, data: new Uint8Array(data) })
        }
      },
      detach: leave
    }
  }

  return {
    clock,
    peers: () => [...members.keys()],
    kill: (peer) => {
      const member = members.get(peer)
      if (member !== undefined) kills.get(member)?.()
    },
    partition: (a, b) => {
      cuts.push([new Set(a), new Set(b)])
      for (const link of links.values()) if (isCut(...link.ends)) drop(link)
    },
    heal: () => {
      cuts.length = 0
    },
    attach
  }
}
