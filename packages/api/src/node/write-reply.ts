import type { ServerResponse } from 'node:http'
import { PING, watchReader, type EventStreamInit } from '../event-stream.ts'
import type { Reply } from '../replies.ts'

/** Characters of frames that go to the socket together at most: what a socket takes without complaint. */
const maxGathered = 16 * 1024

/** Writes an answer to its socket. Resolves when nothing more is to be written, or nobody is there to read. */
export function writeReply({ status, headers, body }: Reply, outgoing: ServerResponse): Promise<void> | void {
  // Names and values by turns, as the socket gets them.
  const head: string[] = []
  for (const name of Object.keys(headers)) head.push(name, headers[name] as string)
  if (typeof body === 'object') {
    outgoing.writeHead(status, head)
    return writeEvents(body, outgoing)
  }
  if (body === undefined) {
    outgoing.writeHead(status, head)
    outgoing.end()
    return
  }
  const bytes = Buffer.byteLength(body)
  head.push('content-length', String(bytes))
  outgoing.writeHead(status, head)
  // As many bytes as characters are ASCII, which is quicker to write where nobody has to look.
  outgoing.end(body, bytes === body.length ? 'latin1' : 'utf8')
}

/**
 * Asks for a frame when the socket takes one: while it does not, the model stands still. As with the stream of
 * `fetch`, nothing waits in between but what the socket holds; frames of one turn of the event loop go to it
 * together, in their order.
 */
async function writeEvents(init: EventStreamInit, outgoing: ServerResponse): Promise<void> {
  const { frames, failed } = init
  let full = false
  // The client sees life in this turn of the event loop, in one packet with the first frames where they are there.
  const flushing = setImmediate(() => {
    if (!outgoing.destroyed) outgoing.flushHeaders()
  })
  const watch = watchReader(init, {
    waits: () => !full,
    ping: () => void outgoing.write(PING),
    // Without its end the part is not taken for the whole.
    giveUp: () => outgoing.destroy()
  })
  let gathered = ''
  const flush = (): void => {
    const text = gathered
    gathered = ''
    if (text !== '' && !outgoing.destroyed && !outgoing.write(text)) full = true
  }
  try {
    while (!outgoing.destroyed) {
      const frame = await frames.next()
      if (watch.ended()) return
      watch.served()
      if (frame.done === true) {
        outgoing.end(gathered)
        gathered = ''
        return
      }
      if (gathered === '') process.nextTick(flush)
      gathered += frame.value
      if (gathered.length >= maxGathered) flush()
      if (!full) continue
      await drained(outgoing)
      full = false
      watch.asked()
    }
  } catch (error) {
    try {
      if (failed === undefined) throw error
      outgoing.end(gathered + failed(error))
      gathered = ''
    } catch {
      outgoing.destroy()
    }
  } finally {
    clearImmediate(flushing)
    watch.end()
    if (outgoing.destroyed) init.stop()
  }
}

/** Until the socket takes more, or is gone. */
function drained(outgoing: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    if (outgoing.destroyed || !outgoing.writableNeedDrain) return resolve()
    const go = (): void => {
      outgoing.off('drain', go)
      outgoing.off('close', go)
      resolve()
    }
    outgoing.on('drain', go)
    outgoing.on('close', go)
  })
}
