import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { type Finished, run } from './child.ts'
import { root } from './repository.ts'

let folder: string

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'kwaai-ci-'))
})

afterEach(() => rmSync(folder, { recursive: true }))

/** Puts a program of a few shell lines before all others on the path of the script. */
function program(name: string, lines: string): void {
  const path = join(folder, name)
  writeFileSync(path, `#!/bin/sh\n${lines}\n`)
  chmodSync(path, 0o755)
}

/** Runs `.ci/run` with an npm that prints one text for `npm test` and another for the deep tier. */
function runWith(quick: string, deep: string, env: NodeJS.ProcessEnv = {}): Promise<Finished> {
  program(
    'npm',
    `[ "$1" = test ] && { ${quick}; exit; }\n[ "$1 $2" = "run test:deep" ] && { ${deep}; exit; }\nexit 9`
  )
  program('apt-get', `echo "$@" >> "${join(folder, 'apt')}"`)
  program('sudo', 'shift; "$@"')
  program('python3', 'exit 0')
  program('chromium', 'exit 0')
  return run('bash', [join(root, '.ci/run')], {
    env: { PATH: folder + delimiter + process.env['PATH'], KWAAI_CHROMIUM: join(folder, 'chromium'), ...env }
  })
}

const lastLine = ({ output }: Finished): string | undefined => output.trimEnd().split('\n').at(-1)

test.each([
  ['both tiers pass', 'echo "7 passed, 0 failed"', 'echo "5 passed, 0 failed"', '12 passed, 0 failed', 0],
  [
    'the first fails, and the second runs all the same',
    'echo "7 passed, 2 failed"; exit 1',
    'echo "5 passed, 0 failed"',
    '12 passed, 2 failed',
    1
  ],
  [
    'the second fails',
    'echo "7 passed, 0 failed"',
    'echo "5 passed, 1 failed"; exit 1',
    '12 passed, 1 failed',
    1
  ],
  ['a tier dies without a word', 'exit 3', 'echo "5 passed, 0 failed"', '5 passed, 1 failed', 1],
  ['a tier says nothing', 'true', 'echo "5 passed, 0 failed"', '5 passed, 1 failed', 1],
  [
    'a tier ends badly after a good line',
    'echo "7 passed, 0 failed"; exit 1',
    'echo "5 passed, 0 failed"',
    '12 passed, 1 failed',
    1
  ],
  [
    'noise follows the line',
    'echo "7 passed, 1 failed"; echo "npm error"; exit 1',
    'echo "5 passed, 0 failed"',
    '12 passed, 1 failed',
    1
  ]
])('.ci/run when %s', async (_, quick, deep, line, code) => {
  const finished = await runWith(quick, deep)
  expect(lastLine(finished)).toBe(line)
  expect(finished.code).toBe(code)
})

test('.ci/run fails clearly where no Chromium can be had', async () => {
  const finished = await runWith('echo "7 passed, 0 failed"', 'echo "5 passed, 0 failed"', {
    KWAAI_CHROMIUM: join(folder, 'missing')
  })
  expect(readFileSync(join(folder, 'apt'), 'utf8')).toMatch(/^update .*\ninstall .*chromium\n$/)
  expect(finished.output).toContain('there is no Chromium')
  expect(lastLine(finished)).toBe('0 passed, 1 failed')
  expect(finished.code).toBe(1)
})

test('.ci/run tells the tiers that they run unattended', async () => {
  const { output } = await runWith(
    'echo "CI=$CI"; read line || echo "no input"',
    'echo "5 passed, 0 failed"',
    {
      CI: undefined
    }
  )
  expect(output).toContain('CI=true\nno input\n')
})
