import type { ByteSource } from '@kwaai/interface'
import { shardError } from './errors.ts'

/**
 * Browsers have no files by path: use `blobSource` or `httpSource`.
 *
 * @throws A KwaaiError `ERR_SOURCE_UNSUPPORTED`, always.
 */
export async function fileSource(path: string): Promise<ByteSource & { close(): Promise<void> }> {
  throw shardError(
    'ERR_SOURCE_UNSUPPORTED',
    `Cannot open ${path}: a browser reads files as Blobs, not by path`
  )
}
