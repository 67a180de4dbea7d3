import { byteClasses } from './byte-classes.ts'
import type { Program, Step } from './program.ts'

/** A frame of the stack: where a rule returns to, or how often a loop ran. */
interface Frame {
  readonly id: number
  readonly step: number
  readonly count: number
  readonly below: Frame | undefined
  /** Frames that lie on this one. */
  readonly above: Map<number, Frame>
  /** The same with counters far from their bounds put together. */
  far?: Frame
}

interface Position {
  readonly step: number
  readonly stack: Frame | undefined
}

/** Everywhere a text may stand in its grammar after the same bytes. */
export interface State {
  readonly positions: readonly Position[]
  /** True where the text may end. */
  readonly accepting: boolean
  /** Where each class of bytes leads: null nowhere, undefined not yet known. */
  readonly next: (State | null | undefined)[]
  /** How many letters, digits and spaces may follow in any order, where that was asked for. */
  words?: number
  /** The tokens that may follow, where they were asked for. */
  mask?: Int32Array
  far?: State
}

/** A text may stand in too many places of its grammar at once. */
export class AmbiguityError extends Error {
  override readonly name: string = 'AmbiguityError'
}

/** The bytes most tokens consist of: letters, digits and the space. */
export const wordBytes: readonly boolean[] = Array.from({ length: 256 }, (_, byte) =>
  /[A-Za-z0-9 ]/.test(String.fromCharCode(byte))
)

// Steps that read nothing, a place: properties that may be left out make many.
const stepsToPosition = 16

// So many places a state are remembered on the whole: states of thousands of places are forgotten sooner.
const positionsPerState = 64

// No token of a known vocabulary has a longer word.
const maxWordRun = 128

/** A program that runs on bytes. States are made when they are first reached, and kept for a while. */
export interface Automaton {
  /** Where a text begins; another object after all was forgotten. */
  readonly start: State
  /** Does what a mask takes, within the work it may. @throws an AmbiguityError where that is not enough. */
  bounded<T>(work: () => T): T
  /** Steps of the program. */
  readonly size: number
  /** Bytes that no step tells apart have the same class. */
  readonly classOf: Uint8Array
  /** @throws an AmbiguityError. */
  step(state: State, byteClass: number): State | null
  /** At least so many letters, digits and spaces may follow in any order. */
  wordRun(state: State): number
  /**
   * A state that no text of `reach` bytes tells from this one: counters far from their bounds are all alike. So the
   * thousand places of a long string share their masks.
   */
  far(state: State, reach: number): State
  /** Remembers a mask at its state; forgets all when there are too many. */
  keepMask(state: State, mask: Int32Array): void
}

/** Bounds of what an automaton holds. */
export interface AutomatonLimits {
  /** Places in the grammar a text may be at at once. */
  positions: number
  /** Places that are looked at for one mask. */
  maskWork: number
  /** States that are remembered. */
  states: number
  /** Masks that are remembered. */
  masks: number
}

