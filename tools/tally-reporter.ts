import { writeSync } from 'node:fs'
import type { Reporter, TestModule } from 'vitest/node'

export interface Tally {
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

/**
 * The last line of a run. A run that ends with another status than 0 has failed, also where no test could be
 * blamed: there were none, or the setup before them broke.
 */
export function summary({ passed, failed }: Tally, exitCode: number): string {
  return `${passed} passed, ${failed === 0 && exitCode !== 0 ? 1 : failed} failed\n`
}

/** Prints `N passed, N failed` as the very last line, after whatever else writes while the process ends. */
export class TallyReporter implements Reporter {
  #tally: Tally = { passed: 0, failed: 0 }

  onInit(): void {
    process.once('exit', (exitCode) => writeSync(1, summary(this.#tally, exitCode)))
  }

  onTestRunEnd(modules: readonly TestModule[], errors: readonly unknown[]): void {
    this.#tally = tally(modules, errors)
  }
}
