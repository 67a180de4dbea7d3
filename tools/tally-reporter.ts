import { writeSync } from 'node:fs'
import type { Reporter, TestModule } from 'vitest/node'

interface Tally {
  passed: number
  failed: number
}

/** Counts what a run did: a module that could not be loaded is a failure although it holds no failed test. */
export function tally(modules: readonly TestModule[], errors: readonly unknown[]): Tally {
  let passed = 0
  let failed = errors.length
  for (const module of modules) {
    let failedHere = 0
    for (const test of module.children.allTests()) {
      const { state } = test.result()
      if (state === 'passed') passed++
      else if (state === 'failed') failedHere++
    }
    failed += failedHere === 0 && module.state() === 'failed' ? 1 : failedHere
  }
  return { passed, failed }
}

/** Prints `N passed, N failed` as the very last line, after whatever else writes while the process ends. */
export class TallyReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], errors: readonly unknown[]): void {
    const { passed, failed } = tally(modules, errors)
    process.once('exit', () => writeSync(1, `${passed} passed, ${failed} failed\n`))
  }
}
