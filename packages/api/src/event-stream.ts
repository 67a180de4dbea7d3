import type { Clock } from '@kwaai/interface'

const encoder = new TextEncoder()
// A reason made once: an error of its own for each stream would cost more than the timer.
const over = new Error('The stream is over')
/** A comment, which readers of events pass over. */
export const PING = ': ping\n\n'

/** How a stream is kept alive and when it is given up. */
export interface EventStreamInit {
  /** Frames of server-sent events; asked for one at a time, when the reader wants it. */
  frames: AsyncIterator<string, void>
  /** The last frame of a stream whose frames failed; what it throws fails the stream. Default: throws the error. */
  failed?: (error: unknown) => string
  /** Called when the reader goes away or takes nothing for too long. */
  stop: () => void
  /** The client's own: when it aborts, nothing more is told. */
  signal: AbortSignal
  keepAliveMs: number
  stallTimeoutMs: number
  clock: Clock
}

/** Whoever takes the frames. */
export interface FrameReader {
  /** True while it waits for the next frame, and false while it has not taken the last one. */
  waits(): boolean
  ping(): void
  /** It took nothing for too long. */
  giveUp(error: Error): void
}

/** What watches over a reader. */
export interface ReaderWatch {
  /** True once it was given up or its client is gone. */
  ended(): boolean
  /** The reader wants a frame. */
  asked(): void
  /** The reader got one. */
  served(): void
  /** Nothing more will come. */
  end(): void
}

/**
 * While the model is silent a comment goes out every `keepAliveMs`; a reader that takes nothing for
 * `stallTimeoutMs` loses the generation. One timer a stream and interval, not one an event.
 */
export function watchReader(init: EventStreamInit, reader: FrameReader): ReaderWatch {
  const { clock, keepAliveMs } = init
  const done = new AbortController()
  let silent = false
  let stalledMs = 0

  const watch = async (): Promise<void> => {
    for (;;) {
      silent = true
      await clock.sleep(keepAliveMs, { signal: done.signal })
      if (!reader.waits()) {
        stalledMs += keepAliveMs
        if (stalledMs < init.stallTimeoutMs) continue
        done.abort(over)
        init.stop()
        reader.giveUp(new Error('The reader took nothing for too long'))
        return
      }
      stalledMs = 0
      if (silent) reader.ping()
    }
  }
  watch().catch(() => undefined)
  // A client that is gone and reads no more would cost a timer until its time is up.
  const abort = (): void => done.abort(over)
  init.signal.addEventListener('abort', abort)

  return {
    ended: () => done.signal.aborted,
    asked() {
      stalledMs = 0
    },
    served() {
      silent = false
    },
    end() {
      init.signal.removeEventListener('abort', abort)
      done.abort(over)
    }
  }
}

/**
 * Server-sent events (WHATWG HTML §9.2) as a stream without a queue of its own: a frame is made when the reader
 * asks for it, so a slow reader slows the model and not one event is held in between. {@link watchReader} keeps
 * it alive.
 */
export function createEventStream(init: EventStreamInit): ReadableStream<Uint8Array> {
  const { frames } = init
  let watch: ReaderWatch | undefined
  let pulling = false

  return new ReadableStream<Uint8Array>(
    {
      start(controller) {
        watch = watchReader(init, {
          waits: () => pulling && (controller.desiredSize ?? 0) >= 0,
          ping: () => controller.enqueue(encoder.encode(PING)),
          giveUp: (error) => controller.error(error)
        })
      },
      async pull(controller) {
        pulling = true
        watch?.asked()
        try {
          init.signal.throwIfAborted()
          const frame = await frames.next()
          init.signal.throwIfAborted()
          if (watch?.ended() === true) return
          watch?.served()
          if (frame.done !== true) return controller.enqueue(encoder.encode(frame.value))
          watch?.end()
          controller.close()
        } catch (error) {
          watch?.end()
          if (init.failed === undefined || init.signal.aborted) throw error
          controller.enqueue(encoder.encode(init.failed(error)))
          controller.close()
        } finally {
          pulling = false
        }
      },
      cancel() {
        watch?.end()
        init.stop()
      }
    },
    { highWaterMark: 0 }
  )
}
