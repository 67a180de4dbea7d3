import { defineConfig } from 'vitest/config'
import { LongFirst } from './tools/long-first.ts'
import { TallyReporter } from './tools/tally-reporter.ts'
import {
  chromium,
  chromiumProject,
  hasChromium,
  nodeProject,
  setupFromSources,
  workers
} from './vitest.shared.ts'

if (!hasChromium) {
  console.error(`The browser tests do not run: there is no Chromium at ${chromium} (set KWAAI_CHROMIUM).`)
}

export default defineConfig({
  ...setupFromSources,
  test: {
    reporters: ['default', new TallyReporter()],
    globalSetup: ['tools/model-setup.ts'],
    testTimeout: 30_000,
    hookTimeout: 60_000,
    maxWorkers: workers,
    sequence: { sequencer: LongFirst },
    projects: [
      { extends: true, ...nodeProject('node', ['packages/*/test/**/*.spec.ts', 'tools/**/*.spec.ts']) },
      ...(hasChromium
        ? [{ extends: true as const, ...chromiumProject(['packages/*/test/**/*.spec.ts']) }]
        : [])
    ]
  }
})
