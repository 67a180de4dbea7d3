import type { PeerId } from '@kwaai/interface'
import { channelClosed, createGate, createTurns, type RawStream } from '@kwaai/interface/streams'
import type { Stream, StreamCloseEvent, StreamMessageEvent } from '@libp2p/interface'
import { READ_QUEUE_BYTES } from './constants.ts'

/** What a queued chunk costs besides its bytes, so that a queue of tiny chunks is bounded too. */
const CHUNK_OVERHEAD_BYTES = 256

/** The state of a Yamux stream in which its window updates carry no flag. */
const YAMUX_ESTABLISHED = 3

/** What is touched of a Yamux stream's own state. */
interface YamuxWindow {
  state: number
  recvWindow: number
  recvWindowCapacity: number
  sendWindowUpdate: () => void
}

/**
 * Lets a Yamux stream say that it has read when half of its window is used up, as the protocol has it. By itself
 * it says so after every frame: one more record to seal, send, open and wake up for with each row that travels.
 */
function sayLess(stream: Stream & Partial<YamuxWindow>): void {
  const { sendWindowUpdate } = stream
  if (typeof sendWindowUpdate !== 'function') return
  stream.sendWindowUpdate = () => {
    const { state, recvWindow = 0, recvWindowCapacity = 0 } = stream
    if (state === YAMUX_ESTABLISHED && 2 * recvWindowCapacity > recvWindow) return
    sendWindowUpdate.call(stream)
  }
}

/**
 * A libp2p stream as a {@link RawStream}. What arrives is copied at once, for it lies in socket buffers that
 * libp2p still reads from, and queued; when the queue is full the stream is paused, and Yamux stops the peer.
 */
export function createLibp2pStream(stream: Stream, peer: PeerId): RawStream {
  const { protocol } = stream
  sayLess(stream)
  const closed = new AbortController()
  const gate = createGate()
  const writing = createTurns()
  const reading = createTurns()
  const arrived: Uint8Array[] = []
  let held = 0
  let ending = false
  // The peer's end in good order is told apart from a lost connection by having been said.
  let saidEnd = stream.status === 'open' && stream.remoteWriteStatus === 'closed'
  let failure: Error | undefined

  const finish = (error: Error, keep: boolean): void => {
    if (closed.signal.aborted) return
    if (!keep) {
      arrived.length = 0
      failure = error
    }
    closed.abort(error)
    gate.wake()
  }
  const ended = (error?: Error): void => {
    if (error === undefined && saidEnd) {
      return finish(channelClosed(peer, protocol, 'both sides have ended'), true)
    }
    finish(channelClosed(peer, protocol, 'the peer reset it or is gone', error), false)
  }

  stream.addEventListener('message', ({ data }: StreamMessageEvent) => {
    if (closed.signal.aborted && failure !== undefined) return
    arrived.push(data instanceof Uint8Array ? new Uint8Array(data) : data.slice())
    held += data.byteLength + CHUNK_OVERHEAD_BYTES
    if (held > READ_QUEUE_BYTES && stream.readStatus === 'readable') stream.pause()
    gate.wake()
  })
  stream.addEventListener('drain', () => gate.wake())
  stream.addEventListener('remoteCloseWrite', () => {
    saidEnd = true
    gate.wake()
  })
  stream.addEventListener('close', (event: StreamCloseEvent) => ended(event.error))
  if (stream.status !== 'open') ended()

  const write = async (bytes: Uint8Array, signal?: AbortSignal): Promise<void> => {
    for (;;) {
      if (ending) throw channelClosed(peer, protocol, 'the own side has ended')
      if (closed.signal.aborted) throw closed.signal.reason
      if (!stream.writableNeedsDrain) break
      await gate.wait(signal)
    }
    if (bytes.length > 0) stream.send(bytes)
  }

  const read = async (signal?: AbortSignal): Promise<Uint8Array | undefined> => {
    for (;;) {
      const bytes = arrived.shift()
      if (bytes !== undefined) {
        held -= bytes.length + CHUNK_OVERHEAD_BYTES
        if (stream.readStatus === 'paused' && held <= READ_QUEUE_BYTES / 2) stream.resume()
        return bytes
      }
      if (failure !== undefined) throw failure
      if (saidEnd && stream.readBufferLength === 0) return undefined
      await gate.wait(signal)
    }
  }

  return {
    peer,
    protocol,
    closed: closed.signal,
    write: (bytes, options) => writing.run(() => write(bytes, options?.signal), options?.signal),
    read: (options) => reading.run(() => read(options?.signal), options?.signal),
    closeWrite: () =>
      writing.run(async () => {
        if (ending) return
        ending = true
        // It fails only when the stream is gone, and then there is nothing left to end.
        await stream.close().catch(() => undefined)
      }),
    abort: (reason) => {
      finish(channelClosed(peer, protocol, 'it was aborted', reason), false)
      stream.abort(reason ?? new Error('The stream was aborted'))
    }
  }
}
