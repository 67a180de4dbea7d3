import { homedir } from 'node:os'
import { join } from 'node:path'
import type { CallOptions, Clock } from '@kwaai/interface'
import { systemClock } from '@kwaai/interface/memory'
import type { DownloadOptions, Progress } from './http-download.ts'
import type { ModelEnvironment } from './known-models.ts'

/** A source that gives no byte for so long is passed over. */
export const sourceIdleMs = 10_000

/** What is asked of a store, whatever kind of model it keeps. */
export interface StoreInit extends CallOptions {
  /** Default: `models` in the user's cache folder for Kwaai. */
  cacheDir?: string
  /** Default: the process's environment. */
  env?: ModelEnvironment
  onProgress?: (progress: Progress) => void
  /** One plain sentence each: a source was passed over, another process downloads. */
  onNote?: (text: string) => void
  clock?: Clock
  fetch?: typeof fetch
}

/** The folder models are kept in, by the rules of the platform. */
export function modelCacheDir(env: NodeJS.ProcessEnv = process.env): string {
  if (env['KWAAI_CACHE_DIR']) return join(env['KWAAI_CACHE_DIR'], 'models')
  if (env['XDG_CACHE_HOME']) return join(env['XDG_CACHE_HOME'], 'kwaai', 'models')
  if (process.platform === 'darwin') return join(homedir(), 'Library', 'Caches', 'kwaai', 'models')
  if (process.platform === 'win32' && env['LOCALAPPDATA']) return join(env['LOCALAPPDATA'], 'kwaai', 'models')
  return join(homedir(), '.cache', 'kwaai', 'models')
}

/** A request with every default filled in. */
export interface StoreRequest {
  cacheDir: string
  env: ModelEnvironment
  note: (text: string) => void
  download: DownloadOptions
}

/** Fills in the defaults. */
export function storeRequest(init: StoreInit): StoreRequest {
  return {
    cacheDir: init.cacheDir ?? modelCacheDir(),
    env: init.env ?? process.env,
    note: init.onNote ?? (() => undefined),
    download: {
      clock: init.clock ?? systemClock,
      fetch: init.fetch ?? fetch,
      idleMs: sourceIdleMs,
      onProgress: init.onProgress ?? (() => undefined),
      ...(init.signal === undefined ? {} : { signal: init.signal })
    }
  }
}
