import type { SimModel } from './model.ts'
import { runStory, type Run } from './run.ts'
import { tellStory, type StoryOptions } from './story.ts'

/** A failing run with nothing in it that it does not need. */
export interface Shrunk {
  run: Run
  /** What tells this story: the seed and these. */
  options: StoryOptions
  /** Runs it took. */
  runs: number
}

/** Runs tried at most. */
const maxRuns = 80

/** Leaves faults and generations out of a failing story, one by one, as long as it still fails. */
export async function shrink(failing: Run, options: StoryOptions, model: SimModel): Promise<Shrunk> {
  const { seed } = failing.story
  let best = failing
  let kept: StoryOptions = {
    ...options,
    faults: new Set(failing.story.faults.map(({ id }) => id)),
    generations: new Set(failing.story.clients.flatMap(({ generations }) => generations.map(({ id }) => id)))
  }
  let runs = 0
  const tryWithout = async (smaller: StoryOptions): Promise<boolean> => {
    if (runs >= maxRuns) return false
    runs += 1
    const run = await runStory(tellStory(seed, smaller), model)
    if (run.violations.length === 0) return false
    best = run
    kept = smaller
    return true
  }
  for (let before = -1; before !== sizeOf(kept) && runs < maxRuns;) {
    before = sizeOf(kept)
    // Backwards: what comes late is easier to leave out.
    for (const id of [...(kept.faults ?? [])].toReversed()) {
      await tryWithout({ ...kept, faults: without(kept.faults, id) })
    }
    for (const id of [...(kept.generations ?? [])].toReversed()) {
      await tryWithout({ ...kept, generations: without(kept.generations, id) })
    }
  }
  return { run: best, options: kept, runs }
}

function without<T>(all: ReadonlySet<T> | undefined, one: T): ReadonlySet<T> {
  return new Set([...(all ?? [])].filter((other) => other !== one))
}

function sizeOf({ faults, generations }: StoryOptions): number {
  return (faults?.size ?? 0) + (generations?.size ?? 0)
}
