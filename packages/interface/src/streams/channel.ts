import type { CallOptions, Clock } from '../common.ts'
import type { ByteStream, Channel } from '../network.ts'
import { channelClosed, frameTooLarge } from './errors.ts'
import { createLinger } from './linger.ts'
import type { RawStream } from './raw-stream.ts'
import { createTurns } from './waiting.ts'

/** Largest frame where nothing else is said: 8 MiB. */
export const DEFAULT_MAX_FRAME_BYTES: number = 8 * 1024 * 1024

/** Bytes of the length before each frame, an unsigned big-endian integer. */
const HEADER_BYTES = 4

/** Memory for a frame is had as it arrives, from this size on: a length alone claims no more. */
const FIRST_ALLOCATION_BYTES = 64 * 1024

/** What a channel or byte stream is made with. */
export interface ChannelInit {
  clock: Clock
  /** Largest frame accepted and sent, in bytes. Default 8 MiB. */
  maxFrameBytes?: number
}

/**
 * One frame as it travels: its length as four bytes, big-endian, then its bytes. The parts are copied.
 *
 * @throws A KwaaiError `ERR_NETWORK_FRAME_TOO_LARGE`.
 */
export function encodeFrame(
  frame: Uint8Array | readonly Uint8Array[],
  maxFrameBytes: number,
  protocol: string
): Uint8Array {
  const parts = frame instanceof Uint8Array ? [frame] : frame
  const length = parts.reduce((sum, part) => sum + part.length, 0)
  if (length > maxFrameBytes) throw frameTooLarge(protocol, length, maxFrameBytes)
  const bytes = new Uint8Array(HEADER_BYTES + length)
  new DataView(bytes.buffer).setUint32(0, length)
  let offset = HEADER_BYTES
  for (const part of parts) {
    bytes.set(part, offset)
    offset += part.length
  }
  return bytes
}

/**
 * Cuts a stream into frames. What a call that was aborted has read is kept for the next one.
 *
 * @returns a function that gives the next frame, or `undefined` at an end between two frames.
 */
export function createFrameReader(
  raw: RawStream,
  maxFrameBytes: number
): (options?: CallOptions) => Promise<Uint8Array | undefined> {
  const header = new Uint8Array(HEADER_BYTES)
  let rest: Uint8Array = header.subarray(0, 0)
  let headerFilled = 0
  let length = 0
  let frame = header.subarray(0, 0)
  let filled = 0

  const take = (bytes: number): Uint8Array => {
    const taken = rest.subarray(0, bytes)
    rest = rest.subarray(taken.length)
    return taken
  }
  const grow = (size: number): void => {
    const larger = new Uint8Array(size)
    larger.set(frame.subarray(0, filled))
    frame = larger
  }
  // Moves bytes from `rest` into the frame; true when the frame is whole.
  const fill = (): boolean => {
    if (headerFilled < HEADER_BYTES) {
      const taken = take(HEADER_BYTES - headerFilled)
      header.set(taken, headerFilled)
      headerFilled += taken.length
      if (headerFilled < HEADER_BYTES) return false
      length = new DataView(header.buffer).getUint32(0)
      if (length > maxFrameBytes) throw frameTooLarge(raw.protocol, length, maxFrameBytes)
      filled = 0
      frame = new Uint8Array(Math.min(length, FIRST_ALLOCATION_BYTES))
    }
    const taken = take(length - filled)
    if (filled + taken.length > frame.length) {
      grow(Math.min(length, Math.max(2 * frame.length, filled + taken.length)))
    }
    frame.set(taken, filled)
    filled += taken.length
    return filled === length
  }

  return async (options) => {
    for (;;) {
      if (rest.length > 0 && fill()) {
        const whole = frame
        headerFilled = 0
        frame = header.subarray(0, 0)
        return whole
      }
      if (rest.length > 0) continue
      const bytes = await raw.read(options)
      if (bytes !== undefined) rest = bytes
      else if (headerFilled === 0) return undefined
      else throw channelClosed(raw.peer, raw.protocol, 'the stream ended inside a frame')
    }
  }
}

/** A channel of frames over a stream of bytes. */
export function createChannel(raw: RawStream, init: ChannelInit): Channel {
  const { peer, protocol } = raw
  const maxFrameBytes = init.maxFrameBytes ?? DEFAULT_MAX_FRAME_BYTES
  const next = createFrameReader(raw, maxFrameBytes)
  const reading = createTurns()
  const linger = createLinger(raw, init.clock)
  let failure: unknown
  return {
    peer,
    protocol,
    async send(frame, options) {
      options?.signal?.throwIfAborted()
      await raw.write(encodeFrame(frame, maxFrameBytes, protocol), options)
    },
    receive: (options) =>
      linger.reading(() =>
        reading.run(async () => {
          if (failure !== undefined) throw failure
          try {
            return await next(options)
          } catch (error) {
            // A frame that cannot be taken leaves the stream somewhere inside it: there is no going on.
            if (!options?.signal?.aborted || error !== options.signal.reason) {
              failure = error
              raw.abort(error instanceof Error ? error : undefined)
            }
            throw error
          }
        }, options?.signal)
      ),
    close: () => linger.close(),
    abort: (reason) => raw.abort(reason)
  }
}

/** A byte stream of the contract over a raw one: bytes are copied both ways. */
export function createByteStream(raw: RawStream, init: ChannelInit): ByteStream {
  const linger = createLinger(raw, init.clock)
  return {
    peer: raw.peer,
    protocol: raw.protocol,
    write: async (bytes, options) => raw.write(new Uint8Array(bytes), options),
    read: (options) =>
      linger.reading(async () => {
        const bytes = await raw.read(options)
        return bytes === undefined ? undefined : new Uint8Array(bytes)
      }),
    closeWrite: () => raw.closeWrite(),
    close: () => linger.close(),
    abort: (reason) => raw.abort(reason)
  }
}
