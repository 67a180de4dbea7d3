import type { RowKernel } from '@kwaai/interface'
import { createSeededRandom } from '@kwaai/testing'
import { chooseFaults, faultKinds, mustSurvive, type Fault, type FaultKind, type Targets } from './faults.ts'
import { blockCount, vocabulary } from './model.ts'

/** One server of a story. */
export interface ServerPlan {
  /** `server-2a`: span 2, its first twin. */
  name: string
  from: number
  to: number
  /** Its time for a step against that of the others. */
  slowness: number
}

/** A stretch of a generation. */
export type Stretch =
  /** Known tokens, in steps of so many rows, so many of them under way at once. */
  | {
      type: 'prompt'
      tokens: readonly number[]
      kernel: RowKernel
      stepRows: number
      window: number
      all: boolean
      /** False: the next stretch begins before these rows are answered. It is not one that generates. */
      waits: boolean
    }
  /** So many tokens, each the likeliest after the one before. */
  | { type: 'decode'; count: number }
  /** So many rows are taken back. */
  | { type: 'back'; rows: number }
  /** Nothing for so long; servers may forget the session meanwhile. */
  | { type: 'pause'; ms: number }

/** One generation of a client: one session. */
export interface Generation {
  /** `1.2`: client 1, its second. */
  id: string
  /** Milliseconds after the client's generation before. */
  pauseMs: number
  /** Rows the session is opened for. */
  maxTokens: number
  stretches: readonly Stretch[]
}

/** One client of a story. */
export interface ClientPlan {
  name: string
  /** Whether servers hand rows to each other, or it carries them all. */
  topology: 'push' | 'star'
  /** One after the other. */
  generations: readonly Generation[]
}

/** Everything that is decided before a world begins. */
export interface Story {
  seed: number
  servers: readonly ServerPlan[]
  clients: readonly ClientPlan[]
  faults: readonly Fault[]
  /** No generation has an excuse to fail. */
  survives: boolean
}

/** What of a story is told. */
export interface StoryOptions {
  /** Kinds of faults to choose from. Default all. */
  kinds?: readonly FaultKind[]
  /** Faults to keep, by number. Default all. */
  faults?: ReadonlySet<number>
  /** Generations to keep. Default all. */
  generations?: ReadonlySet<string>
}

const cuts: readonly (readonly number[])[] = [
  [0, 2, 4],
  [0, 1, 4],
  [0, 3, 4],
  [0, 1, 2, 4],
  [0, 1, 3, 4],
  [0, 1, 2, 3, 4]
]

