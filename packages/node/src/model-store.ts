import { rename, rm, stat } from 'node:fs/promises'
import { basename, join, resolve } from 'node:path'
import type { ByteSource } from '@kwaai/interface'
import { fileSource } from '@kwaai/shard/gguf'
import { nodeError } from './errors.ts'
import { cachedSha256, sha256, sha256File } from './model/digest.ts'
import { checkFile, exclusively, exists, fetchFiles, messageOf } from './model/fetch-files.ts'
import { downloadFile } from './model/http-download.ts'
import {
  defaultModel,
  findKnownEmbedder,
  findKnownModel,
  knownModels,
  remoteSources,
  type ModelEntry
} from './model/known-models.ts'
import { createPieceSource } from './model/piece-source.ts'
import { modelCacheDir, storeRequest, type StoreInit, type StoreRequest } from './model/store-request.ts'

/** What is asked of the model store. */
export interface ModelStoreInit extends StoreInit {
  /** A known name, a path, or an http(s) address with `#sha256=<hex>` if its content is to be checked. */
  model?: string
  /** The models known by name. Default: {@link knownModels}. */
  catalog?: readonly ModelEntry[]
}

/** A model that is on this machine. */
export interface StoredModel {
  id: string
  path: string
  size: number
  sha256: string
}

/** A model ready to be read. */
export interface OpenedModel {
  id: string
  size: number
  sha256: string
  source: ByteSource
  /** Where the whole file lies, if it is here whole. */
  path?: string
}

/** A request with every default filled in. */
interface Request extends StoreRequest {
  name: string
  catalog: readonly ModelEntry[]
}

function requestOf(init: ModelStoreInit): Request {
  return { ...storeRequest(init), name: init.model ?? defaultModel, catalog: init.catalog ?? knownModels }
}

/** What to do where models cannot be kept. */
const elsewhere = 'Set KWAAI_CACHE_DIR to another folder, or KWAAI_MODEL_PATH to a copy of the model'

/**
 * Makes sure a model lies whole on this machine: a local path, the cache, or the first source that gives it.
 * Processes that want it at once download it once.
 *
 * @throws A KwaaiError `ERR_NODE_MODEL_UNKNOWN`, `ERR_NODE_MODEL_MISMATCH`, `ERR_NODE_FOLDER_UNUSABLE` where the
 * cache cannot be written, or `ERR_NODE_MODEL_NO_SOURCE` with the list of sources tried.
 */