/** An automaton for a program: its stack lets rules nest, its counters make long repetitions as cheap as short ones. */
export function createAutomaton({ steps, entry }: Program, limits: AutomatonLimits): Automaton {
  const { classOf, classes, accepts } = byteClasses(steps)
  let frames = 0
  let bottom = new Map<number, Frame>()
  let states = new Map<string, State>()
  let masked: State[] = []
  let held = 0
  let left = Infinity
  let start: State | undefined

  /** Who holds a state goes on with it; what is reached from now on is made anew. */
  const forget = (): void => {
    // What leads from state to state would keep all of them.
    for (const state of states.values()) {
      state.next.fill(undefined)
      delete state.far
      delete state.mask
    }
    states = new Map()
    bottom = new Map()
    masked = []
    held = 0
    start = undefined
  }

  const push = (step: number, count: number, below: Frame | undefined): Frame => {
    const above = below === undefined ? bottom : below.above
    const key = step * 0x100000 + count
    const known = above.get(key)
    if (known !== undefined) return known
    const frame: Frame = { id: ++frames, step, count, below, above: new Map() }
    above.set(key, frame)
    return frame
  }

  const keyOf = (step: number, stack: Frame | undefined): number => (stack?.id ?? 0) * 0x100000 + step

  const intern = (seeds: readonly Position[]): State | null => {
    const seen = new Set<number>()
    const positions: (Position & { key: number })[] = []
    let accepting = false
    const queue = [...seeds]
    for (let at = queue.pop(); at !== undefined; at = queue.pop()) {
      const { stack } = at
      const key = keyOf(at.step, stack)
      if (seen.has(key)) continue
      seen.add(key)
      if (positions.length > limits.positions || seen.size > limits.positions * stepsToPosition) {
        throw new AmbiguityError('The grammar is too ambiguous')
      }
      const step = steps[at.step] as Step
      switch (step.op) {
        case 'bytes':
          positions.push({ step: at.step, stack, key })
          break
        case 'fork':
          for (const next of step.next) queue.push({ step: next, stack })
          break
        case 'call':
          // What returns at once needs no frame, so that a rule may end with itself for ever.
          queue.push({
            step: step.entry,
            stack: steps[step.next]?.op === 'return' ? stack : push(step.next, 0, stack)
          })
          break
        case 'return':
          if (stack === undefined) accepting = true
          else queue.push({ step: stack.step, stack: stack.below })
          break
        case 'loop':
          if (step.end >= 0) queue.push({ step: step.end, stack })
          queue.push({ step: step.body, stack: push(at.step, 0, stack) })
          break
        case 'again': {
          const count = (stack?.count ?? 0) + 1
          if (count >= step.min) queue.push({ step: step.next, stack: stack?.below })
          if (count < step.max) {
            const { body } = steps[step.loop] as Extract<Step, { op: 'loop' }>
            // Without an upper end, only whether there were enough matters.
            const kept = step.max === Infinity ? Math.min(count, step.min) : count
            queue.push({ step: body, stack: push(step.loop, kept, stack?.below) })
          }
        }
      }
    }
    left -= seen.size
    if (left < 0) throw new AmbiguityError('The grammar is too ambiguous')
    if (positions.length === 0 && !accepting) return null
    return stateOf(positions, accepting)
  }

  const stateOf = (positions: (Position & { key: number })[], accepting: boolean): State => {
    positions.sort((a, b) => a.key - b.key)
    const name = `${accepting ? '!' : ''}${positions.map(({ key }) => key).join()}`
    const known = states.get(name)
    if (known !== undefined) return known
    if (states.size >= limits.states || held > limits.states * positionsPerState) forget()
    held += positions.length
    const state: State = {
      positions,
      accepting,
      next: Array.from<undefined>({ length: classes })
    }
    states.set(name, state)
    return state
  }

  const step = (state: State, byteClass: number): State | null => {
    const known = state.next[byteClass]
    if (known !== undefined) return known
    const seeds = state.positions
      .filter(({ step }) => accepts[step]?.[byteClass])
      .map(({ step, stack }) => ({ step: (steps[step] as Extract<Step, { op: 'bytes' }>).next, stack }))
    const next = seeds.length === 0 ? null : intern(seeds)
    state.next[byteClass] = next
    return next
  }
  const farCount = ({ step, count }: Frame, reach: number): number => {
    const loop = steps[step]
    if (loop?.op !== 'loop') return count
    const { min, max } = loop
    if (count < min) return Math.max(count, min - reach - 1)
    return max === Infinity ? count : Math.max(count, max - reach)
  }
  const farFrame = (frame: Frame | undefined, reach: number): Frame | undefined => {
    const path: Frame[] = []
    let at = frame
    for (; at !== undefined && at.far === undefined; at = at.below) path.push(at)
    let far = at?.far
    for (const own of path.toReversed()) {
      far = push(own.step, farCount(own, reach), far)
      own.far = far
    }
    return far
  }

  const wordClasses = [...new Set(classOf.filter((_, byte) => wordBytes[byte]))]
  /** Where every letter, digit and space leads, if it is one place. */
  const afterWord = (state: State): State | null => {
    const [first = 0, ...others] = wordClasses
    const next = step(state, first)
    return next !== null && others.every((other) => step(state, other) === next) ? next : null
  }

  const startOf = (): State =>
    (start ??= intern([{ step: entry, stack: undefined }]) ?? { positions: [], accepting: false, next: [] })
  // What is too ambiguous from the beginning is told at once.
  startOf()
  return {
    get start() {
      return startOf()
    },
    size: steps.length,
    bounded(work) {
      left = limits.maskWork
      try {
        return work()
      } finally {
        left = Infinity
      }
    },
    classOf,
    step,
    wordRun(state) {
      if (state.words !== undefined) return state.words
      let run = 0
      for (let at = state; run < maxWordRun; run++) {
        const next = afterWord(at)
        if (next === at) run = maxWordRun
        if (next === null || next === at) break
        if (next.words !== undefined) {
          run += next.words + 1
          break
        }
        at = next
      }
      state.words = Math.min(run, maxWordRun)
      return state.words
    },
    far(state, reach) {
      if (state.far !== undefined) return state.far
      const positions = new Map<number, Position & { key: number }>()
      for (const position of state.positions) {
        const stack = farFrame(position.stack, reach)
        const key = keyOf(position.step, stack)
        positions.set(key, { step: position.step, stack, key })
      }
      state.far = stateOf([...positions.values()], state.accepting)
      return state.far
    },
    keepMask(state, mask) {
      if (masked.length >= limits.masks) {
        for (const other of masked) delete other.mask
        masked = []
      }
      state.mask = mask
      masked.push(state)
    }
  }
}
