import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

/**
 * Runs once before all tests: makes sure of the default model and names it to them in `KWAAI_MODEL_PATH`.
 * Where no source has it the run fails, with the sources tried: a test of inference is never skipped.
 */
export async function setup(): Promise<void> {
  const store = new URL('../packages/node/src/model-store.ts', import.meta.url)
  if (!existsSync(store) || !existsSync(new URL('../../shard/src/gguf/index.ts', store))) return
  const { ensureModel } = await import(fileURLToPath(store))
  const { path } = await ensureModel({})
  process.env['KWAAI_MODEL_PATH'] = path
}
