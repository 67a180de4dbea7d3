import type { CallOptions, Channel, Network, PeerId, ProtocolHandler } from '@kwaai/interface'
import { channelClosed, createGate, createTurns, DEFAULT_MAX_FRAME_BYTES } from '@kwaai/interface/streams'

/** One frame of a channel, on its way. */
export interface FrameEvent {
  /** Seen from the network that is decorated. */
  readonly direction: 'send' | 'receive'
  /** The peer at the other end. */
  readonly peer: PeerId
  readonly protocol: string
  /** The whole frame; not to be changed. */
  readonly bytes: Uint8Array
}

/**
 * What becomes of a frame: it arrives, it is lost, it arrives twice, or it takes the channel with it (the own
 * side fails and the peer sees a reset).
 */
export type FrameVerdict = 'pass' | 'drop' | 'duplicate' | 'reset'

/** How a faulty network misbehaves. */
export interface FrameFaults {
  /**
   * Asked for every frame. It may wait, and that is delay: frames of one direction keep their order, each is on
   * its way from the moment it was sent. Waiting for ever is a hang. A rejection counts as `reset`. The signal
   * aborts when the channel is over.
   */
  onFrame: (frame: FrameEvent, signal: AbortSignal) => Promise<FrameVerdict>
}

/** Bytes that may be on their way in one direction before the sender waits: the first window of Yamux. */
const maxHeldBytes = 256 * 1024

/** One for all: the engine's own would be made anew for each frame. */
const nobodyReads = new Error('Nobody reads')

/**
 * A network whose channels lose, delay, repeat and cut frames as `faults` says, whatever the network beneath is.
 * Requests, byte streams and everything else pass as they are.
 */
export function createFaultyNetwork(network: Network, faults: FrameFaults): Network {
  const faulty: Network = {
    ...network,
    [Symbol.asyncDispose]: () => network.stop(),
    open: async (peer, protocol, options) =>
      createFaultyChannel(await network.open(peer, protocol, options), faults, options?.maxFrameBytes)
        .channel,
    handle: (protocol, handler, options) =>
      network.handle(protocol, faultyHandler(handler, faults, options?.maxFrameBytes), options)
  }
  return faulty
}

function faultyHandler(
  handler: ProtocolHandler,
  faults: FrameFaults,
  maxFrameBytes?: number
): ProtocolHandler {
  if (!('onChannel' in handler)) return handler
  return {
    onChannel: async (inner) => {
      const { channel, sent } = createFaultyChannel(inner, faults, maxFrameBytes)
      await handler.onChannel(channel)
      // The network closes its own channel now: what still waits for a verdict goes first.
      await sent()
    }
  }
}

/** Frames of one direction: each waits for its own verdict, all keep their order. */
interface Lane {
  /** Waits for room, then takes the frame over. */
  push(bytes: Uint8Array, signal?: AbortSignal): Promise<void>
  /** Runs once everything pushed before has been delivered. */
  end(then: () => void | Promise<void>): Promise<void>
  /** Nobody is to wait for room any more. */
  wake(): void
}

