import { test } from 'vitest'
import { runToSuccess, tool } from './child.ts'

// One after the other: two compilers at once would write the same files.
test(
  'the sources, then tests, tools and examples have the types they claim',
  { timeout: 300_000 },
  async () => {
    await runToSuccess(tool('tsc'), ['-b', '--pretty', 'false'])
    await runToSuccess(tool('tsc'), ['-b', '--pretty', 'false', 'tsconfig.check.json'])
  }
)

test('the linter finds nothing', { timeout: 120_000 }, async () => {
  await runToSuccess(tool('oxlint'), ['--deny-warnings'])
})

test('every file is formatted', { timeout: 120_000 }, async () => {
  await runToSuccess(tool('oxfmt'), ['--check'])
})

test('nothing is declared or exported that nobody uses', { timeout: 120_000 }, async () => {
  await runToSuccess(tool('knip'), ['--no-progress'])
})
