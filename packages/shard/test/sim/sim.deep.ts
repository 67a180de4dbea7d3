import { expect, test } from 'vitest'
import { loadSimModel } from './model.ts'
import { addToTally, createTally, failureText, tallyText } from './report.ts'
import { runStory } from './run.ts'
import { shrink } from './shrink.ts'
import { tellStory } from './story.ts'

const seeds = 1_000

test(`${seeds} seeds: the bits of an undisturbed run or an error with a code, and nothing is left`, async () => {
  const model = await loadSimModel()
  const tally = createTally()
  const failures: string[] = []
  const started = performance.now()
  // The first twenty are in every test run.
  for (let seed = 21; seed <= 20 + seeds; seed++) {
    const run = await runStory(tellStory(seed), model)
    addToTally(tally, run)
    if (run.violations.length === 0) continue
    failures.push(failureText(run, await shrink(run, {}, model), false))
    if (failures.length === 5) break
  }
  console.log(tallyText(tally, (performance.now() - started) / 1000))
  expect(failures, failures.join('\n\n')).toEqual([])
  // The simulation did its work: faults came, most generations were answered all the same.
  expect(tally.faults.size).toBeGreaterThan(15)
  expect(tally.outcomes.get('ok') ?? 0).toBeGreaterThan(2 * seeds)
}, 1_800_000)
