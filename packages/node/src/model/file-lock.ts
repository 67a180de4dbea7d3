import { mkdir, open, readFile, rm, stat, utimes } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { CallOptions, Clock } from '@kwaai/interface'
import { systemClock } from '@kwaai/interface/memory'

const defaultPollMs = 200
/** A holder touches its file this often; one not touched for `staleMs` belongs to nobody, whatever its pid is now. */
const beatMs = 5_000
const staleMs = 30_000
/** Between the making of a lock file and the writing of its holder's pid there are moments. */
const unwrittenMs = 2_000
const maxTakeovers = 5

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

/**
 * Who holds a lock file now: a living process that still touches it, or 0 for one that has not written its pid
 * yet; `stale` for a file that nobody holds, `gone` where there is none.
 */
async function lockHolder(path: string, clock: Clock): Promise<number | 'stale' | 'gone'> {
  const text = await readFile(path, 'utf8').catch(() => undefined)
  const touched = await stat(path).then(
    (found) => found.mtimeMs,
    () => undefined
  )
  if (text === undefined || touched === undefined) return 'gone'
  const age = clock.now() - touched
  if (!text.endsWith('\n')) return age < unwrittenMs ? 0 : 'stale'
  const pid = Number.parseInt(text, 10)
  return pid > 0 && isAlive(pid) && age < staleMs ? pid : 'stale'
}

/**
 * Takes a stale lock file away. Of several processes that find one stale only one may, and it looks again: what
 * it takes away could be the lock of another that came first.
 */
async function removeStale(path: string, clock: Clock): Promise<void> {
  const guard = `${path}.takeover`
  try {
    await (await open(guard, 'wx', 0o600)).close()
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    const made = await stat(guard).then(
      (found) => found.mtimeMs,
      () => undefined
    )
    // Whoever made it was killed in these few lines.
    if (made !== undefined && clock.now() - made > staleMs) await rm(guard, { force: true })
    return
  }
  try {
    if ((await lockHolder(path, clock)) === 'stale') await rm(path, { force: true })
  } finally {
    await rm(guard, { force: true })
  }
}

/**
 * Takes a lock file at once, or says who has it. A file left by a dead process is taken over.
 *
 * @returns a function that gives the lock back, or the pid of the holder: 0 where it is not known yet.
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
    if (typeof holder === 'number') return holder
    if (holder === 'stale') await removeStale(path, clock)
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

/** Waits for a lock file, telling `onWait` once who holds it; looks every `pollMs`, 200 unless told otherwise. */
export async function lock(
  path: string,
  options: CallOptions & { clock?: Clock; pollMs?: number; onWait?: (pid: number) => void } = {}
): Promise<() => Promise<void>> {
  const clock = options.clock ?? systemClock
  let told = false
  for (;;) {
    options.signal?.throwIfAborted()
    const taken = await tryLock(path, clock)
    if (typeof taken === 'function') return taken
    if (!told && taken > 0) {
      told = true
      options.onWait?.(taken)
    }
    await clock.sleep(options.pollMs ?? defaultPollMs, options)
  }
}
