import { createHash } from 'node:crypto'
import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createOracle } from '../../../shard/test/oracle/index.ts'
import { gone, usage } from '../process-tree.ts'
import type { GenerateResult } from './client.ts'
import { createInjector, pause, type Injector } from './faults.ts'
import { startFleet, type Fleet, type Layout, type Running } from './fleet.ts'
import { answerQuestions, type Question } from './prompts.ts'
import { progressLine, quantiles, type ChaosReport } from './report.ts'
import { createCallerScript, createSchedule, type Ask, type Fault } from './schedule.ts'

/** What a run is to be. */
export interface ChaosInit {
  seed: number
  minutes: number
  /** Default: by the seed. */
  layout?: Layout
  /** Path of the model. */
  model: string
  callers?: number
  /** One line, several times a second at most. */
  onProgress?: (line: string) => void
  signal?: AbortSignal
}

const defaultCallers = 8
/** Without news for so long a generation hangs: more than all deadlines that are stated. */
const hangMs = 120_000
/**
 * A refusal comes before the deadline: openings (four tries of 10 s), a step (30 s and 100 ms a row of a long
 * prompt), and what a machine that is busy needs.
 */
const refusalMs = 40_000 + 30_000 + 40_000 + 5_000
/** Until everything works again once the faults are over: a peer is left out for two minutes at most. */
const recoveryMs = 150_000
/** Until sessions of a client that has gone are forgotten. */
const settleMs = 20_000

/** What a process may grow by from its start to the end of a run, at rest. */
export const growthBounds = { heapBytes: 32 * 2 ** 20, residentBytes: 256 * 2 ** 20, files: 16 }

const hashOf = (values: Float32Array): string =>
  createHash('sha256')
    .update(new Uint8Array(values.buffer, values.byteOffset, values.byteLength))
    .digest('hex')

/** Breaks five servers while eight callers ask, and reports what they got. */
export async function runChaos(init: ChaosInit): Promise<ChaosReport> {
  const { seed, signal = new AbortController().signal, onProgress = () => undefined } = init
  const layout = init.layout ?? (seed % 2 === 0 ? 'cuts' : 'twins')
  const folder = await mkdtemp(join(tmpdir(), 'kwaai-chaos-'))
  const temporary = join(folder, 'tmp')
  await mkdir(temporary)
  let fleet: Fleet | undefined
  try {
    const questions = await rightAnswers(onProgress)
    signal.throwIfAborted()
    onProgress('starting five servers and a client')
    fleet = await startFleet({ seed, layout, model: init.model, folder, temporary })
    const run = createRun({ ...init, layout, signal, onProgress }, fleet, questions)
    await run.warmUp()
    await run.faults()
    await run.recover()
    await run.settle()
    const left = await readdir(temporary)
    if (left.length > 0) run.find(`temporary files are left: ${left.slice(0, 5).join(', ')}`, 'all processes')
    return run.report
  } finally {
    await fleet?.end()
    await rm(folder, { recursive: true, force: true })
  }
}

async function rightAnswers(onProgress: (line: string) => void): Promise<Question[]> {
  await using oracle = await createOracle()
  return await answerQuestions(oracle, (count) => onProgress(`computing the right answers: ${count}`))
}

