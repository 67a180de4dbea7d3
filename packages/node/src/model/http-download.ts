import { open, stat, truncate } from 'node:fs/promises'
import { deadlineSignal, type Clock } from '@kwaai/interface'
import { nodeError } from '../errors.ts'

/** How far a download is. */
export interface Progress {
  /** Where the bytes come from, in words. */
  source: string
  receivedBytes: number
  /** Unknown for a source that does not say. */
  totalBytes?: number
}

/** What a download needs. */
export interface DownloadOptions {
  clock: Clock
  fetch: typeof fetch
  /** A source that gives no byte for so long is given up. */
  idleMs: number
  onProgress: (progress: Progress) => void
  signal?: AbortSignal
}

function failed(label: string, why: string, cause?: unknown): Error {
  return nodeError('ERR_NODE_DOWNLOAD_FAILED', `Cannot download from ${label}: ${why}`, { cause })
}

/** Runs `work` and gives it up when nothing has called `alive` for `idleMs`. */
async function withIdleLimit<T>(
  label: string,
  options: DownloadOptions,
  work: (signal: AbortSignal, alive: () => void) => Promise<T>
): Promise<T> {
  const idle = new AbortController()
  const arm = (): (() => void) => {
    const timer = deadlineSignal(options.clock, options.idleMs, () =>
      failed(label, `it gave no byte for ${Math.round(options.idleMs / 1000)} s`)
    )
    timer.signal.addEventListener('abort', () => idle.abort(timer.signal.reason), { once: true })
    return timer.clear
  }
  let clear = arm()
  const signal = options.signal === undefined ? idle.signal : AbortSignal.any([idle.signal, options.signal])
  try {
    return await work(signal, () => {
      clear()
      clear = arm()
    })
  } catch (error) {
    if (idle.signal.aborted) throw idle.signal.reason
    options.signal?.throwIfAborted()
    if (error instanceof Error && 'code' in error && error.code === 'ERR_NODE_DOWNLOAD_FAILED') throw error
    throw failed(label, reasonOf(error), error)
  } finally {
    clear()
  }
}

// fetch says "fetch failed" and hides the reason one level down.
function reasonOf(error: unknown): string {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error
  return cause instanceof Error ? cause.message : String(cause)
}

/**
 * Downloads a file into `target`, going on where an earlier try stopped if the source serves ranges.
 *
 * @param size The length the file must have, if it is known.
 * @throws A KwaaiError `ERR_NODE_DOWNLOAD_FAILED` that says why.
 */
export function downloadFile(
  source: { label: string; url: string },
  target: string,
  size: number | undefined,
  options: DownloadOptions
): Promise<void> {
  return withIdleLimit(source.label, options, async (signal, alive) => {
    const have = await stat(target).then(
      (found) => (size !== undefined && found.size > size ? 0 : found.size),
      () => 0
    )
    if (size !== undefined && have === size) return
    const response = await options.fetch(source.url, {
      signal,
      redirect: 'follow',
      headers: have > 0 ? { range: `bytes=${have}-` } : {}
    })
    alive()
    if (response.status === 416 && have > 0) {
      await response.body?.cancel()
      await truncate(target, 0)
      throw failed(source.label, 'the part kept from before does not fit; it is dropped')
    }
    if (!response.ok || response.body === null) throw failed(source.label, `it answered ${response.status}`)
    const resumed = response.status === 206 && rangeStart(response) === have
    if (response.status === 206 && !resumed) throw failed(source.label, 'it answered another range')
    const start = resumed ? have : 0
    const length = contentLength(response)
    const total = size ?? (length === undefined ? undefined : start + length)
    if (size !== undefined && length !== undefined && start + length !== size) {
      await response.body.cancel()
      throw failed(source.label, `it offers ${start + length} bytes, the model has ${size}`)
    }
    const file = await open(target, resumed ? 'r+' : 'w', 0o600)
    try {
      let position = start
      for await (const chunk of response.body as AsyncIterable<Uint8Array>) {
        alive()
        if (total !== undefined && position + chunk.length > total) {
          throw failed(source.label, `it sends more than ${total} bytes`)
        }
        await file.write(chunk, 0, chunk.length, position)
        position += chunk.length
        options.onProgress({
          source: source.label,
          receivedBytes: position,
          ...(total === undefined ? {} : { totalBytes: total })
        })
      }
      if (total !== undefined && position !== total) {
        throw failed(source.label, `it ended after ${position} of ${total} bytes`)
      }
      await file.sync()
    } finally {
      await file.close()
    }
  })
}

/**
 * Downloads bytes `[from, to)`.
 *
 * @throws A KwaaiError `ERR_NODE_DOWNLOAD_FAILED`, also when the source does not serve ranges.
 */
export function downloadRange(
  source: { label: string; url: string },
  from: number,
  to: number,
  options: DownloadOptions
): Promise<Uint8Array> {
  return withIdleLimit(source.label, options, async (signal, alive) => {
    const response = await options.fetch(source.url, {
      signal,
      redirect: 'follow',
      headers: { range: `bytes=${from}-${to - 1}` }
    })
    alive()
    if (response.status !== 206 || rangeStart(response) !== from || response.body === null) {
      await response.body?.cancel()
      throw failed(
        source.label,
        response.status === 200 ? 'it does not serve byte ranges' : `it answered ${response.status}`
      )
    }
    const bytes = new Uint8Array(to - from)
    let position = 0
    for await (const chunk of response.body as AsyncIterable<Uint8Array>) {
      alive()
      if (position + chunk.length > bytes.length) throw failed(source.label, 'it sends more than was asked')
      bytes.set(chunk, position)
      position += chunk.length
    }
    if (position !== bytes.length) throw failed(source.label, `it ended after ${position} bytes of the range`)
    return bytes
  })
}

function contentLength(response: Response): number | undefined {
  const text = response.headers.get('content-length')
  // A compressed body's length says nothing about the file's.
  if (text === null || response.headers.get('content-encoding') !== null) return undefined
  const length = Number(text)
  return Number.isSafeInteger(length) ? length : undefined
}

function rangeStart(response: Response): number | undefined {
  const match = /^bytes (\d+)-/.exec(response.headers.get('content-range') ?? '')
  return match === null ? undefined : Number(match[1])
}
