import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { Agent } from 'node:http'
import { cpus, loadavg } from 'node:os'
import { fileURLToPath } from 'node:url'
import { isDeepStrictEqual, parseArgs } from 'node:util'
import autocannon from 'autocannon'
import { foreignLoad } from '../sharded-decode/load.ts'
import { median, round, run } from '../kit.ts'
import { directly, inProcess, overHttp } from './first-token.ts'
import { bodyOf } from './model.ts'

const { values } = parseArgs({
  // pnpm hands the separator on.
  args: process.argv.slice(2).filter((word) => word !== '--'),
  options: {
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '3' },
    'warm-seconds': { type: 'string', default: '10' },
    connections: { type: 'string', default: '20' },
    firsts: { type: 'string', default: '300' },
    'server-core': { type: 'string', default: '0' },
    'load-core': { type: 'string', default: '1' }
  }
})
const rounds = Number(values.rounds)
const seconds = Number(values.seconds)
/** Optimising compilers need tens of thousands of requests until they are done. */
const warmSeconds = Number(values['warm-seconds'])
const connections = Number(values.connections)
const firsts = Number(values.firsts)
/** Foreign load above which a turn is put off, and after some tries counted as disturbed. */
const maxForeignLoad = 0.3
const maxRetries = 3
const headers = { 'content-type': 'application/json' }
const names = ['kwaai', 'fastify', 'fastify-checks', 'node'] as const
type Name = (typeof names)[number]

/** What is asked, and the bar of ours against each peer. */
const tasks = [
  { name: 'JSON', body: bodyOf(1, false), bars: { fastify: 0.8 } },
  { name: 'SSE of 64 chunks', body: bodyOf(64, true), bars: { fastify: 0.7 } }
] as const
const peers = {
  fastify: 'Fastify',
  'fastify-checks': 'Fastify with the same checks',
  node: 'bare node:http'
} as const

/** Runs again under taskset: the load on its core, each server on the other. */
function pin(): void {
  if (process.env['KWAAI_BENCH_PINNED'] === '1' || process.platform !== 'linux') return
  const { status } = spawnSync(
    'taskset',
    ['-c', values['load-core'], process.execPath, ...process.execArgv, ...process.argv.slice(1)],
    { stdio: 'inherit', env: { ...process.env, KWAAI_BENCH_PINNED: '1' } }
  )
  process.exit(status ?? 1)
}

/** A server process. */
interface Contender {
  name: Name
  port: number
  child: ChildProcess
}

