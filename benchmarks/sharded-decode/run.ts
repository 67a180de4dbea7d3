import { spawnSync } from 'node:child_process'
import { cpus } from 'node:os'
import { parseArgs } from 'node:util'
import {
  llamaContender,
  modelPath,
  oneProcess,
  threeProcesses,
  type Breakdown,
  type Contender
} from './contenders.ts'
import { foreignLoad } from './load.ts'
import { manyContext } from './many.ts'
import { median, promptOf, round, run } from '../kit.ts'

const { values } = parseArgs({
  // pnpm hands the separator on.
  args: process.argv.slice(2).filter((word) => word !== '--'),
  options: {
    rounds: { type: 'string', default: '5' },
    contexts: { type: 'string', default: '128,1024,4096' },
    'long-rounds': { type: 'string', default: '2' },
    many: { type: 'string', default: '8' },
    tokens: { type: 'string', default: '48' },
    threads: { type: 'string', default: '1' },
    cores: { type: 'string', default: '0,1' }
  }
})
const rounds = Number(values.rounds)
const contexts = values.contexts.split(',').map(Number)
const tokens = Number(values.tokens)
const threads = Number(values.threads)
const many = Number(values.many)
/** Rounds at contexts whose prompts take a minute. */
const longRounds = Math.min(rounds, Number(values['long-rounds']))
const longContext = 2_048
/** Foreign load above which a turn is not counted. */
const maxForeignLoad = 0.3
const maxRetries = 20

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
    const init = { threads, maxPrompt: Math.max(...contexts), sequences: many }
    for (const start of [llamaContender, oneProcess, threeProcesses]) contenders.push(await start(path, init))
    const results: Row[] = []
    const accounts: Account[] = []
    for (const context of contexts) {
      const prompt = promptOf(context)
      const measured = new Map<string, Measured>(
        contenders.map(({ name }) => [name, { prefillMs: [], decodeMs: [] }])
      )
      let disturbed = 0
      let expected: string | undefined
      // The first round warms caches and is not counted.
      const breakdowns = new Map<string, Breakdown[]>()
      for (let round = -1; round < (context > longContext ? longRounds : rounds); round++) {
        for (const contender of inTurn(contenders, round)) {
          if ((await quiet()) > maxForeignLoad) disturbed++
          const turn = await contender.turn(prompt, tokens)
          const text = turn.tokens.join()
          expected ??= text
          if (text !== expected) throw new Error(`${contender.name} gave other tokens than llama.cpp`)
          if (round < 0) continue
          const into = measured.get(contender.name) as Measured
          into.prefillMs.push(turn.prefillMs)
          into.decodeMs.push(median(turn.decodeMs))
          const breakdown = contender.breakdown?.()
          if (breakdown !== undefined) {
            breakdowns.set(contender.name, [...(breakdowns.get(contender.name) ?? []), breakdown])
          }
        }
      }
      results.push(...rowsOf(context, measured, disturbed))
      accounts.push(...accountsOf(context, breakdowns, measured, contenders))
    }
    if (many > 1) results.push(...(await manyRows(contenders, results)))
    report(results, accounts)
  } finally {
    for (const contender of contenders.toReversed()) await contender[Symbol.asyncDispose]()
  }
}

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

/** In each round the contenders take turns, in an order that rotates. */
function inTurn(contenders: readonly Contender[], round: number): Contender[] {
  const shift = (round + contenders.length) % contenders.length
  return [...contenders.slice(shift), ...contenders.slice(0, shift)]
}

/** Where the time of one contender's tokens goes, milliseconds a token, and what its processes hold. */
interface Account extends Breakdown {
  name: string
  context: number
  tokenMs: number
  /** Between and queue, by hop. */
  perHopMs: number
  timeToFirstTokenMs: number
  residentMiB: number
}

