import { defineConfig } from 'vitest/config'
import { TallyReporter } from './tools/tally-reporter.ts'
import { nodeProject, setupFromSources } from './vitest.shared.ts'

export default defineConfig({
  ...setupFromSources,
  test: {
    reporters: ['default', new TallyReporter()],
    globalSetup: ['tools/model-setup.ts'],
    testTimeout: 600_000,
    hookTimeout: 600_000,
    fileParallelism: false,
    projects: [
      {
        extends: true,
        ...nodeProject('deep', [
          'packages/*/test/**/*.deep.ts',
          'tools/**/*.deep.ts',
          'examples/**/*.deep.ts'
        ])
      }
    ]
  }
})