async function start(name: Name): Promise<Contender> {
  const script = fileURLToPath(new URL('server.ts', import.meta.url))
  const words = [process.execPath, ...process.execArgv, script, name]
  const [command = '', ...args] =
    process.platform === 'linux' ? ['taskset', '-c', values['server-core'], ...words] : words
  const child = spawn(command, args, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
  const [message] = (await once(child, 'message')) as [{ port: number }]
  return { name, port: message.port, child }
}

/** Seconds of processor time a server has used. */
async function processorSeconds({ child }: Contender): Promise<number> {
  child.send('cpu')
  const [{ cpu }] = (await once(child, 'message')) as [{ cpu: NodeJS.CpuUsage }]
  return (cpu.user + cpu.system) / 1e6
}

const urlOf = ({ port }: Contender): string => `http://127.0.0.1:${port}/v1/chat/completions`

/** All give the same but for ids and times, in as many bytes, and refuse what is wrong: else they would not do the same work. */
async function checkEqual(contenders: readonly Contender[]): Promise<void> {
  for (const { name, body } of tasks) {
    const answers = await Promise.all(
      contenders.map(async (contender) => {
        const response = await fetch(urlOf(contender), { method: 'POST', headers, body })
        const text = await response.text()
        const same = text
          .replaceAll(/chatcmpl-\w{32}/g, 'id')
          .replaceAll(/"created":\d{10}/g, '"created":0')
          .replaceAll(/fp_\w{8}/g, 'fp')
        return {
          status: response.status,
          length: text.length,
          fields: [...response.headers.keys()].filter((key) => !/^(connection|keep-alive)$/.test(key)),
          values: [...same.matchAll(/\{.*\}/g)].map(([json]): unknown => JSON.parse(json))
        }
      })
    )
    for (const [index, answer] of answers.entries()) {
      answer.fields.sort()
      if (!isDeepStrictEqual(answer, answers[0]))
        throw new Error(
          `${name}: ${names[index]} answers ${JSON.stringify(answer)}, ours ${JSON.stringify(answers[0])}`
        )
    }
  }
  for (const contender of contenders.filter((one) => one.name !== 'node')) {
    const body = JSON.stringify({ model: 'fake', messages: [{ role: 'pirate', content: 'x' }] })
    const { status } = await fetch(urlOf(contender), { method: 'POST', headers, body })
    if (status !== 400) throw new Error(`${contender.name} answers a wrong role with ${status}`)
  }
}

interface Turn {
  perSecond: number
  /** Milliseconds of processor time a request. */
  processorMs: number
  /** How much of its core the server used. Well below 1 the load, not the server, is what was measured. */
  busy: number
  p50: number
  p99: number
}

async function turn(contender: Contender, body: string, forSeconds: number): Promise<Turn> {
  const before = await processorSeconds(contender)
  const startedAt = performance.now()
  const result = await autocannon({
    url: urlOf(contender),
    method: 'POST',
    headers,
    body,
    connections,
    duration: forSeconds
  })
  const used = (await processorSeconds(contender)) - before
  const took = (performance.now() - startedAt) / 1000
  if (result.non2xx + result.errors + result.timeouts > 0 || result['2xx'] === 0)
    throw new Error(`${contender.name} failed ${result.non2xx + result.errors + result.timeouts} requests`)
  return {
    perSecond: result['2xx'] / result.duration,
    processorMs: (1000 * used) / result['2xx'],
    busy: used / took,
    p50: result.latency.p50,
    p99: result.latency.p99
  }
}

let disturbed = 0
async function quiet(): Promise<void> {
  let load = await foreignLoad()
  for (let retry = 0; retry < maxRetries && load > maxForeignLoad; retry++) load = await foreignLoad(1_000)
  if (load > maxForeignLoad) disturbed++
}

/** In each round the contenders take turns, in an order that rotates. */
function inTurn(contenders: readonly Contender[], at: number): Contender[] {
  const shift = (at + contenders.length) % contenders.length
  return [...contenders.slice(shift), ...contenders.slice(0, shift)]
}

async function loadRows(contenders: readonly Contender[]): Promise<object[]> {
  const rows: object[] = []
  for (const { name, body, bars } of tasks) {
    disturbed = 0
    const turns = new Map<Name, Turn[]>(names.map((one) => [one, []]))
    // The first round lets the compiler finish, and is not counted.
    for (let at = -1; at < rounds; at++)
      for (const contender of inTurn(contenders, at)) {
        await quiet()
        const measured = await turn(contender, body, at < 0 ? warmSeconds : seconds)
        if (at >= 0) turns.get(contender.name)?.push(measured)
      }
    const of = (one: Name, part: keyof Turn): number[] => (turns.get(one) ?? []).map((each) => each[part])
    const mid = (one: Name, part: keyof Turn): number => round(median(of(one, part)))
    const spread = (one: Name): number[] => [
      round(Math.min(...of(one, 'perSecond'))),
      round(Math.max(...of(one, 'perSecond')))
    ]
    const account = (one: Name): object => ({
      processorMs: mid(one, 'processorMs'),
      busy: mid(one, 'busy'),
      p50: mid(one, 'p50'),
      p99: mid(one, 'p99')
    })
    for (const peer of ['fastify', 'fastify-checks', 'node'] as const) {
      const atLeast = peer === 'fastify' ? bars.fastify : undefined
      rows.push({
        name: `${name}, against ${peers[peer]}`,
        unit: 'requests/s',
        ours: mid('kwaai', 'perSecond'),
        theirs: mid(peer, 'perSecond'),
        ratio: round(mid('kwaai', 'perSecond') / mid(peer, 'perSecond')),
        ...(atLeast === undefined ? {} : { atLeast }),
        processorRatio: round(mid(peer, 'processorMs') / mid('kwaai', 'processorMs')),
        spread: { ours: spread('kwaai'), theirs: spread(peer) },
        oursAccount: account('kwaai'),
        theirsAccount: account(peer),
        disturbedTurns: disturbed
      })
    }
  }
  return rows
}

/** Milliseconds the API may add to the first token. */
const maxFirstTokenMs = 5

async function firstTokenRows(contenders: readonly Contender[]): Promise<object[]> {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  const ways: Record<string, () => Promise<number>> = { directly, 'in process': inProcess() }
  for (const contender of contenders)
    ways[`over HTTP, ${contender.name}`] = () => overHttp(contender.port, agent)
  const times = new Map<string, number[]>(Object.keys(ways).map((way) => [way, []]))
  await quiet()
  for (let at = -firsts / 3; at < firsts; at++)
    for (const [way, measure] of Object.entries(ways)) {
      const ms = await measure()
      if (at >= 0) times.get(way)?.push(ms)
    }
  agent.destroy()
  const of = (way: string): number[] => (times.get(way) ?? []).toSorted((a, b) => a - b)
  const late = (way: string): number => of(way)[Math.floor(0.99 * firsts)] as number
  return ['in process', 'over HTTP, kwaai'].map((way) => {
    const added = median(of(way)) - median(of('directly'))
    return {
      name: `first token ${way.replace(', kwaai', '')}, more than the model asked directly, against the time allowed`,
      unit: 'ms',
      ours: round(added),
      theirs: maxFirstTokenMs,
      ratio: round(maxFirstTokenMs / added),
      atLeast: 1,
      median: Object.fromEntries(Object.keys(ways).map((one) => [one, round(median(of(one)))])),
      p99: Object.fromEntries(Object.keys(ways).map((one) => [one, round(late(one))]))
    }
  })
}

async function main(): Promise<void> {
  pin()
  const contenders: Contender[] = []
  try {
    for (const name of names) contenders.push(await start(name))
    await checkEqual(contenders)
    const rows = [...(await loadRows(contenders)), ...(await firstTokenRows(contenders))]
    console.table(rows, ['name', 'unit', 'ours', 'theirs', 'ratio', 'processorRatio', 'atLeast'])
    console.log(
      JSON.stringify({
        question: 'What does our API cost, against the fastest framework and against none?',
        peer: 'Fastify 5, with a schema in and out; bare node:http',
        cpu: cpus()[0]?.model,
        node: process.version,
        cores: { server: values['server-core'], load: values['load-core'] },
        load: loadavg()[0],
        connections,
        rounds,
        seconds,
        rows
      })
    )
  } finally {
    for (const { child } of contenders) child.kill()
  }
}

run(main)
