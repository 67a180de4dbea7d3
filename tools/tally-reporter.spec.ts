import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { run } from './child.ts'
import { root } from './repository.ts'
import { summary } from './tally-reporter.ts'

const folders: string[] = []
afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true })
})

/** Runs the test runner over some files in a folder of their own. */
async function runOver(files: Record<string, string>): Promise<{ code: number | null; lastLine: string }> {
  const folder = mkdtempSync(join(tmpdir(), 'kwaai-tally-'))
  folders.push(folder)
  const config = [
    `import { TallyReporter } from ${JSON.stringify(join(root, 'tools/tally-reporter.ts'))}`,
    "export default { test: { globals: true, globalSetup: ['setup.mjs'], reporters: ['default', new TallyReporter()] } }"
  ].join('\n')
  const all = { 'vitest.config.mjs': config, 'setup.mjs': 'export const setup = () => {}', ...files }
  for (const [name, text] of Object.entries(all)) writeFileSync(join(folder, name), text)
  const vitest = join(root, 'node_modules/vitest/vitest.mjs')
  // Errors go to standard error, and which of two pipes is read first is nobody's order.
  const { code, stdout } = await run(process.execPath, [vitest, 'run'], { cwd: folder, timeoutMs: 60_000 })
  return { code, lastLine: stdout.trimEnd().split('\n').at(-1) ?? '' }
}

describe.concurrent('the last line of a run', { timeout: 120_000 }, () => {
  test('counts what passed', async () => {
    const files = { 'a.test.mjs': "test('a', () => {}); test('b', () => {})" }
    expect(await runOver(files)).toEqual({ code: 0, lastLine: '2 passed, 0 failed' })
  })

  test('counts what failed, and a file that cannot be loaded', async () => {
    const files = {
      'a.test.mjs': "test('a', () => {}); test('b', () => { throw new Error('b') })",
      'b.test.mjs': "import './missing.mjs'; test('c', () => {})"
    }
    expect(await runOver(files)).toEqual({ code: 1, lastLine: '1 passed, 2 failed' })
  })

  test('counts an error that belongs to no test', async () => {
    const files = {
      'a.test.mjs':
        "test('a', async () => { Promise.reject(new Error('a')); await new Promise(setImmediate) })"
    }
    expect(await runOver(files)).toEqual({ code: 1, lastLine: '1 passed, 1 failed' })
  })

  test('says that no tests at all are a failure', async () => {
    expect(await runOver({})).toEqual({ code: 1, lastLine: '0 passed, 1 failed' })
  })

  test('says that a broken setup is a failure', async () => {
    const files = {
      'a.test.mjs': "test('a', () => {})",
      'setup.mjs': "export const setup = () => { throw new Error('no model') }"
    }
    expect(await runOver(files)).toEqual({ code: 1, lastLine: '0 passed, 1 failed' })
  })
})

test('a status of 0 leaves the count alone', () => {
  expect(summary({ passed: 3, failed: 0 }, 0)).toBe('3 passed, 0 failed\n')
  expect(summary({ passed: 3, failed: 2 }, 1)).toBe('3 passed, 2 failed\n')
})
