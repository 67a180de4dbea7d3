import type { CallOptions } from '@kwaai/interface'
import { concatBytes, equalBytes } from './bytes.ts'
import { openCheckpoint, type Checkpoint, type LogPolicy } from './checkpoint.ts'
import {
  ERR_AUDIT_INCONSISTENT,
  ERR_AUDIT_MALFORMED,
  ERR_AUDIT_NOT_INCLUDED,
  auditError,
  checked,
  type Checked
} from './errors.ts'
import { emptyFrontier, emptyRoot, frontierRoot, growFrontier, hashLeaf } from './merkle.ts'
import { decodeRecord } from './record.ts'
import { decodeEntryBundle, leafTile, tilePath, bundlesOf, foldHashes } from './tiles.ts'
import { HASH_BYTES, MAX_ENTRY_BYTES, MAX_NOTE_BYTES, TILE_WIDTH } from './constants.ts'

/** Reads a file of a log by its path, `checkpoint` or a tile; undefined where it is not there. */
export type FileReader = (path: string, options?: CallOptions) => Promise<Uint8Array | undefined>

/** What {@link verifyFiles} is held against. */
export interface VerifyFilesOptions extends CallOptions {
  /** A checkpoint that was seen before: the log has to have kept all it had then. */
  seen?: string
  /** Entries are records of this package. Default true; false for the logs of others. */
  records?: boolean
}

/**
 * Verifies a whole log from its files, entry by entry: the signed root is theirs, the tiles are theirs, each record
 * stands at its place. In memory is one tile of each level at a time.
 */
export async function verifyFiles(
  read: FileReader,
  policy: LogPolicy,
  options: VerifyFilesOptions = {}
): Promise<Checked<{ checkpoint: Checkpoint }>> {
  return checked(async () => {
    const { checkpoint } = await openCheckpoint(
      await fileOf(read, 'checkpoint', MAX_NOTE_BYTES, options),
      policy
    )
    const seen =
      options.seen === undefined ? undefined : (await openCheckpoint(options.seen, policy)).checkpoint
    const roots = await walk(read, checkpoint.size, options, seen?.size)
    if (!equalBytes(roots.root, checkpoint.root))
      throw auditError(
        ERR_AUDIT_NOT_INCLUDED,
        `Cannot verify the log: its ${checkpoint.size} entries are not those that were signed`
      )
    if (seen !== undefined && (roots.seen === undefined || !equalBytes(roots.seen, seen.root)))
      throw auditError(
        ERR_AUDIT_INCONSISTENT,
        `Cannot verify the log: it does not begin with the ${seen.size} entries that were signed before`
      )
    return { checkpoint }
  })
}

async function walk(
  read: FileReader,
  size: number,
  options: VerifyFilesOptions,
  seenSize: number | undefined
): Promise<{ root: Uint8Array; seen: Uint8Array | undefined }> {
  let frontier = emptyFrontier
  let seen = seenSize === 0 ? emptyRoot() : undefined
  /** The hashes of the open tile of each level above 0. */
  const open: Uint8Array[] = []
  for (const place of bundlesOf(size)) {
    const path = tilePath(place)
    const entries = decodeEntryBundle(
      await fileOf(read, path, place.width * (MAX_ENTRY_BYTES + 2), options),
      place.width
    )
    for (const entry of entries) {
      if (options.records !== false && decodeRecord(entry).seq !== frontier.size)
        throw auditError(
          ERR_AUDIT_NOT_INCLUDED,
          `Cannot verify the log: entry ${frontier.size} is another's record`
        )
      frontier = growFrontier(frontier, hashLeaf(entry))
      if (frontier.size === seenSize) seen = frontierRoot(frontier)
    }
    let full = leafTile(entries)
    let { index } = place
    await sameTile(read, 0, index, full, options)
    for (let level = 1; full.length === TILE_WIDTH * HASH_BYTES; level++) {
      full = concatBytes(open[level] ?? [], foldHashes(full))
      index = Math.floor(index / TILE_WIDTH)
      open[level] = full.length === TILE_WIDTH * HASH_BYTES ? new Uint8Array() : full
      if (full.length === TILE_WIDTH * HASH_BYTES) await sameTile(read, level, index, full, options)
    }
  }
  for (const [level, hashes] of open.entries()) {
    if (level === 0 || hashes.length === 0) continue
    await sameTile(read, level, Math.floor(size / TILE_WIDTH ** (level + 1)), hashes, options)
  }
  return { root: frontierRoot(frontier), seen }
}

async function sameTile(
  read: FileReader,
  level: number,
  index: number,
  hashes: Uint8Array,
  options: CallOptions
): Promise<void> {
  const path = tilePath({ level, index, width: hashes.length / HASH_BYTES })
  if (!equalBytes(await fileOf(read, path, TILE_WIDTH * HASH_BYTES, options), hashes))
    throw auditError(ERR_AUDIT_NOT_INCLUDED, `Cannot verify the log: the tile ${path} is not of its entries`)
}

async function fileOf(
  read: FileReader,
  path: string,
  maxBytes: number,
  { signal }: CallOptions
): Promise<Uint8Array> {
  signal?.throwIfAborted()
  const bytes = await read(path, signal === undefined ? {} : { signal })
  if (bytes === undefined || bytes.length > maxBytes)
    throw auditError(
      ERR_AUDIT_MALFORMED,
      `Cannot verify the log: its file ${path} is ${bytes === undefined ? 'not there' : 'too large'}`
    )
  return bytes
}