/** The story of a seed: the same for the same seed and options. */
export function tellStory(seed: number, options: StoryOptions = {}): Story {
  const random = createSeededRandom(`story ${seed}`)
  const integer = (least: number, most: number): number =>
    least + Math.floor(random.next() * (most - least + 1))
  const chance = (probability: number): boolean => random.next() < probability

  const spans = cuts[integer(0, cuts.length - 1)] as readonly number[]
  const servers: ServerPlan[] = []
  for (let span = 1; span < spans.length; span++) {
    for (const twin of chance(0.15) ? 'abc' : 'ab') {
      const range = { from: spans[span - 1] as number, to: spans[span] as number }
      servers.push({ name: `server-${span}${twin}`, ...range, slowness: integer(2, 8) / 4 })
    }
  }

  // One that holds two spans in one: a way round both.
  if (spans.length > 3 && chance(0.3)) {
    const span = integer(1, spans.length - 2)
    const range = { from: spans[span - 1] as number, to: spans[span + 1] as number }
    servers.push({ name: `server-${span}${span + 1}w`, ...range, slowness: integer(4, 16) / 4 })
  }

  const tokens = (count: number): number[] => Array.from({ length: count }, () => integer(3, vocabulary - 1))
  const prompt = (rows: number, waits = true): Stretch => ({
    type: 'prompt',
    tokens: tokens(rows),
    kernel: chance(0.5) ? 'tile' : 'vec',
    stepRows: rows > 40 ? integer(8, 64) : integer(1, 3) * integer(1, 6),
    window: integer(1, 4),
    all: chance(0.3),
    waits
  })
  const generation = (id: string): Generation => {
    const stretches: Stretch[] = []
    let rows = 0
    let most = 0
    for (let turn = chance(0.3) ? 2 : 1; turn > 0; turn--) {
      const length = chance(0.07) ? integer(41, 140) : integer(3, 30)
      if (rows > 0 && chance(0.5)) {
        stretches.push({ type: 'pause', ms: Math.round(10 * 20_000 ** random.next()) })
      }
      const count = integer(5, 15)
      stretches.push(prompt(length), { type: 'decode', count })
      rows += length + count
      most = Math.max(most, rows)
      if (chance(0.3)) {
        // Rows that are taken back may be on their way still.
        if (chance(0.5)) {
          const guessed = integer(1, 6)
          stretches.push(prompt(guessed, false))
          rows += guessed
          most = Math.max(most, rows)
        }
        const back = integer(1, Math.min(10, rows - 1))
        const other = integer(1, 5)
        const more = integer(1, 5)
        stretches.push({ type: 'back', rows: back }, prompt(other), { type: 'decode', count: more })
        rows += other + more - back
        most = Math.max(most, rows)
      }
    }
    return { id, pauseMs: integer(0, 60), maxTokens: most + integer(0, 20), stretches }
  }
  const clients = Array.from({ length: integer(1, 3) }, (_, client): ClientPlan => ({
    name: `client-${client + 1}`,
    topology: chance(0.25) ? 'star' : 'push',
    generations: Array.from({ length: integer(1, 3) }, (_, index) => generation(`${client + 1}.${index + 1}`))
  }))

  const spared = new Set<string>()
  if (chance(0.6)) {
    for (let span = 1; span < spans.length; span++) spared.add(`server-${span}${chance(0.5) ? 'a' : 'b'}`)
  }
  const kinds = options.kinds ?? (Object.keys(faultKinds) as FaultKind[])
  const count = chance(0.1) ? 0 : chance(0.15) ? integer(6, 10) : integer(1, 5)
  const extent = extentOf(clients, spans.length - 1)
  const targets = { servers, clients: clients.map(({ name }) => name), spared, kinds, extent }
  const all = chooseFaults(createSeededRandom(`faults ${seed}`), targets, count)
  // A span goes dark.
  if (spared.size === 0 && kinds.includes('kill') && chance(0.25)) {
    const dark = `server-${integer(1, spans.length - 1)}`
    const [at, ms] = [integer(1, extent.awaits), chance(0.5) ? 0 : integer(100, 10_000)]
    for (const { name } of servers.filter((server) => server.name.startsWith(dark))) {
      all.push({ id: all.length + 1, kind: 'kill', peer: name, at, ms })
    }
  }
  const faults = all.filter(({ id }) => options.faults?.has(id) ?? true)
  return {
    seed,
    servers,
    clients: clients.map((client) => ({
      ...client,
      generations: client.generations.filter(({ id }) => options.generations?.has(id) ?? true)
    })),
    faults,
    survives: mustSurvive(servers, faults, blockCount)
  }
}

/** What happens in a story where nothing goes wrong, about. */
function extentOf(clients: readonly ClientPlan[], spans: number): Targets['extent'] {
  let sessions = 0
  let steps = 0
  for (const { stretches } of clients.flatMap(({ generations }) => generations)) {
    sessions += 1
    for (const stretch of stretches) {
      if (stretch.type === 'prompt') steps += Math.ceil(stretch.tokens.length / stretch.stepRows)
      if (stretch.type === 'decode') steps += stretch.count
    }
  }
  return {
    awaits: (2 * spans + 1) * steps + 20 * spans * sessions,
    framesEach: 2 * steps + 8 * sessions,
    resultsEach: steps,
    callsEach: steps
  }
}

/** How the story begins: "blocks 0-1 on server-1a and -1b, 2-3 on …". */
export function describeStory({ servers, clients }: Story): string[] {
  const spans = new Map<string, string[]>()
  for (const { from, to, name } of servers) {
    const span = from + 1 === to ? `block ${from}` : `blocks ${from} to ${to - 1}`
    spans.set(span, [...(spans.get(span) ?? []), name])
  }
  const of = ({ name, topology, generations }: ClientPlan): string =>
    `${name} (${topology}): ${generations.map(describeGeneration).join('; ') || 'nothing'}`
  return [[...spans].map(([span, names]) => `${span} on ${names.join(', ')}`).join('; '), ...clients.map(of)]
}

function describeGeneration({ id, stretches }: Generation): string {
  const parts = stretches.map((stretch) => {
    if (stretch.type === 'decode') return `decode ${stretch.count}`
    if (stretch.type === 'back') return `back ${stretch.rows}`
    if (stretch.type === 'pause') return `pause ${stretch.ms} ms`
    return `prompt ${stretch.tokens.length} ${stretch.kernel} by ${stretch.stepRows}${stretch.waits ? '' : ' unanswered'}`
  })
  return `${id} ${parts.join(', ')}`
}
