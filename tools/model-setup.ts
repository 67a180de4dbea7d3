import { progressReporter } from '../packages/node/src/cli/terminal.ts'
import { ensureEmbedder } from '../packages/node/src/embedder-store.ts'
import { ensureModel } from '../packages/node/src/model-store.ts'

/**
 * Runs once before all tests: makes sure of the default model and the embedding model and names them to the tests
 * in `KWAAI_MODEL_PATH` and `KWAAI_EMBEDDER_PATH`. Where no source has one the run fails, with the sources tried:
 * a test of inference is never skipped.
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
    const how = { onProgress, onNote: (text: string) => console.error(text) }
    process.env['KWAAI_MODEL_PATH'] = (await ensureModel(how)).path
    end()
    process.env['KWAAI_EMBEDDER_PATH'] = (await ensureEmbedder(how)).path
  } finally {
    end()
  }
}