function accountsOf(
  context: number,
  breakdowns: ReadonlyMap<string, readonly Breakdown[]>,
  measured: ReadonlyMap<string, Measured>,
  contenders: readonly Contender[]
): Account[] {
  return contenders.flatMap((contender) => {
    const { name } = contender
    const times = measured.get(name) as Measured
    const rounds = breakdowns.get(name) ?? []
    const of = (part: keyof Breakdown): number => round(median(rounds.map((one) => one[part])))
    const parts =
      rounds.length === 0
        ? { endsMs: NaN, computeMs: NaN, queueMs: NaN, betweenMs: NaN, hops: 0 }
        : {
            endsMs: of('endsMs'),
            computeMs: of('computeMs'),
            queueMs: of('queueMs'),
            betweenMs: of('betweenMs'),
            hops: of('hops')
          }
    return {
      name,
      context,
      tokenMs: round(median(times.decodeMs)),
      ...parts,
      perHopMs: round((parts.betweenMs + parts.queueMs) / parts.hops),
      timeToFirstTokenMs: round(median(times.prefillMs)),
      residentMiB: Math.round(contender.residentBytes() / 2 ** 20)
    }
  })
}

/** Several generations at once: ours against llama.cpp's parallel decoding, and against one of our own. */
async function manyRows(contenders: readonly Contender[], rows: readonly Row[]): Promise<Row[]> {
  const prompts = Array.from({ length: many }, (_, i) => promptOf(manyContext, i))
  const speeds = new Map<string, number[]>(contenders.map(({ name }) => [name, []]))
  let disturbed = 0
  const expected: string[] = []
  for (let at = -1; at < rounds; at++) {
    for (const contender of inTurn(contenders, at)) {
      if ((await quiet()) > maxForeignLoad) disturbed++
      const turn = await contender.many(prompts, tokens)
      if (contender.name !== 'llama.cpp') check(turn.tokens, expected, contender.name)
      if (at >= 0) speeds.get(contender.name)?.push((1000 * many * (tokens - 1)) / turn.decodeMs)
    }
  }
  const theirs = speeds.get('llama.cpp') as number[]
  const spread = (numbers: readonly number[]): [number, number] => [
    round(Math.min(...numbers)),
    round(Math.max(...numbers))
  ]
  return contenders.slice(1).flatMap(({ name }): Row[] => {
    const ours = speeds.get(name) as number[]
    const one = rows.find((row) => row.name === `${name}, decode, context ${manyContext}`)
    const base = { unit: 'tokens/s', ours: round(median(ours)), disturbedTurns: disturbed }
    const against = { ...base, theirs: round(median(theirs)), ratio: round(median(ours) / median(theirs)) }
    return [
      {
        name: `${name}, ${many} generations, against ${many} of llama.cpp`,
        ...against,
        spread: { ours: spread(ours), theirs: spread(theirs) }
      },
      ...(one === undefined
        ? []
        : [
            {
              name: `${name}, ${many} generations, against one of its own`,
              ...base,
              theirs: one.ours,
              ratio: round(median(ours) / one.ours),
              ...(name === 'three processes' && threads === 1 ? { atLeast: 2.5 } : {}),
              spread: { ours: spread(ours), theirs: one.spread.ours }
            }
          ])
    ]
  })
}

/** All of ours give the same tokens, whoever they shared a batch with. */
function check(tokens: readonly (readonly number[])[], expected: string[], name: string): void {
  for (const [i, own] of tokens.entries()) {
    const text = own.join()
    expected[i] ??= text
    if (text !== expected[i]) throw new Error(`${name} gave other tokens than before in generation ${i}`)
  }
}

/** The bars of this benchmark, by context; they hold for three processes with one thread each. */
const bars = {
  prefill: (): number => 0.9,
  decode: (context: number): number => (context < 1_000 ? 0.75 : 0.8)
}

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
      const bound = name === 'three processes' && threads === 1 ? bars[part](context) : undefined
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

function report(rows: readonly Row[], accounts: readonly Account[]): void {
  console.table(
    rows.map(({ name, ours, theirs, ratio, atLeast }) => ({ name, ours, theirs, ratio, atLeast }))
  )
  console.table(accounts)
  console.log(
    JSON.stringify({
      question: 'What does it cost to hold a model in three processes instead of one?',
      peer: 'llama.cpp, whole model in one process',
      cpu: cpus()[0]?.model,
      cores: values.cores,
      threads,
      rounds,
      tokens,
      rows,
      accounts
    })
  )
}

run(main)
