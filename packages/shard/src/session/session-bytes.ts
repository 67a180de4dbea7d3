import type { BlockRunner } from '@kwaai/interface'

type CacheSize = Pick<BlockRunner, 'kvBytesPerToken' | 'kvRowsMultiple' | 'shape'>

/**
 * Bytes a session takes at a server: its cache, as the backend rounds it up, and the outputs that are kept where
 * they go to another server.
 */
export function sessionBytes(
  runner: CacheSize,
  session: { readonly maxTokens: number; readonly forward: boolean }
): number {
  const multiple = runner.kvRowsMultiple ?? 1
  const rows = Math.ceil(session.maxTokens / multiple) * multiple
  return rows * runner.kvBytesPerToken + (session.forward ? session.maxTokens * outputBytes(runner) : 0)
}

/** Rows of the longest session that takes at most so many bytes, its outputs kept. */
export function sessionTokens(runner: CacheSize, bytes: number): number {
  const { kvBytesPerToken, kvRowsMultiple: multiple = 1 } = runner
  const full = Math.floor(bytes / (multiple * (kvBytesPerToken + outputBytes(runner))))
  // Of the next multiple all of the cache is made, however few of its rows are used.
  const left = bytes - full * multiple * (kvBytesPerToken + outputBytes(runner)) - multiple * kvBytesPerToken
  return full * multiple + Math.max(0, Math.floor(left / outputBytes(runner)))
}

/** Bytes of one output row in f32. */
function outputBytes(runner: CacheSize): number {
  return 4 * runner.shape.hiddenSize
}
