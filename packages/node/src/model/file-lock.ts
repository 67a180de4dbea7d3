import { mkdir, open, readFile, rename, rm, stat, utimes } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { CallOptions, Clock } from '@kwaai/interface'
import { systemClock } from '@kwaai/interface/memory'

const pollMs = 200
/** A holder touches its file this often; one not touched for `staleMs` belongs to nobody, whatever its pid is now. */
const beatMs = 5_000
const staleMs = 30_000
const maxTakeovers = 5

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

/** Who holds a lock file now: a living process that still touches it. */
async function lockHolder(path: string, clock: Clock): Promise<number | undefined> {
  const pid = Number.parseInt(await readFile(path, 'utf8').catch(() => ''), 10)
  const touched = await stat(path).then(
    (found) => found.mtimeMs,
    () => 0
  )
  return pid > 0 && isAlive(pid) && clock.now() - touched < staleMs ? pid : undefined
}

/**
 * Takes a lock file at once, or says who has it. A file left by a dead process is taken over.
 *
 * @returns a function that gives the lock back, or the pid of the holder.
 */
export async function tryLock(
  path: string,
  clock: Clock = systemClock
): Promise<(() => Promise<void>) | number> {
  await mkdir(dirname(path), { recursive: true })
  for (let attempt = 0; attempt < maxTakeovers; attempt++) {
    try {
      const file = await open(path, 'wx', 0o600)
      await file.writeFile(`${process.pid}\n`)
      await file.close()
      return hold(path)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    }
    const holder = await lockHolder(path, clock)
    if (holder !== undefined) return holder
    // Of several processes that find it stale, the rename succeeds for one.
    const stale = `${path}.stale-${process.pid}`
    await rename(path, stale).catch(() => undefined)
    await rm(stale, { force: true })
  }
  return 0
}

function hold(path: string): () => Promise<void> {
  const beat = setInterval(() => void utimes(path, new Date(), new Date()).catch(() => undefined), beatMs)
  beat.unref()
  return async () => {
    clearInterval(beat)
    await rm(path, { force: true })
  }
}

/** Waits for a lock file, telling `onWait` once who holds it. */
export async function lock(
  path: string,
  options: CallOptions & { clock?: Clock; onWait?: (pid: number) => void } = {}
): Promise<() => Promise<void>> {
  const clock = options.clock ?? systemClock
  let told = false
  for (;;) {
    options.signal?.throwIfAborted()
    const taken = await tryLock(path, clock)
    if (typeof taken === 'function') return taken
    if (!told) options.onWait?.(taken)
    told = true
    await clock.sleep(pollMs, options)
  }
}
