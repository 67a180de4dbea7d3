import { open } from 'node:fs/promises'
import type { ByteSource } from '@kwaai/interface'
import { shardError } from './errors.ts'
import { checkRange } from './gguf/range.ts'

/**
 * A file of this machine, read by range.
 *
 * @throws A KwaaiError `ERR_SOURCE_UNREACHABLE` when it cannot be opened or read, `ERR_SOURCE_OUT_OF_BOUNDS`
 * for a read past its end, `ERR_SOURCE_CHANGED` when it became shorter.
 */
export async function fileSource(path: string): Promise<ByteSource & { close(): Promise<void> }> {
  const unreachable = (cause: unknown): Error =>
    shardError('ERR_SOURCE_UNREACHABLE', `Cannot read the file ${path}`, { cause, details: { path } })
  const handle = await open(path, 'r').catch((error: unknown) => {
    throw unreachable(error)
  })
  const stats = await handle.stat()
  if (!stats.isFile()) {
    await handle.close()
    throw unreachable(undefined)
  }
  const { size } = stats
  return {
    size,
    async read(offset, length, options = {}) {
      options.signal?.throwIfAborted()
      checkRange(size, offset, length)
      const bytes = new Uint8Array(length)
      let filled = 0
      while (filled < length) {
        const { bytesRead } = await handle
          .read(bytes, filled, length - filled, offset + filled)
          .catch((error: unknown) => {
            throw unreachable(error)
          })
        options.signal?.throwIfAborted()
        if (bytesRead === 0) throw shardError('ERR_SOURCE_CHANGED', `The file ${path} became shorter`)
        filled += bytesRead
      }
      return bytes
    },
    close: () => handle.close()
  }
}
