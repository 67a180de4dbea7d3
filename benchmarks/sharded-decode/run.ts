import { spawnSync } from 'node:child_process'
import { cpus } from 'node:os'
import { parseArgs } from 'node:util'
import { llamaContender, modelPath, oneProcess, threeProcesses, type Contender } from './contenders.ts'
import { foreignLoad } from './load.ts'

const { values } = parseArgs({
  // pnpm hands the separator on.
  args: process.argv.slice(2).filter((word) => word !== '--'),
  options: {
    rounds: { type: 'string', default: '5' },
    contexts: { type: 'string', default: '128,1024' },
    tokens: { type: 'string', default: '48' },
    threads: { type: 'string', default: '1' },
    cores: { type: 'string', default: '0,1' }
  }
})
const rounds = Number(values.rounds)
const contexts = values.contexts.split(',').map(Number)
const tokens = Number(values.tokens)
const threads = Number(values.threads)
/** Foreign load above which a turn is not counted. */
const maxForeignLoad = 0.3
const maxRetries = 20

const median = (numbers: readonly number[]): number => {
  const sorted = numbers.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1
    ? (sorted[middle] as number)
    : ((sorted[middle - 1] as number) + (sorted[middle] as number)) / 2
}

/** Runs again under taskset, so that this process and all it starts share the cores. */
function pin(): void {
  if (process.env['KWAAI_BENCH_PINNED'] === '1' || process.platform !== 'linux') return
  const { status } = spawnSync(
    'taskset',
    ['-c', values.cores, process.execPath, ...process.execArgv, ...process.argv.slice(1)],
    { stdio: 'inherit', env: { ...process.env, KWAAI_BENCH_PINNED: '1' } }
  )
  process.exit(status ?? 1)
}

/** Text-like ids: all ordinary tokens, the same in every run. */
function promptOf(length: number): number[] {
  let state = 12_345
  return Array.from({ length }, () => {
    state = (state * 1_103_515_245 + 12_345) % 2 ** 31
    return 300 + (state % 40_000)
  })
}

interface Measured {
  prefillMs: number[]
  decodeMs: number[]
}

async function quiet(): Promise<number> {
  let load = await foreignLoad()
  for (let retry = 0; retry < maxRetries && load > maxForeignLoad; retry++) load = await foreignLoad(1_000)
  return load
}

async function main(): Promise<void> {
  pin()
  const path = await modelPath()
  const contenders: Contender[] = []
  try {
    contenders.push(await llamaContender(path, threads))
    contenders.push(await oneProcess(path, threads))
    contenders.push(await threeProcesses(path, threads))
    const results: Row[] = []
    for (const context of contexts) {
      const prompt = promptOf(context)
      const measured = new Map<string, Measured>(
        contenders.map(({ name }) => [name, { prefillMs: [], decodeMs: [] }])
      )
      let disturbed = 0
      let expected: string | undefined
      // The first round warms caches and is not counted.
      for (let round = -1; round < rounds; round++) {
        const shift = (round + contenders.length) % contenders.length
        for (const contender of [...contenders.slice(shift), ...contenders.slice(0, shift)]) {
          if ((await quiet()) > maxForeignLoad) disturbed++
          const turn = await contender.turn(prompt, tokens)
          const text = turn.tokens.join()
          expected ??= text
          if (text !== expected) throw new Error(`${contender.name} gave other tokens than llama.cpp`)
          if (round < 0) continue
          const into = measured.get(contender.name) as Measured
          into.prefillMs.push(turn.prefillMs)
          into.decodeMs.push(median(turn.decodeMs))
        }
      }
      results.push(...rowsOf(context, measured, disturbed))
    }
    report(results)
  } finally {
    for (const contender of contenders.toReversed()) await contender[Symbol.asyncDispose]()
  }
}

const round = (value: number): number => Math.round(value * 1000) / 1000

interface Row {
  name: string
  unit: string
  ours: number
  theirs: number
  ratio: number
  atLeast?: number
  /** Least and greatest of the rounds, in the unit of the row. */
  spread: { ours: [number, number]; theirs: [number, number] }
  disturbedTurns: number
}

/** The bars of this benchmark hold for three processes with one thread each. */
const bars: Record<string, number> = { prefill: 0.9, decode: 0.6 }

/** One row for each contender of ours and each of prefill and decode, against llama.cpp in the same rounds. */
function rowsOf(context: number, measured: ReadonlyMap<string, Measured>, disturbed: number): Row[] {
  const theirs = measured.get('llama.cpp') as Measured
  const rows: Row[] = []
  for (const [name, ours] of measured) {
    if (ours === theirs) continue
    for (const part of ['prefill', 'decode'] as const) {
      const length = part === 'prefill' ? context : 1
      const speed = (ms: number): number => (1000 * length) / ms
      const [own, other] = [ours, theirs].map(({ prefillMs, decodeMs }) =>
        part === 'prefill' ? prefillMs : decodeMs
      )
      const spread = (ms: readonly number[]): [number, number] => [
        round(speed(Math.max(...ms))),
        round(speed(Math.min(...ms)))
      ]
      const bound = name === 'three processes' && threads === 1 ? bars[part] : undefined
      rows.push({
        name: `${name}, ${part}, context ${context}`,
        unit: 'tokens/s',
        ours: round(speed(median(own as number[]))),
        theirs: round(speed(median(other as number[]))),
        ratio: round(median(other as number[]) / median(own as number[])),
        ...(bound === undefined ? {} : { atLeast: bound }),
        spread: { ours: spread(own as number[]), theirs: spread(other as number[]) },
        disturbedTurns: disturbed
      })
    }
  }
  return rows
}

function report(rows: readonly Row[]): void {
  console.table(
    rows.map(({ name, ours, theirs, ratio, atLeast }) => ({ name, ours, theirs, ratio, atLeast }))
  )
  console.log(
    JSON.stringify({
      question: 'What does it cost to hold a model in three processes instead of one?',
      peer: 'llama.cpp, whole model in one process',
      cpu: cpus()[0]?.model,
      cores: values.cores,
      threads,
      rounds,
      tokens,
      rows
    })
  )
}

main().then(
  () => process.exit(0),
  (error: unknown) => {
    console.error(error)
    process.exit(1)
  }
)
