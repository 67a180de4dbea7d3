// Runs every benchmark, keeps its result as JSON in benchmarks/results, and rewrites the table in
// benchmarks/README.md. Arguments name the benchmarks to run; without any, all run.
import { spawn } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

/** One figure of ours against the peer's. */
export interface BenchRow {
  name: string
  unit: string
  ours: number
  theirs: number
  /** Above 1 where ours is better. */
  ratio: number
  /** The ratio aimed at. */
  atLeast?: number
}

/** What a benchmark ends with, as one line of JSON. */
export interface BenchResult {
  question: string
  /** Whom we measure ourselves against. */
  peer: string
  rows: BenchRow[]
}

const top = fileURLToPath(new URL('../benchmarks/', import.meta.url))
const results = join(top, 'results')
const begin = '<!-- results: written by pnpm bench -->'
const end = '<!-- end of results -->'

/** The packages under benchmarks that have a `bench` script. */
function benchmarks(): string[] {
  return readdirSync(top, { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && existsSync(join(top, entry.name, 'package.json')))
    .map((entry) => entry.name)
    .filter((name) => /"bench":/.test(readFileSync(join(top, name, 'package.json'), 'utf8')))
    .toSorted()
}

/** Runs one benchmark and hands back its last line; what it prints is shown. */
function lastLineOf(name: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn('pnpm', ['run', '--silent', 'bench'], {
      cwd: join(top, name),
      stdio: ['ignore', 'pipe', 'inherit']
    })
    let output = ''
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
      output += chunk
      process.stdout.write(chunk)
    })
    child.on('error', reject)
    child.on('close', (code) => {
      if (code === 0) resolve(output.trimEnd().split('\n').at(-1) ?? '')
      else reject(new Error(`benchmarks/${name} ended with status ${code}`))
    })
  })
}

/** Reads a result and checks that it has what the table needs. */
export function parseResult(line: string): BenchResult {
  const result = JSON.parse(line) as Partial<BenchResult>
  const whole =
    typeof result.question === 'string' &&
    typeof result.peer === 'string' &&
    Array.isArray(result.rows) &&
    result.rows.every(
      ({ name, unit, ours, theirs, ratio }) =>
        typeof name === 'string' && typeof unit === 'string' && [ours, theirs, ratio].every(Number.isFinite)
    )
  if (!whole)
    throw new Error('The result lacks question, peer, or rows of name, unit, ours, theirs and ratio')
  return result as BenchResult
}

/** The table of all results, of this run and of earlier ones. */
export function table(all: Readonly<Record<string, BenchResult>>): string {
  const figure = (value: number): string => (Math.abs(value) >= 100 ? value.toFixed(0) : value.toPrecision(3))
  const lines = Object.entries(all).flatMap(([name, { peer, rows }]) =>
    rows.map((row) => {
      const aim = row.atLeast === undefined ? '' : `≥ ${row.atLeast}`
      const words = [`[${name}](${name}/)`, row.name, row.unit, peer].map((text) =>
        text.replaceAll('|', '\\|')
      )
      return `| ${[...words, figure(row.ours), figure(row.theirs), `**${row.ratio.toFixed(2)}**`, aim].join(' | ')} |`
    })
  )
  const head = '| benchmark | what | unit | against | ours | theirs | ratio | aim |'
  return [head, '|---|---|---|---|---|---|---|---|', ...lines].join('\n')
}

async function main(wanted: readonly string[]): Promise<void> {
  const known = benchmarks()
  const unknown = wanted.filter((name) => !known.includes(name))
  if (unknown.length > 0) {
    throw new Error(`There is no benchmark "${unknown.join(', ')}"; there are: ${known.join(', ')}`)
  }
  mkdirSync(results, { recursive: true })
  for (const name of wanted.length > 0 ? wanted : known) {
    console.log(`\n== ${name}`)
    try {
      const result = parseResult(await lastLineOf(name))
      writeFileSync(join(results, `${name}.json`), `${JSON.stringify(result, null, 2)}\n`)
    } catch (error) {
      console.error(error)
      process.exitCode = 1
    }
  }
  const kept = known.filter((name) => existsSync(join(results, `${name}.json`)))
  const all = kept.map(
    (name) => [name, parseResult(readFileSync(join(results, `${name}.json`), 'utf8'))] as const
  )
  const readme = join(top, 'README.md')
  const text = readFileSync(readme, 'utf8')
  const from = text.indexOf(begin)
  const to = text.indexOf(end)
  if (from < 0 || to < from) throw new Error(`benchmarks/README.md lacks the lines "${begin}" and "${end}"`)
  const written = `${text.slice(0, from)}${begin}\n\n${table(Object.fromEntries(all))}\n\n${text.slice(to)}`
  writeFileSync(readme, written)
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) await main(process.argv.slice(2))
