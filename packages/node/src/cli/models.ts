import { ensureEmbedder, listEmbedders } from '../embedder-store.ts'
import { nodeError } from '../errors.ts'
import { findKnownEmbedder } from '../model/known-models.ts'
import { ensureModel, listModels } from '../model-store.ts'
import type { Command } from './command.ts'
import { bytesText, printable, progressReporter } from './terminal.ts'

/** `kwaai models` */
export const models: Command = {
  name: 'models',
  summary: 'List the known models, or fetch one into the cache',
  usage: '[list | fetch [model]] [options]',
  options: { json: { type: 'boolean', describe: 'Print JSON' } },
  maxPositionals: 2,
  async run(options, io) {
    const [verb = 'list', name] = options.positionals
    if (verb === 'fetch') {
      const progress = progressReporter(io)
      const how = {
        env: io.env,
        signal: io.signal,
        onProgress: progress.onProgress,
        onNote: (text: string) => io.stderr.write(`${printable(text)}\n`)
      }
      const fetching =
        name !== undefined && findKnownEmbedder(name) !== undefined
          ? ensureEmbedder({ embedder: name, ...how })
          : ensureModel({ ...(name === undefined ? {} : { model: name }), ...how })
      const model = await fetching.finally(progress.end)
      io.stdout.write(
        options.flag('json') ? `${JSON.stringify(model)}\n` : `${model.id} is at ${model.path}\n`
      )
      return 0
    }
    if (verb !== 'list' || name !== undefined) {
      throw nodeError(
        'ERR_NODE_INVALID_OPTION',
        `Cannot understand "models ${options.positionals.join(' ')}". "kwaai models --help" shows the usage`
      )
    }
    const known = [
      ...(await listModels()).map((model) => ({ kind: 'language' as const, ...model })),
      ...(await listEmbedders()).map((model) => ({ kind: 'embedding' as const, ...model }))
    ]
    if (options.flag('json')) {
      io.stdout.write(`${JSON.stringify(known)}\n`)
      return 0
    }
    for (const { id, aliases, description, license, size, path } of known) {
      io.stdout.write(
        `${id}  (also ${aliases.join(', ')})\n  ${description}\n` +
          `  ${bytesText(size)}, ${license}, ${path === undefined ? 'not fetched yet' : `at ${path}`}\n`
      )
    }
    return 0
  }
}