export async function ensureModel(init: ModelStoreInit = {}): Promise<StoredModel> {
  const request = requestOf(init)
  const entry = findKnownModel(request.name, request.catalog)
  if (entry !== undefined) return (await localCopy(entry, request)) ?? (await fetchKnown(entry, request))
  if (/^https?:\/\//i.test(request.name)) return fetchAddress(request)
  return fromPath(request.name, request)
}

/**
 * Opens a model for reading. A known model that is not here whole is read piece by piece from sources that
 * serve ranges, so that a node which holds some blocks fetches those alone; where none does it is fetched whole.
 *
 * @throws A KwaaiError as {@link ensureModel} does.
 */
export async function openModel(init: ModelStoreInit = {}, partial: boolean = false): Promise<OpenedModel> {
  const request = requestOf(init)
  const entry = findKnownModel(request.name, request.catalog)
  if (partial && entry?.pieces !== undefined && (await localCopy(entry, request)) === undefined) {
    const source = createPieceSource(
      { ...entry, pieces: entry.pieces },
      join(request.cacheDir, `${entry.sha256}.pieces`),
      remoteSources(entry, request.env).filter((candidate) => candidate.kind === 'http'),
      request.download
    )
    try {
      // The header has to be read in any case: its first piece tells whether any source serves ranges.
      await source.read(0, Math.min(entry.size, entry.pieces.length))
      return { id: entry.id, size: entry.size, sha256: entry.sha256, source }
    } catch (error) {
      request.download.signal?.throwIfAborted()
      request.note(
        `No source serves byte ranges of ${entry.id}; fetching the whole model. (${messageOf(error)})`
      )
    }
  }
  const stored = await ensureModel(init)
  return { ...stored, source: await fileSource(stored.path) }
}

/** Known models, and whether they are in the cache. */
export async function listModels(
  init: { cacheDir?: string } = {}
): Promise<(Pick<ModelEntry, 'id' | 'aliases' | 'description' | 'license' | 'size'> & { path?: string })[]> {
  const cacheDir = init.cacheDir ?? modelCacheDir()
  return Promise.all(
    knownModels.map(async ({ id, aliases, description, license, size, fileName }) => {
      const path = join(cacheDir, fileName)
      const here = await stat(path).then(
        (found) => found.size === size,
        () => false
      )
      return { id, aliases, description, license, size, ...(here ? { path } : {}) }
    })
  )
}

function stored(entry: ModelEntry, path: string): StoredModel {
  return { id: entry.id, path, size: entry.size, sha256: entry.sha256 }
}

/** A copy the user named, else the cache's. A named copy that is wrong is an error, never passed over. */
async function localCopy(entry: ModelEntry, request: Request): Promise<StoredModel | undefined> {
  const named = request.env.KWAAI_MODEL_PATH
  if (named !== undefined && named !== '' && entry.id === defaultModel) {
    if (!(await exists(named))) {
      throw nodeError(
        'ERR_NODE_MODEL_MISMATCH',
        `Cannot use KWAAI_MODEL_PATH: there is no file ${named}. Unset it or point to ${entry.fileName}`
      )
    }
    await checkFile(named, entry.id, entry, request)
    return stored(entry, named)
  }
  const cached = join(request.cacheDir, entry.fileName)
  if (!(await exists(cached))) return undefined
  await checkFile(cached, entry.id, entry, request)
  return stored(entry, cached)
}

function fetchKnown(entry: ModelEntry, request: Request): Promise<StoredModel> {
  const path = join(request.cacheDir, entry.fileName)
  return exclusively(path, elsewhere, request, async () => {
    // Whoever held the lock before may have brought it.
    const already = await localCopy(entry, request)
    if (already !== undefined) return already
    const wanted = {
      id: entry.id,
      targets: [{ file: entry, path }],
      sources: remoteSources(entry, request.env),
      advice: `Put ${entry.fileName} somewhere and set KWAAI_MODEL_PATH to it, or set KWAAI_MODEL_MIRROR`
    }
    await fetchFiles(wanted, request)
    return stored(entry, path)
  })
}

/** A model at an address of the user's. */
async function fetchAddress(request: Request): Promise<StoredModel> {
  const url = new URL(request.name)
  const wanted = /(?:^|&)sha256=([0-9a-f]{64})(?:&|$)/i.exec(url.hash.slice(1))?.[1]?.toLowerCase()
  url.hash = ''
  const name = basename(url.pathname) || 'model.gguf'
  // The address is part of the name: two hosts may call different files the same.
  const target = join(request.cacheDir, `${sha256(new TextEncoder().encode(url.href)).slice(0, 16)}-${name}`)
  return exclusively(target, elsewhere, request, async () => {
    if (!(await exists(target))) {
      const part = `${target}.part`
      try {
        await downloadFile({ label: url.host, url: url.href }, part, undefined, request.download)
      } catch (error) {
        request.download.signal?.throwIfAborted()
        throw nodeError(
          'ERR_NODE_MODEL_NO_SOURCE',
          `Cannot get the model from any source. Tried: ${messageOf(error)}. Check the address`,
          { cause: error, details: { tried: [messageOf(error)] } }
        )
      }
      const digest = await sha256File(part, request.download)
      if (wanted !== undefined && digest !== wanted) {
        await rm(part, { force: true })
        throw nodeError(
          'ERR_NODE_MODEL_MISMATCH',
          `Cannot use ${url.href}: its SHA-256 is ${digest}, the address asks for ${wanted}`
        )
      }
      await rename(part, target)
    }
    return fromPath(target, request, wanted)
  })
}

/** A model file of the user's own. */
async function fromPath(path: string, request: Request, wanted?: string): Promise<StoredModel> {
  const full = resolve(path)
  const found = await stat(full).catch(() => undefined)
  if (found === undefined || !found.isFile()) {
    const embedder = findKnownEmbedder(path)
    if (embedder !== undefined) {
      throw nodeError(
        'ERR_NODE_MODEL_UNKNOWN',
        `Cannot generate text with ${embedder.id}: it is an embedding model, which a node serves beside its language model`
      )
    }
    const names = request.catalog.map((entry) => entry.id).join(', ')
    throw nodeError(
      'ERR_NODE_MODEL_UNKNOWN',
      `Cannot find the model "${path}": it is no file, no http(s) address and none of the known models (${names})`
    )
  }
  const digest = await cachedSha256(full, request.download)
  if (wanted !== undefined && digest !== wanted) {
    throw nodeError(
      'ERR_NODE_MODEL_MISMATCH',
      `Cannot use ${full}: its SHA-256 is ${digest}, wanted is ${wanted}. Delete the file and try again`
    )
  }
  // The same bytes under another path are the known model all the same.
  const known = request.catalog.find((entry) => entry.sha256 === digest)
  return {
    id: known?.id ?? basename(full).replace(/\.gguf$/i, ''),
    path: full,
    size: found.size,
    sha256: digest
  }
}
