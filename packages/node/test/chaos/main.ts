/** `pnpm chaos --seed N --minutes M`: see run.ts. */
import { parseArgs } from 'node:util'
import { ensureModel } from '../../src/index.ts'
import { layouts, type Layout } from './fleet.ts'
import { reportText } from './report.ts'
import { runChaos } from './run.ts'

const usage = `Usage: pnpm chaos [--seed <n>] [--minutes <m>] [--layout ${Object.keys(layouts).join('|')}] [--json]`

function isLayout(text: string): text is Layout {
  return text in layouts
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    // pnpm hands the separator on.
    args: process.argv.slice(2).filter((word) => word !== '--'),
    options: {
      seed: { type: 'string' },
      minutes: { type: 'string', default: '10' },
      layout: { type: 'string' },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false }
    }
  })
  if (values.help) {
    process.stdout.write(`${usage}\n`)
    return 0
  }
  const seed = values.seed === undefined ? Date.now() % 1_000_000 : Number(values.seed)
  const minutes = Number(values.minutes)
  if (
    !Number.isSafeInteger(seed) ||
    !(minutes > 0) ||
    (values.layout !== undefined && !isLayout(values.layout))
  ) {
    process.stderr.write(`${usage}\n`)
    return 2
  }
  const ending = new AbortController()
  for (const name of ['SIGINT', 'SIGTERM'] as const) {
    process.on(name, () => {
      if (ending.signal.aborted) process.exit(130)
      ending.abort(new Error(name))
    })
  }
  const { path } = await ensureModel({ onNote: (text) => process.stderr.write(`${text}\n`) })
  process.env['KWAAI_MODEL_PATH'] = path
  process.stderr.write(`chaos: seed ${seed}, ${minutes} minutes\n`)
  const live = process.stderr.isTTY === true
  let saidAt = -Infinity
  const report = await runChaos({
    seed,
    minutes,
    model: path,
    signal: ending.signal,
    ...(values.layout === undefined ? {} : { layout: values.layout }),
    onProgress: (line) => {
      if (live) process.stderr.write(`\r\u001b[K${line.slice(0, (process.stderr.columns ?? 100) - 1)}`)
      else if (performance.now() - saidAt > 15_000) {
        saidAt = performance.now()
        process.stderr.write(`${line}\n`)
      }
    }
  })
  if (live) process.stderr.write('\r\u001b[K')
  process.stdout.write(values.json ? `${JSON.stringify(report)}\n` : reportText(report))
  return report.findings.length === 0 ? 0 : 1
}

main().then(
  (status) => process.exit(status),
  (error: unknown) => {
    process.stderr.write(
      `chaos: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`
    )
    process.exit(1)
  }
)
