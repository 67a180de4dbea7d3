import type { CallOptions, PeerId } from '../common.ts'

/**
 * The least a transport has to offer: bytes both ways, in order, bounded. Channels, byte streams, requests and
 * handlers are built on it once, for every network alike.
 */
export interface RawStream {
  /** The peer at the other end. */
  readonly peer: PeerId
  readonly protocol: string
  /** Aborts when nothing can travel any more, with the error that readers and writers get. */
  readonly closed: AbortSignal
  /**
   * Waits for room, then takes the bytes over: the caller must not touch them again. When it rejects, none of
   * them was sent.
   *
   * @throws A KwaaiError `ERR_NETWORK_CHANNEL_CLOSED` when the stream is gone.
   */
  write(bytes: Uint8Array, options?: CallOptions): Promise<void>
  /**
   * The next bytes, at least one, or `undefined` at the end. The memory belongs to the stream: read it, do not
   * keep it.
   *
   * @throws A KwaaiError `ERR_NETWORK_CHANNEL_CLOSED` when the stream was reset.
   */
  read(options?: CallOptions): Promise<Uint8Array | undefined>
  /** Ends the own side after what was written. */
  closeWrite(): Promise<void>
  /** Resets the stream at once. */
  abort(reason?: Error): void
}
