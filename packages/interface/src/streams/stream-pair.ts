import type { PeerId } from '../common.ts'
import { channelClosed } from './errors.ts'
import type { RawStream } from './raw-stream.ts'
import { createGate, createTurns } from './waiting.ts'

/** Bytes a direction holds before its writer waits; the first window of Yamux, 256 KiB. */
const BUFFERED_BYTES = 256 * 1024

/** What is on its way from one end of a pair to the other. */
export interface StreamTransfer {
  readonly from: PeerId
  readonly to: PeerId
  readonly protocol: string
  readonly bytes: number
}

/** How a pair of streams is made. */
export interface StreamPairInit {
  /** Who opens, who accepts. */
  peers: readonly [opener: PeerId, acceptor: PeerId]
  protocol: string
  /** Called for each write in order, before it arrives; may wait, and may have the stream reset. */
  transfer?: (transfer: StreamTransfer, signal: AbortSignal) => Promise<'pass' | 'reset'>
  /** Bytes a direction holds before its writer waits. Default 256 KiB. */
  bufferedBytes?: number
  /** Called once, when both directions have ended or the pair was reset. */
  onClosed?: () => void
}

/** One direction of a pair. */
interface Pipe {
  write(bytes: Uint8Array, signal?: AbortSignal): Promise<void>
  read(signal?: AbortSignal): Promise<Uint8Array | undefined>
  end(): Promise<void>
  /** `keep`: what has arrived can still be read. */
  fail(writer: Error, reader: Error, keep: boolean): void
}

/** Two ends of a bounded stream in memory: what one writes the other reads. */
export function createStreamPair(init: StreamPairInit): [opener: RawStream, acceptor: RawStream] {
  const { peers, protocol, onClosed } = init
  const controllers = [new AbortController(), new AbortController()] as const
  let directions = 2
  let over = false

  const finish = (errors: readonly [Error, Error], keep = false): void => {
    if (over) return
    over = true
    pipes[0].fail(errors[0], errors[1], keep)
    pipes[1].fail(errors[1], errors[0], keep)
    controllers[0].abort(errors[0])
    controllers[1].abort(errors[1])
    onClosed?.()
  }
  const closed = (index: 0 | 1, why: string, cause?: unknown): Error =>
    channelClosed(peers[index === 0 ? 1 : 0], protocol, why, cause)
  const reset = (): void => finish([closed(0, 'it was reset'), closed(1, 'it was reset')])
  const onEnd = (): void => {
    directions -= 1
    const why = 'both sides have ended'
    if (directions === 0) finish([closed(0, why), closed(1, why)], true)
  }

  const pipes = [pipe(0), pipe(1)] as const

  function pipe(writer: 0 | 1): Pipe {
    const reader = writer === 0 ? 1 : 0
    const limit = init.bufferedBytes ?? BUFFERED_BYTES
    const gate = createGate()
    const writing = createTurns()
    const reading = createTurns()
    const arrived: Uint8Array[] = []
    let held = 0
    let ending = false
    let ended = false
    let writeError: Error | undefined
    let readError: Error | undefined
    let road: Promise<void> | undefined

    // Without faults everything arrives at once; with them, one after the other, the end included.
    const travel = (bytes: number, arrive: () => void): void => {
      const { transfer } = init
      if (transfer === undefined) return arrive()
      const signal = controllers[writer].signal
      const link = { from: peers[writer], to: peers[reader], protocol, bytes }
      road = (road ?? Promise.resolve())
        .then(() => (signal.aborted ? 'reset' : transfer(link, signal)))
        .then((verdict) => (verdict === 'pass' ? arrive() : reset()), reset)
    }

    return {
      write: (bytes, signal) =>
        writing.run(async () => {
          if (ending) throw closed(writer, 'the own side has ended')
          for (;;) {
            if (writeError !== undefined) throw writeError
            if (held < limit) break
            await gate.wait(signal)
          }
          if (bytes.length === 0) return
          held += bytes.length
          travel(bytes.length, () => {
            arrived.push(bytes)
            gate.wake()
          })
        }, signal),
      read: (signal) =>
        reading.run(async () => {
          for (;;) {
            const bytes = arrived.shift()
            if (bytes !== undefined) {
              held -= bytes.length
              gate.wake()
              return bytes
            }
            if (ended) return undefined
            if (readError !== undefined) throw readError
            await gate.wait(signal)
          }
        }, signal),
      end: () =>
        writing.run(async () => {
          if (ending || writeError !== undefined) return
          ending = true
          travel(0, () => {
            ended = true
            gate.wake()
            onEnd()
          })
        }),
      fail: (errorForWriter, errorForReader, keep) => {
        writeError = errorForWriter
        readError = errorForReader
        if (!keep) {
          arrived.length = 0
          ended = false
        }
        gate.wake()
      }
    }
  }

  const end = (index: 0 | 1): RawStream => {
    const [outgoing, incoming] = index === 0 ? pipes : [pipes[1], pipes[0]]
    return {
      peer: peers[index === 0 ? 1 : 0],
      protocol,
      closed: controllers[index].signal,
      write: (bytes, options) => outgoing.write(bytes, options?.signal),
      read: (options) => incoming.read(options?.signal),
      closeWrite: () => outgoing.end(),
      abort: (reason) => {
        const own = closed(index, 'it was aborted', reason)
        const other = closed(index === 0 ? 1 : 0, 'the peer reset it')
        finish(index === 0 ? [own, other] : [other, own])
      }
    }
  }
  return [end(0), end(1)]
}
