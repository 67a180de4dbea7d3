import { deadlineSignal } from '../common.ts'
import type { CallOptions, Clock, PeerId } from '../common.ts'
import { KwaaiError } from '../errors.ts'
import type { HandleOptions, OpenOptions, ProtocolHandler } from '../network.ts'
import { createByteStream, createChannel } from './channel.ts'
import { channelClosed, type NetworkErrorCode } from './errors.ts'
import type { RawStream } from './raw-stream.ts'

/** How long a caller has to send the whole of a request: 30 s. */
const REQUEST_ARRIVAL_MS = 30_000

/** Streams of one protocol open at once, from one peer, where nothing else is said. */
export const DEFAULT_MAX_STREAMS_PER_PEER = 64

function requestFailed(raw: RawStream, cause?: unknown): KwaaiError<NetworkErrorCode> {
  return new KwaaiError(
    'ERR_NETWORK_REQUEST_FAILED',
    `Cannot get an answer to ${raw.protocol} from peer ${raw.peer}: it ended the stream without one`,
    { cause, details: { peer: raw.peer, protocol: raw.protocol } }
  )
}

/**
 * Sends a request over a fresh stream and waits for the answer.
 *
 * @throws A KwaaiError `ERR_NETWORK_REQUEST_FAILED` when the stream ends without an answer.
 */
export async function requestOver(
  raw: RawStream,
  payload: Uint8Array,
  init: OpenOptions & { clock: Clock }
): Promise<Uint8Array> {
  const channel = createChannel(raw, init)
  const options: CallOptions = init.signal === undefined ? {} : { signal: init.signal }
  try {
    await channel.send(payload, options)
    const answer = await channel.receive(options)
    if (answer === undefined) throw requestFailed(raw)
    channel.close().catch(() => undefined)
    return answer
  } catch (error) {
    channel.abort()
    throw KwaaiError.is(error, 'ERR_NETWORK_CHANNEL_CLOSED') ? requestFailed(raw, error) : error
  }
}

/** Runs a handler on an accepted stream; a handler that fails resets the stream. Never rejects. */
export async function serveStream(
  handler: ProtocolHandler,
  raw: RawStream,
  init: HandleOptions & { clock: Clock }
): Promise<void> {
  try {
    if ('onRequest' in handler) await serveRequest(handler.onRequest, raw, init)
    else if ('onChannel' in handler) {
      const channel = createChannel(raw, init)
      await handler.onChannel(channel)
      await channel.close()
    } else {
      const stream = createByteStream(raw, init)
      await handler.onStream(stream)
      await stream.close()
    }
  } catch (error) {
    raw.abort(error instanceof Error ? error : undefined)
  }
}

async function serveRequest(
  onRequest: (payload: Uint8Array, context: { peer: PeerId; signal: AbortSignal }) => Promise<Uint8Array>,
  raw: RawStream,
  init: HandleOptions & { clock: Clock }
): Promise<void> {
  const channel = createChannel(raw, init)
  const late = (): Error => channelClosed(raw.peer, raw.protocol, 'the request took too long to arrive')
  const deadline = deadlineSignal(init.clock, REQUEST_ARRIVAL_MS, late, raw.closed)
  let payload: Uint8Array | undefined
  try {
    payload = await channel.receive({ signal: deadline.signal })
  } finally {
    deadline.clear()
  }
  if (payload === undefined) throw channelClosed(raw.peer, raw.protocol, 'it carried no request')
  await channel.send(await onRequest(payload, { peer: raw.peer, signal: raw.closed }))
  await channel.close()
}
