/**
 * What those need who write a `Network`: give it a {@link RawStream} and a way to open and accept them, and
 * frames, requests, handlers and limits are here, the same for every network.
 *
 * A frame travels as its length, an unsigned 32-bit big-endian integer, then its bytes. A request is one frame
 * there and one back on a stream of its own.
 *
 * @packageDocumentation
 */
export type { RawStream } from './raw-stream.ts'
export { createStreamPair, type StreamPairInit, type StreamTransfer } from './stream-pair.ts'
export {
  DEFAULT_MAX_FRAME_BYTES,
  createByteStream,
  createChannel,
  createFrameReader,
  encodeFrame,
  type ChannelInit
} from './channel.ts'
export { DEFAULT_MAX_STREAMS_PER_PEER, requestOver, serveStream } from './exchange.ts'
export { createHandlerTable, type HandlerTable } from './handler-table.ts'
export { closestFirst } from './distance.ts'
export { createGate, createTurns, type Gate, type Turns } from './waiting.ts'
export {
  channelClosed,
  frameTooLarge,
  invalidAddress,
  protocolUnsupported,
  unreachable,
  type NetworkErrorCode
} from './errors.ts'
