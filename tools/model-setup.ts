import { progressReporter } from '../packages/node/src/cli/terminal.ts'
import { ensureModel } from '../packages/node/src/model-store.ts'

/**
 * Runs once before all tests: makes sure of the default model and names it to them in `KWAAI_MODEL_PATH`.
 * Where no source has it the run fails, with the sources tried: a test of inference is never skipped.
 */
export async function setup(): Promise<void> {
  const { stdin, stdout, stderr, env } = process
  const { onProgress, end } = progressReporter({
    stdin,
    stdout,
    stderr,
    env,
    signal: new AbortController().signal
  })
  try {
    const { path } = await ensureModel({ onProgress, onNote: (text) => console.error(text) })
    process.env['KWAAI_MODEL_PATH'] = path
  } finally {
    end()
  }
}
