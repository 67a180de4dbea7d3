import type { Clock } from '@kwaai/interface'

const encoder = new TextEncoder()
// A reason made once: an error of its own for each stream would cost more than the timer.
const over = new Error('The stream is over')
const ping = encoder.encode(': ping\n\n')

/** How a stream is kept alive and when it is given up. */
export interface EventStreamInit {
  /** Frames of server-sent events; asked for one at a time, when the reader wants it. */
  frames: AsyncIterator<string, void>
  /** The last frame of a stream whose frames failed; what it throws fails the stream. Default: throws the error. */
  failed?: (error: unknown) => string
  /** Called when the reader goes away or takes nothing for too long. */
  stop: () => void
  keepAliveMs: number
  stallTimeoutMs: number
  clock: Clock
}

/**
 * Server-sent events (WHATWG HTML §9.2) as a stream without a queue of its own: a frame is made when the reader
 * asks for it, so a slow reader slows the model and not one event is held in between. While the model is silent
 * a comment goes out every `keepAliveMs`; a reader that takes nothing for `stallTimeoutMs` loses the generation.
 */
export function createEventStream(init: EventStreamInit): ReadableStream<Uint8Array> {
  const { frames, clock, keepAliveMs } = init
  const done = new AbortController()
  let pulling = false
  let silent = false
  let stalledMs = 0

  // One timer a stream and interval, not one an event.
  const watch = async (controller: ReadableStreamDefaultController<Uint8Array>): Promise<void> => {
    for (;;) {
      silent = true
      await clock.sleep(keepAliveMs, { signal: done.signal })
      if (!pulling || (controller.desiredSize ?? 0) < 0) {
        stalledMs += keepAliveMs
        if (stalledMs < init.stallTimeoutMs) continue
        done.abort(over)
        init.stop()
        controller.error(new Error('The reader took nothing for too long'))
        return
      }
      stalledMs = 0
      if (silent) controller.enqueue(ping)
    }
  }

  return new ReadableStream<Uint8Array>(
    {
      start(controller) {
        watch(controller).catch(() => undefined)
      },
      async pull(controller) {
        pulling = true
        stalledMs = 0
        try {
          const frame = await frames.next()
          if (done.signal.aborted) return
          silent = false
          if (frame.done !== true) return controller.enqueue(encoder.encode(frame.value))
          done.abort(over)
          controller.close()
        } catch (error) {
          done.abort(over)
          if (init.failed === undefined) throw error
          controller.enqueue(encoder.encode(init.failed(error)))
          controller.close()
        } finally {
          pulling = false
        }
      },
      cancel() {
        done.abort(over)
        init.stop()
      }
    },
    { highWaterMark: 0 }
  )
}
