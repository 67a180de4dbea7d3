import { keyFileSystem } from '../../src/platform.ts'
import type { KeyFileHandle, KeyFileSystem } from '../../src/keystore/file-system.ts'

/** The process ends here, as far as its files can tell. */
export class Killed extends Error {
  override readonly name = 'Killed'
}

/**
 * The files of this machine for a process that is killed before its n-th call that changes something: nothing it
 * does from then on happens. `calls` tells how many there were.
 */
export async function killedAt(n: number, pid: number): Promise<KeyFileSystem & { calls(): number }> {
  const files = await keyFileSystem()
  let calls = 0
  const step = <A extends unknown[], R>(act: (...args: A) => Promise<R>) => {
    return async (...args: A): Promise<R> => {
      if (calls >= n) throw new Killed()
      calls++
      return act(...args)
    }
  }
  const handleOf = (handle: KeyFileHandle): KeyFileHandle => ({
    stat: () => handle.stat(),
    read: (...args) => handle.read(...args),
    chmod: step((mode: number) => handle.chmod(mode)),
    // Half of it is written when the process ends meanwhile.
    write: async (buffer, offset, length, position) => {
      if (calls + 1 === n) await handle.write(buffer, offset, length >> 1, position)
      return step((...args: Parameters<KeyFileHandle['write']>) => handle.write(...args))(
        buffer,
        offset,
        length,
        position
      )
    },
    sync: step(() => handle.sync()),
    close: () => handle.close()
  })
  return {
    ...files,
    pid,
    isAlive: (other) => other !== pid && files.isAlive(other),
    open: async (path, use) => {
      if (use === 'read') return files.open(path, use)
      return handleOf(await step(files.open)(path, use))
    },
    link: step(files.link),
    rename: step(files.rename),
    unlink: step(files.unlink),
    mkdir: step(files.mkdir),
    chmod: step(files.chmod),
    calls: () => calls
  }
}
