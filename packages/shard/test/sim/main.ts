// `pnpm sim`: runs seeds of the simulation and tells what came of them; see options.ts.
import { loadSimModel } from './model.ts'
import { help, readOptions, type SimOptions } from './options.ts'
import {
  addToTally,
  createTally,
  failureText,
  heading,
  jsonOf,
  seedLine,
  storyText,
  tallyText
} from './report.ts'
import { runStory } from './run.ts'
import { shrink } from './shrink.ts'
import { tellStory } from './story.ts'

async function main(options: SimOptions): Promise<number> {
  const { from, to, untilFailure, verbose, json, ...story } = options
  const model = await loadSimModel()
  const tally = createTally()
  const started = performance.now()
  if (!json) console.log(heading)
  for (let seed = from; seed <= to; seed++) {
    const run = await runStory(tellStory(seed, story), model)
    addToTally(tally, run)
    const failed = run.violations.length > 0
    if (json) console.log(JSON.stringify(jsonOf(run, story)))
    else {
      console.log(seedLine(run))
      if (failed) console.log(`\n${failureText(run, await shrink(run, story, model), verbose)}\n`)
      else if (verbose) console.log(`\n${storyText(run, story, true)}\n`)
    }
    if (failed && untilFailure) break
  }
  if (!json && tally.seeds > 1) console.log(`\n${tallyText(tally, (performance.now() - started) / 1000)}`)
  return tally.failing.length > 0 ? 1 : 0
}

function start(): SimOptions | 'help' | undefined {
  try {
    return readOptions(process.argv.slice(2))
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : String(error)}\nSee pnpm sim --help.`)
    return undefined
  }
}

const options = start()
if (options === 'help') console.log(help)
else if (options === undefined) process.exitCode = 2
else process.exitCode = await main(options)
