import type { Fault } from './faults.ts'
import { mustSurvive } from './faults.ts'
import { blockCount } from './model.ts'
import type { Generation, ServerPlan, Story } from './story.ts'

/** A fault without its number. */
export type OneFault = Fault extends infer F ? (F extends Fault ? Omit<F, 'id'> : never) : never

/** Three spans of two servers each; the first twins are quicker, so that sessions begin there. */
const servers: readonly ServerPlan[] = [
  { name: 'server-1a', from: 0, to: 1, slowness: 0.5 },
  { name: 'server-1b', from: 0, to: 1, slowness: 2 },
  { name: 'server-2a', from: 1, to: 3, slowness: 0.5 },
  { name: 'server-2b', from: 1, to: 3, slowness: 2 },
  { name: 'server-3a', from: 3, to: 4, slowness: 0.5 },
  { name: 'server-3b', from: 3, to: 4, slowness: 2 }
]

const prompt = (first: number, rows: number, kernel: 'tile' | 'vec', stepRows: number, waits = true) => ({
  type: 'prompt' as const,
  tokens: Array.from({ length: rows }, (_, index) => first + 3 * index),
  kernel,
  stepRows,
  window: 3,
  all: false,
  waits
})

/** A bit of everything: a prompt in steps, generated rows, rows taken back before they are answered, a second turn. */
const generation: Generation = {
  id: '1.1',
  pauseMs: 0,
  maxTokens: 40,
  stretches: [
    prompt(10, 8, 'tile', 3),
    { type: 'decode', count: 3 },
    prompt(40, 3, 'vec', 1, false),
    { type: 'back', rows: 2 },
    prompt(60, 2, 'vec', 1),
    { type: 'decode', count: 2 },
    prompt(90, 4, 'tile', 2),
    { type: 'decode', count: 2 }
  ]
}

/** The same small story, with these faults. The seed decides nothing but the order of what happens. */
export function smallStory(
  seed: number,
  faults: readonly OneFault[],
  topology: 'push' | 'star' = 'push'
): Story {
  const numbered = faults.map((fault, index) => ({ ...fault, id: index + 1 }) as Fault)
  return {
    seed,
    servers,
    clients: [{ name: 'client-1', topology, generations: [generation] }],
    faults: numbered,
    survives: mustSurvive(servers, numbered, blockCount)
  }
}

/** One fault of each kind that has a moment, of one server, at a moment or a frame. */
export function faultsAt(peer: string, moment: number): OneFault[] {
  const others = [...servers.map(({ name }) => name), 'client-1'].filter((name) => name !== peer)
  return [
    { kind: 'kill', peer, at: moment, ms: 0 },
    { kind: 'kill', peer, at: moment, ms: 50 },
    { kind: 'hang', peer, at: moment, ms: 60_000 },
    { kind: 'partition', peer, others, at: moment, ms: 20_000 },
    { kind: 'drain', peer, at: moment, ms: 1_000 },
    { kind: 'restart', peer, at: moment },
    { kind: 'amnesia', peer, at: moment }
  ]
}

/** One fault of each kind that hits a frame or a call. */
export function faultsOf(peer: string, nth: number): OneFault[] {
  return [
    { kind: 'drop', peer, nth },
    { kind: 'duplicate', peer, nth },
    { kind: 'reset', peer, nth },
    { kind: 'delay', peer, nth, ms: 40_000 },
    { kind: 'runner', peer, nth },
    { kind: 'nan', peer, nth },
    { kind: 'slow', peer, nth, ms: 40_000 }
  ]
}