function createRun(
  init: ChaosInit & { layout: Layout; signal: AbortSignal; onProgress: (line: string) => void },
  fleet: Fleet,
  questions: readonly Question[]
) {
  const { seed, layout, signal, onProgress, callers = defaultCallers } = init
  const seconds = 60 * init.minutes
  const stalls: number[] = []
  const firsts: number[] = []
  let startedAt = performance.now()
  const secondsNow = (): number => (performance.now() - startedAt) / 1000

  const report: ChaosReport = {
    seed,
    layout,
    seconds,
    generations: { asked: 0, ok: 0, left: 0, refused: {}, wrong: 0 },
    faults: {} as ChaosReport['faults'],
    frames: { drop: 0, duplicate: 0 },
    stallMs: quantiles([]),
    firstTokenMs: quantiles([]),
    tokens: 0,
    recoveredMs: undefined,
    growth: { heapBytes: 0, residentBytes: 0, files: 0 },
    findings: []
  }
  const find = (what: string, where: string): void => {
    const atS = secondsNow()
    const after = injector.history
      .filter((fault) => fault.atS > atS - 60)
      .slice(-8)
      .map((fault) => `${fault.text}, begun ${(atS - fault.atS).toFixed(1)} s before`)
    report.findings.push({ atS, what, where, after })
  }
  const injector: Injector = createInjector({ fleet, seconds: secondsNow, onFinding: find })
  report.faults = injector.counts

  const generate = async (caller: number, { prompt, way, leaveAt }: Ask): Promise<GenerateResult> => {
    const question = questions[prompt] as Question
    const { messages, count } = question
    return fleet.client.call('generate', {
      caller,
      way,
      messages,
      prompt: question.prompt,
      count,
      leaveAt,
      hangMs
    })
  }

  /** Holds a result against the one right answer. @returns true for a whole right answer. */
  const judge = (caller: number, ask: Ask, result: GenerateResult): boolean => {
    const question = questions[ask.prompt] as Question
    const expected = ask.way === 'chat' ? question.chatTokens : question.tokens
    const where = `caller ${caller}, question ${ask.prompt} (${question.prompt.length} tokens) by ${ask.way}, ${result.tokens.length} of ${expected.length} tokens, ${Math.round(result.ms)} ms`
    const { generations } = report
    generations.asked++
    report.tokens += result.tokens.length
    const differs = result.tokens.findIndex((token, index) => token !== expected[index])
    if (differs >= 0) {
      generations.wrong++
      find(`a wrong token: number ${differs} is ${result.tokens[differs]}, not ${expected[differs]}`, where)
      return false
    }
    if (result.outcome === 'answer') {
      if (result.tokens.length !== expected.length) {
        generations.wrong++
        find('an answer that ends too early', where)
        return false
      }
      if (result.lastLogits !== undefined && result.lastLogits !== hashOf(question.last)) {
        generations.wrong++
        find('the last logits differ in their bits', where)
        return false
      }
      generations.ok++
      stalls.push(result.stallMs)
      firsts.push(result.firstMs)
      return true
    }
    if (result.outcome === 'left') generations.left++
    if (result.outcome === 'hung') find(`no news for ${hangMs} ms, neither a token nor an error`, where)
    if (result.outcome === 'crashed') find(`an error without a code: ${result.message}`, where)
    if (result.outcome === 'refused') {
      const code = String(result.code)
      const refused = (generations.refused[code] ??= { count: 0, example: String(result.message) })
      refused.count++
      if (result.silentMs > refusalMs) find(`${code} came after ${Math.round(result.silentMs)} ms`, where)
    }
    return false
  }

  const timeUp = (): boolean => signal.aborted || secondsNow() >= seconds
  const askOn = async (caller: number): Promise<void> => {
    const next = createCallerScript(seed, caller, questions.length)
    while (!timeUp()) {
      const ask = next()
      const result = await generate(caller, ask)
      judge(caller, ask, result)
      // Who is refused comes again, but not at once.
      if (result.outcome === 'refused') await pause(500, signal)
    }
  }
  const breakOn = async (next: () => Fault, over: AbortSignal): Promise<void> => {
    for (;;) {
      const fault = next()
      await pause(fault.afterMs, over)
      if (over.aborted) return
      await injector.run(fault, over)
    }
  }

  return {
    report,
    find,
    /** Undisturbed, everything is right: what comes after is then about faults. */
    async warmUp(): Promise<void> {
      onProgress('first answers, undisturbed')
      const asks = questions.map((_, prompt): Ask => ({
        prompt,
        way: prompt % 2 === 0 ? 'chat' : 'blocks',
        leaveAt: undefined
      }))
      for (let from = 0; from < asks.length; from += callers) {
        await Promise.all(
          asks.slice(from, from + callers).map(async (ask, caller) => {
            const result = await generate(caller, ask)
            if (!judge(caller, ask, result))
              find(`undisturbed, but ${result.outcome}: ${result.message ?? ''}`, `question ${ask.prompt}`)
          })
        )
      }
    },
    /** The time of the faults. */
    async faults(): Promise<void> {
      startedAt = performance.now()
      const over = new AbortController()
      const stop = (): void => over.abort()
      signal.addEventListener('abort', stop, { once: true })
      const timer = setTimeout(stop, 1_000 * seconds)
      const shown = setInterval(() => onProgress(progressLine(report, secondsNow(), injector.now())), 250)
      const schedule = createSchedule(seed, fleet.servers.length)
      try {
        await Promise.all([
          ...Array.from({ length: callers }, (_, caller) => askOn(caller)),
          breakOn(schedule.hard, over.signal),
          breakOn(schedule.soft, over.signal)
        ])
      } finally {
        clearTimeout(timer)
        clearInterval(shown)
        signal.removeEventListener('abort', stop)
      }
    },
    /** The faults are over: soon everybody is served again. */
    async recover(): Promise<void> {
      onProgress('the faults are over; waiting for the first answer')
      const healedAt = performance.now()
      const ask: Ask = { prompt: 0, way: 'blocks', leaveAt: undefined }
      while (
        report.recoveredMs === undefined &&
        performance.now() - healedAt < recoveryMs &&
        !signal.aborted
      ) {
        if (judge(0, ask, await generate(0, ask))) report.recoveredMs = performance.now() - healedAt
        else await pause(500, signal)
      }
      if (report.recoveredMs === undefined && !signal.aborted) {
        find(
          `no answer within ${recoveryMs} ms of the last fault: ${await fleet.client.call('explain')}`,
          'the client'
        )
      }
    },
    /** Looks for what is left behind. */
    async settle(): Promise<void> {
      onProgress('looking for what is left behind')
      report.frames = injector.frames()
      await fleet.client.call('stop')
      await grown('client', fleet.client)
      for (const server of fleet.servers) {
        const { running, name } = server
        if (running === undefined) continue
        const started = performance.now()
        let status = await running.call('status')
        while ((status.sessions > 0 || status.memory.kvBytes > 0) && performance.now() - started < settleMs) {
          await pause(200, signal)
          status = await running.call('status')
        }
        if (status.sessions > 0) find(`${status.sessions} sessions are open, and nobody is there`, name)
        if (status.memory.kvBytes > 0)
          find(`${status.memory.kvBytes} bytes of caches are taken, and nobody is there`, name)
        await grown(name, running)
      }
      const processes = fleet.look()
      await Promise.all(
        fleet.servers.map(async ({ running, name }) => {
          if (running === undefined) return
          running.child.kill('SIGTERM')
          const { status, signal: by } = await running.ended
          if (status !== 0) find(`it ended with ${by ?? `status ${status}`}`, name)
        })
      )
      fleet.client.child.disconnect()
      await fleet.client.ended
      for (const command of await gone(processes)) find('a process is left', command)
      report.stallMs = quantiles(stalls)
      report.firstTokenMs = quantiles(firsts)
    }
  }

  async function grown(
    name: string,
    running: Pick<Running<typeof fleet.client.call>, 'atStart' | 'heapAtStart' | 'child'> & {
      call: (op: 'memory') => Promise<{ heapBytes: number }>
    }
  ): Promise<void> {
    const { heapBytes } = await running.call('memory')
    const { residentBytes, files } = usage(running.child.pid as number)
    const growth = {
      heapBytes: heapBytes - running.heapAtStart,
      residentBytes: residentBytes - running.atStart.residentBytes,
      files: files - running.atStart.files
    }
    for (const part of ['heapBytes', 'residentBytes', 'files'] as const) {
      report.growth[part] = Math.max(report.growth[part], growth[part])
      if (growth[part] > growthBounds[part]) {
        find(`${part} grew by ${growth[part]}, more than ${growthBounds[part]}`, name)
      }
    }
  }
}
