import type { Random } from '@kwaai/interface'
import { createScheduler, type ScheduledStep } from '../src/session/scheduler.ts'

/** Milliseconds one row takes at one of the three servers. */
export const rowMs = 2

/**
 * What a batch of single rows costs, times one row: measured with Q4_1 at a context of 128 on two machines
 * (1.2 to 1.4, 1.71 to 1.95, 1.99 to 2.73), the middle of each; linear in between and beyond.
 */
export function batchCost(rows: number): number {
  const known = [
    [1, 1],
    [2, 1.3],
    [4, 1.83],
    [8, 2.3],
    [16, 3.24]
  ] as const
  for (const [i, [to, cost]] of known.entries()) {
    const [from, base] = known[i - 1] ?? [0, 0]
    if (rows <= to) return base + ((rows - from) * (cost - base)) / (to - from)
  }
  return (3.24 * rows) / 16
}

export type Batching = 'none' | 'natural' | 'groups'

export interface SimulationInit {
  batching: Batching
  sessions: number
  cores: number
  stages?: number
  /** Simulated milliseconds, after a second to settle. */
  ms?: number
  decodeGroups?: number
  maxHoldMs?: number
  random: Random
  /** Milliseconds the one client that all sessions belong to takes for a token, on the same cores, one by one. */
  headMs?: number
  /** Milliseconds from a server to the next. */
  hopMs?: number
  jitterMs?: number
}

export interface SimulationResult {
  tokensPerSecond: number
  /** Milliseconds between two tokens of a session. */
  medianMs: number
  p95Ms: number
  rowsPerCall: number
  /** The longest a step was held back while its server was free. */
  longestHoldMs: number
  /** Milliseconds of computing for each token. */
  cpuMs: number
  /** The share of batches that are the same sessions as one of the two before. */
  sameBatches: number
}

interface Step extends ScheduledStep {
  arrivedAt: number
}

interface Policy {
  add(step: Step, now: number): void
  pick(now: number): Step[] | { until: number } | undefined
  done(steps: Step[], ms: number, now: number): void
}

function policyOf({ batching, decodeGroups = 2, maxHoldMs = 10 }: SimulationInit): Policy {
  if (batching === 'groups') {
    const scheduler = createScheduler<Step>({
      maxBatchSteps: 8,
      maxPrefillRows: 128,
      decodeGroups,
      maxHoldMs
    })
    return {
      add: scheduler.add,
      pick(now) {
        const next = scheduler.pick(now)
        if (next.type === 'run') return next.steps
        return next.type === 'wait' ? { until: next.until } : undefined
      },
      done: (steps, ms, now) => scheduler.done({ steps, decode: true }, ms, now)
    }
  }
  const waiting: Step[] = []
  return {
    add: (step) => void waiting.push(step),
    pick: () => (waiting.length === 0 ? undefined : waiting.splice(0, batching === 'none' ? 1 : 8)),
    done: () => undefined
  }
}

interface Stage {
  policy: Policy
  running: Step[]
  /** Milliseconds of a core the call still needs. */
  left: number
  begunAt: number
  freeAt: number
  wakeAt: number
  last: string[]
}

/** Servers in a row that share the cores of one machine evenly, and clients that each generate without end. */
export function simulate(init: SimulationInit): SimulationResult {
  const { sessions, cores, stages: servers = 3, ms = 8_000, random, headMs = 1 } = init
  const { hopMs = 0.3, jitterMs = 0.3 } = init
  const warmUpMs = 1_000
  const stages = Array.from({ length: servers + 1 }, (_, index): Stage => ({
    policy: policyOf(index < servers ? init : { ...init, batching: 'none' }),
    running: [],
    left: 0,
    begunAt: 0,
    freeAt: 0,
    wakeAt: Infinity,
    last: []
  }))
  const arrivals = Array.from({ length: sessions }, (_, session) => ({
    at: 30 * random.next(),
    stage: 0,
    session
  }))
  const tokenAt = new Map<number, number>()
  const gaps: number[] = []
  let rows = 0
  let calls = 0
  let same = 0
  let cpu = 0
  let longestHoldMs = 0
  let now = 0

  const begin = (stage: Stage): void => {
    stage.wakeAt = Infinity
    if (stage.running.length > 0) return
    const next = stage.policy.pick(now)
    if (next === undefined) return
    if (!Array.isArray(next)) {
      stage.wakeAt = next.until
      return
    }
    stage.running = next
    const client = stage === stages[servers]
    stage.left = client ? headMs : rowMs * batchCost(next.length)
    stage.begunAt = now
    if (now < warmUpMs) return
    cpu += stage.left
    if (client) return
    rows += next.length
    calls++
    for (const { arrivedAt } of next) {
      longestHoldMs = Math.max(longestHoldMs, now - Math.max(arrivedAt, stage.freeAt))
    }
    const key = next.map(({ session }) => session).join()
    if (stage.last.includes(key)) same++
    stage.last = [key, ...stage.last].slice(0, 3)
  }

  while (now < warmUpMs + ms) {
    const busy = stages.filter((stage) => stage.running.length > 0)
    const speed = Math.min(1, cores / Math.max(1, busy.length))
    const until = Math.min(
      ...arrivals.map(({ at }) => at),
      ...stages.map((stage) => (stage.running.length > 0 ? now + stage.left / speed : stage.wakeAt))
    )
    for (const stage of busy) stage.left -= (until - now) * speed
    now = until
    for (const [index, stage] of stages.entries()) {
      if (stage.running.length > 0 && stage.left < 1e-9) {
        for (const { session } of stage.running) {
          const at = now + hopMs + jitterMs * random.next()
          arrivals.push({ at, stage: (index + 1) % stages.length, session })
          if (index < servers || now < warmUpMs) continue
          const before = tokenAt.get(session)
          if (before !== undefined) gaps.push(now - before)
          tokenAt.set(session, now)
        }
        stage.freeAt = now
        stage.policy.done(stage.running, now - stage.begunAt, now)
        stage.running = []
        begin(stage)
      }
      if (stage.wakeAt <= now) begin(stage)
    }
    for (let i = arrivals.length - 1; i >= 0; i--) {
      const arrival = arrivals[i] as (typeof arrivals)[number]
      if (arrival.at > now) continue
      arrivals.splice(i, 1)
      const stage = stages[arrival.stage] as Stage
      const { session } = arrival
      stage.policy.add(
        { session, peer: `caller ${session}`, rows: 1, kernel: 'vec', deadlineAt: Infinity, arrivedAt: now },
        now
      )
      begin(stage)
    }
  }
  gaps.sort((a, b) => a - b)
  const quantile = (q: number): number => gaps[Math.floor(q * gaps.length)] ?? 0
  return {
    tokensPerSecond: (1000 * gaps.length) / ms,
    medianMs: quantile(0.5),
    p95Ms: quantile(0.95),
    rowsPerCall: rows / calls,
    longestHoldMs,
    cpuMs: cpu / gaps.length,
    sameBatches: same / calls
  }
}