function createFaultyChannel(
  inner: Channel,
  { onFrame }: FrameFaults,
  maxFrameBytes: number = DEFAULT_MAX_FRAME_BYTES
): { channel: Channel; sent(): Promise<void> } {
  const { peer, protocol } = inner
  const over = new AbortController()
  const gate = createGate()
  const reading = createTurns()
  const arrived: Uint8Array[] = []
  let ended = false
  let readers = 0
  let pumping = false
  let resting: AbortController | undefined
  let closing: Promise<void> | undefined
  let failure: { error: unknown } | undefined

  const fail = (error: unknown): void => {
    if (failure !== undefined) return
    failure = { error }
    arrived.length = 0
    over.abort(error)
    inner.abort()
    outgoing.wake()
    incoming.wake()
    gate.wake()
  }

  const createLane = (
    direction: FrameEvent['direction'],
    deliver: (bytes: Uint8Array) => void | Promise<void>
  ): Lane => {
    const room = createGate()
    const turns = createTurns()
    let held = 0
    let road: Promise<void> = Promise.resolve()
    /** The verdict on a frame; a channel that is over waits for none. */
    const judge = (bytes: Uint8Array): Promise<FrameVerdict> =>
      new Promise((resolve) => {
        const reset = (): void => resolve('reset')
        over.signal.addEventListener('abort', reset, { once: true })
        Promise.resolve({ direction, peer, protocol, bytes })
          .then((frame) => onFrame(frame, over.signal))
          .then(resolve, reset)
          .finally(() => over.signal.removeEventListener('abort', reset))
      })
    const arrive = async (verdict: FrameVerdict, bytes: Uint8Array): Promise<void> => {
      if (failure !== undefined) return
      if (verdict === 'reset') throw channelClosed(peer, protocol, 'it was reset')
      for (let copies = verdict === 'drop' ? 0 : verdict === 'duplicate' ? 2 : 1; copies > 0; copies--) {
        await deliver(copies === 1 ? bytes : bytes.slice())
      }
    }
    return {
      push: (bytes, signal) =>
        turns.run(async () => {
          while (held >= maxHeldBytes && failure === undefined) await room.wait(signal)
          if (failure !== undefined) throw failure.error
          held += bytes.length
          const verdict = judge(bytes)
          road = road
            .then(async () => arrive(await verdict, bytes))
            .catch(fail)
            .finally(() => {
              held -= bytes.length
              room.wake()
            })
        }, signal),
      end: (then) => (road = road.then(then)),
      wake: () => room.wake()
    }
  }
  const outgoing = createLane('send', (bytes) => inner.send(bytes))
  const incoming = createLane('receive', (bytes) => {
    arrived.push(bytes)
    gate.wake()
  })

  /** Reads while somebody waits for a frame, so that the channel beneath knows whether it is read from. */
  const pump = async (): Promise<void> => {
    if (pumping) return
    pumping = true
    while (readers > 0 && !ended && failure === undefined) {
      const rest = new AbortController()
      resting = rest
      try {
        const bytes = await inner.receive({ signal: rest.signal })
        if (bytes !== undefined) await incoming.push(bytes)
        else {
          await incoming.end(() => {
            ended = true
            gate.wake()
          })
        }
      } catch (error) {
        if (!rest.signal.aborted || error !== rest.signal.reason) fail(error)
      }
    }
    pumping = false
  }

  const next = async ({ signal }: CallOptions): Promise<Uint8Array | undefined> => {
    for (;;) {
      const bytes = arrived.shift()
      if (bytes !== undefined) return bytes
      if (failure !== undefined) throw failure.error
      if (ended) return undefined
      await gate.wait(signal)
    }
  }

  const channel: Channel = {
    peer,
    protocol,
    async send(frame, options = {}) {
      options.signal?.throwIfAborted()
      const parts = frame instanceof Uint8Array ? [frame] : frame
      const length = parts.reduce((sum, part) => sum + part.length, 0)
      // Refused beneath, in its own words.
      if (length > maxFrameBytes) return inner.send(frame, options)
      if (closing !== undefined) throw channelClosed(peer, protocol, 'the own side has ended')
      const bytes = new Uint8Array(length)
      let at = 0
      for (const part of parts) {
        bytes.set(part, at)
        at += part.length
      }
      await outgoing.push(bytes, options.signal)
    },
    async receive(options = {}) {
      readers += 1
      void pump()
      try {
        return await reading.run(() => next(options), options.signal)
      } finally {
        readers -= 1
        if (readers === 0) resting?.abort(nobodyReads)
      }
    },
    async close() {
      closing ??= outgoing.end(() => (failure === undefined ? inner.close().catch(fail) : undefined))
    },
    abort: (reason) => fail(channelClosed(peer, protocol, 'it was aborted', reason))
  }
  return { channel, sent: () => outgoing.end(() => undefined) }
}
