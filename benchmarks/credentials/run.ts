import { spawnSync } from 'node:child_process'
import { cpus, loadavg } from 'node:os'
import { parseArgs } from 'node:util'
import { median, round, run } from '../kit.ts'
import { foreignLoad } from '../sharded-decode/load.ts'
import { createWorks, documents, type Work } from './contenders.ts'

const { values } = parseArgs({
  // pnpm hands the separator on.
  args: process.argv.slice(2).filter((word) => word !== '--'),
  options: {
    rounds: { type: 'string', default: '15' },
    'turn-ms': { type: 'string', default: '400' },
    'warm-ms': { type: 'string', default: '3000' },
    cores: { type: 'string', default: '0' }
  }
})
const rounds = Number(values.rounds)
const turnMs = Number(values['turn-ms'])
const warmMs = Number(values['warm-ms'])
/** Foreign load above which a turn is put off, and after some tries counted as disturbed. */
const maxForeignLoad = 0.3
const maxRetries = 3

/** Runs again under taskset, everything on the same cores. */
function pin(): void {
  if (process.env['KWAAI_BENCH_PINNED'] === '1' || process.platform !== 'linux') return
  const { status } = spawnSync(
    'taskset',
    ['-c', values.cores, process.execPath, ...process.execArgv, ...process.argv.slice(1)],
    { stdio: 'inherit', env: { ...process.env, KWAAI_BENCH_PINNED: '1' } }
  )
  process.exit(status ?? 1)
}

let disturbed = 0
async function quiet(): Promise<void> {
  let load = await foreignLoad()
  for (let retry = 0; retry < maxRetries && load > maxForeignLoad; retry++) load = await foreignLoad(1_000)
  if (load > maxForeignLoad) disturbed++
}

/** What one of a kind took, in microseconds: by the clock, and of processors, threads of the engine's included. */
interface Cost {
  wall: number
  processor: number
}

/** Works one after the other for as long as a turn lasts. */
async function turn(work: Work, ms: number): Promise<Cost> {
  const used = process.cpuUsage()
  const started = performance.now()
  let done = 0
  do {
    await work(done % documents)
    done++
  } while (performance.now() - started < ms)
  const wall = (1000 * (performance.now() - started)) / done
  const { user, system } = process.cpuUsage(used)
  return { wall, processor: (user + system) / done }
}

/** What is compared, and the ratio aimed at. */
const pairs: { name: string; ours: string; theirs: string; atLeast?: number }[] = [
  { name: 'verify, against their RDFC', ours: 'ours verify JCS', theirs: 'theirs verify RDFC', atLeast: 8 },
  {
    name: 'verify, against their RDFC with contexts kept',
    ours: 'ours verify JCS',
    theirs: 'theirs verify RDFC, kept contexts'
  },
  { name: 'verify, against their JCS', ours: 'ours verify JCS', theirs: 'theirs verify JCS', atLeast: 1.3 },
  { name: 'verify the proof alone, against their JCS', ours: 'ours proof JCS', theirs: 'theirs verify JCS' },
  {
    name: 'verify RDFC through them, against their RDFC',
    ours: 'ours verify RDFC',
    theirs: 'theirs verify RDFC'
  },
  { name: 'issue, against their JCS', ours: 'ours issue JCS', theirs: 'theirs issue JCS' },
  { name: 'issue, against their RDFC', ours: 'ours issue JCS', theirs: 'theirs issue RDFC' },
  {
    name: 'issue, against their RDFC with contexts kept',
    ours: 'ours issue JCS',
    theirs: 'theirs issue RDFC, kept contexts'
  }
]

async function main(): Promise<void> {
  pin()
  const works = Object.entries(await createWorks())
  for (const [, work] of works) await turn(work, warmMs)
  const costs = new Map<string, Cost[]>(works.map(([name]) => [name, []]))
  for (let at = 0; at < rounds; at++) {
    await quiet()
    const shift = at % works.length
    for (const [name, work] of [...works.slice(shift), ...works.slice(0, shift)])
      costs.get(name)?.push(await turn(work, turnMs))
  }
  const of = (name: string, part: keyof Cost): number[] => (costs.get(name) ?? []).map((cost) => cost[part])
  // Of each round, so that what slows the machine down for a while slows both.
  const ratio = (ours: string, theirs: string, part: keyof Cost): number =>
    round(median(of(ours, part).map((cost, at) => (of(theirs, part)[at] as number) / cost)))
  const spread = (name: string): number[] => [
    round(Math.min(...of(name, 'wall'))),
    round(Math.max(...of(name, 'wall')))
  ]
  const rows = pairs.map(({ name, ours, theirs, atLeast }) => ({
    name,
    unit: 'µs',
    ours: round(median(of(ours, 'wall'))),
    theirs: round(median(of(theirs, 'wall'))),
    ratio: ratio(ours, theirs, 'wall'),
    ...(atLeast === undefined ? {} : { atLeast }),
    processorRatio: ratio(ours, theirs, 'processor'),
    spread: { ours: spread(ours), theirs: spread(theirs) }
  }))
  console.table(rows, ['name', 'unit', 'ours', 'theirs', 'ratio', 'processorRatio', 'atLeast'])
  console.log(
    JSON.stringify({
      question: 'How long does it take to verify and to issue a credential?',
      peer: '@digitalbazaar/vc 7.3',
      cpu: cpus()[0]?.model,
      node: process.version,
      cores: values.cores,
      load: loadavg()[0],
      rounds,
      turnMs,
      disturbedRounds: disturbed,
      rows
    })
  )
}

run(main)
