import { join, resolve } from 'node:path'
import { nodeError } from './errors.ts'
import { checkFile, exclusively, exists, fetchFiles, type FileTarget } from './model/fetch-files.ts'
import {
  defaultEmbedder,
  findKnownEmbedder,
  knownEmbedders,
  remoteSources,
  type EmbedderEntry
} from './model/known-models.ts'
import { storeRequest, type StoreInit, type StoreRequest } from './model/store-request.ts'

/** What is asked of {@link ensureEmbedder}. */
export interface EmbedderStoreInit extends StoreInit {
  /** A known name. Default: the default embedding model. */
  embedder?: string
  /** The embedding models known by name. Default: {@link knownEmbedders}. */
  catalog?: readonly EmbedderEntry[]
}

/** An embedding model that is on this machine. */
export interface StoredEmbedder {
  id: string
  /** The folder its files lie in. */
  path: string
  /** Bytes of all its files. */
  size: number
  /** The path of each file by its name, such as `model.safetensors`. */
  files: Readonly<Record<string, string>>
}

/**
 * Makes sure an embedding model lies on this machine: the folder that `KWAAI_EMBEDDER_PATH` names, the cache, or
 * the first source that gives it. Every file is checked against its SHA-256; downloads go on where they stopped,
 * and processes that want it at once download it once.
 *
 * @throws A KwaaiError `ERR_NODE_MODEL_UNKNOWN`, `ERR_NODE_MODEL_MISMATCH`, `ERR_NODE_FOLDER_UNUSABLE` where the
 * cache cannot be written, or `ERR_NODE_MODEL_NO_SOURCE` with the list of sources tried.
 */
export async function ensureEmbedder(init: EmbedderStoreInit = {}): Promise<StoredEmbedder> {
  const request = storeRequest(init)
  const catalog = init.catalog ?? knownEmbedders
  const name = init.embedder ?? defaultEmbedder
  const entry = findKnownEmbedder(name, catalog)
  if (entry === undefined) {
    const names = catalog.map(({ id }) => id).join(', ')
    throw nodeError(
      'ERR_NODE_MODEL_UNKNOWN',
      `Cannot find the embedding model "${name}": it is none of the known ones (${names})`
    )
  }
  return (await namedCopy(entry, request)) ?? cachedCopy(entry, request)
}

/** Known embedding models, and whether they are in the cache. */
export async function listEmbedders(
  init: { cacheDir?: string } = {}
): Promise<
  (Pick<EmbedderEntry, 'id' | 'aliases' | 'description' | 'license'> & { size: number; path?: string })[]
> {
  const { cacheDir } = storeRequest(init)
  return Promise.all(
    knownEmbedders.map(async (entry) => {
      const { id, aliases, description, license } = entry
      const folder = join(cacheDir, id)
      const here = await Promise.all(targetsIn(folder, entry).map(({ path }) => exists(path)))
      return {
        id,
        aliases,
        description,
        license,
        size: sizeOf(entry),
        ...(here.every(Boolean) ? { path: folder } : {})
      }
    })
  )
}

function targetsIn(folder: string, entry: EmbedderEntry): FileTarget[] {
  return entry.files.map((file) => ({ file, path: join(folder, file.fileName) }))
}

function sizeOf(entry: EmbedderEntry): number {
  return entry.files.reduce((sum, { size }) => sum + size, 0)
}

function stored(entry: EmbedderEntry, folder: string): StoredEmbedder {
  const files = Object.fromEntries(
    targetsIn(folder, entry).map(({ file, path }) => [file.fileName, path] as const)
  )
  return { id: entry.id, path: folder, size: sizeOf(entry), files }
}

/** A folder the user named. One that is wrong is an error, never passed over. */
async function namedCopy(entry: EmbedderEntry, request: StoreRequest): Promise<StoredEmbedder | undefined> {
  const named = request.env.KWAAI_EMBEDDER_PATH
  if (named === undefined || named === '' || entry.id !== defaultEmbedder) return undefined
  const folder = resolve(named)
  for (const { file, path } of targetsIn(folder, entry)) {
    if (!(await exists(path))) {
      throw nodeError(
        'ERR_NODE_MODEL_MISMATCH',
        `Cannot use KWAAI_EMBEDDER_PATH: there is no file ${path}. Unset it or point to the folder of ${entry.id}`
      )
    }
    await checkFile(path, entry.id, file, request)
  }
  return stored(entry, folder)
}

async function cachedCopy(entry: EmbedderEntry, request: StoreRequest): Promise<StoredEmbedder> {
  const folder = join(request.cacheDir, entry.id)
  const targets = targetsIn(folder, entry)
  const missing = async (): Promise<FileTarget[]> => {
    const left: FileTarget[] = []
    for (const target of targets) {
      if (await exists(target.path)) await checkFile(target.path, entry.id, target.file, request)
      else left.push(target)
    }
    return left
  }
  if ((await missing()).length > 0) {
    const advice = 'Set KWAAI_CACHE_DIR to another folder, or KWAAI_EMBEDDER_PATH to a folder with the model'
    await exclusively(join(folder, 'files'), advice, request, async () => {
      const wanted = {
        id: entry.id,
        // Whoever held the lock before may have brought some.
        targets: await missing(),
        sources: remoteSources(entry, request.env),
        advice:
          `Put ${entry.files.map(({ fileName }) => fileName).join(', ')} into a folder and set ` +
          'KWAAI_EMBEDDER_PATH to it, or set KWAAI_MODEL_MIRROR'
      }
      await fetchFiles(wanted, request)
    })
  }
  return stored(entry, folder)
}
