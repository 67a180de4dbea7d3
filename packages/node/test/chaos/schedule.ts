import type { Random } from '@kwaai/interface'
import { createSeededRandom } from '@kwaai/testing'

/** What may go wrong, and how often it does beside the others. */
const hardWeights = { kill: 4, stop: 3, partition: 3, drain: 2 } as const
const softWeights = { delay: 4, 'delay-all': 1, drop: 3, duplicate: 3, cut: 1 } as const

/** Takes servers out of service for a while; one after the other, so that a twin is there most of the time. */
export type HardKind = keyof typeof hardWeights
/** Makes the way there worse. */
export type SoftKind = keyof typeof softWeights
export type FaultKind = HardKind | SoftKind

/** One fault: what, whom, when after the end of the one before, and for how long. */
export interface Fault {
  kind: FaultKind
  /** Indices of nodes; none for all. */
  whom: readonly number[]
  afterMs: number
  forMs: number
  /** Milliseconds one way, or a share of frames. */
  amount: number
}

/** Two rows of faults that run beside each other, decided by the seed alone. */
export interface Schedule {
  hard(): Fault
  soft(): Fault
}

/** Of ten hard faults one hits two servers at once: then there may be no chain, and refusals are right. */
const twoAtOnce = 0.1

function pick<K extends string>(random: Random, weights: Readonly<Record<K, number>>): K {
  const entries = Object.entries(weights) as [K, number][]
  let left = random.next() * entries.reduce((sum, [, weight]) => sum + weight, 0)
  return (entries.find(([, weight]) => (left -= weight) < 0) ?? (entries[0] as [K, number]))[0]
}

function between(random: Random, low: number, high: number): number {
  return Math.round(low + (high - low) * random.next())
}

/** Makes the schedule of a seed. Soft faults may hit the client too, which is the node after the servers. */
export function createSchedule(seed: number, servers: number): Schedule {
  const hard = createSeededRandom(`${seed}/hard`)
  const soft = createSeededRandom(`${seed}/soft`)
  return {
    hard() {
      const kind = pick(hard, hardWeights)
      const first = Math.floor(hard.next() * servers)
      const second = (first + 1 + Math.floor(hard.next() * (servers - 1))) % servers
      return {
        kind,
        whom: hard.next() < twoAtOnce ? [first, second] : [first],
        afterMs: between(hard, 1_000, 6_000),
        forMs: between(hard, 500, kind === 'kill' ? 5_000 : 10_000),
        amount: 0
      }
    },
    soft() {
      const kind = pick(soft, softWeights)
      const amount = kind === 'drop' ? 0.03 * soft.next() : kind === 'duplicate' ? 0.2 * soft.next() : 0
      return {
        kind,
        whom: kind === 'delay-all' ? [] : [Math.floor(soft.next() * (servers + 1))],
        afterMs: between(soft, 500, 4_000),
        forMs: kind === 'cut' ? 0 : between(soft, 2_000, 12_000),
        amount: kind.startsWith('delay') ? between(soft, 2, 60) : amount
      }
    }
  }
}

/** What one of the callers asks next. */
export interface Ask {
  prompt: number
  /** Through the text model, or with the pipeline of blocks in hand. */
  way: 'chat' | 'blocks'
  /** The caller loses patience after so many tokens. */
  leaveAt: number | undefined
}

/** The questions of one caller, decided by the seed alone. */
export function createCallerScript(seed: number, caller: number, prompts: number): () => Ask {
  const random = createSeededRandom(`${seed}/caller/${caller}`)
  return () => ({
    prompt: Math.floor(random.next() * prompts),
    way: random.next() < 0.5 ? 'chat' : 'blocks',
    leaveAt: random.next() < 0.05 ? 1 + Math.floor(20 * random.next()) : undefined
  })
}
