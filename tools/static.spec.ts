import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'vitest'
import { runToSuccess, tool } from './child.ts'
import { browserDoors } from './layers.ts'
import { readRooms, root } from './repository.ts'

// One after the other: two compilers at once would write the same files.
test(
  'the sources, then tests, tools and examples have the types they claim',
  { timeout: 300_000 },
  async () => {
    await runToSuccess(tool('tsc'), ['-b', '--pretty', 'false'])
    await runToSuccess(tool('tsc'), ['-b', '--pretty', 'false', 'tsconfig.check.json'])
  }
)

test('what a browser may load is written without the globals of Node.js', { timeout: 120_000 }, async () => {
  const folder = join(root, 'node_modules/.cache/kwaai-browser')
  mkdirSync(folder, { recursive: true })
  const files = readRooms().flatMap((room) => browserDoors(room).map(({ source }) => join(root, source)))
  const compilerOptions = {
    types: [],
    lib: ['es2023', 'es2024.string', 'esnext.disposable', 'dom', 'dom.iterable', 'dom.asynciterable'],
    customConditions: ['kwaai:source', 'browser'],
    composite: false,
    declarationMap: false,
    isolatedDeclarations: false,
    rewriteRelativeImportExtensions: false,
    allowImportingTsExtensions: true,
    noEmit: true
  }
  const config = { extends: join(root, 'tsconfig.base.json'), compilerOptions, files }
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify(config))
  await runToSuccess(tool('tsc'), ['-p', folder, '--pretty', 'false'])
})

test('the linter finds nothing', { timeout: 120_000 }, async () => {
  await runToSuccess(tool('oxlint'), ['--deny-warnings'])
})

test('every file is formatted', { timeout: 120_000 }, async () => {
  await runToSuccess(tool('oxfmt'), ['--check'])
})

test('nothing is declared or exported that nobody uses', { timeout: 120_000 }, async () => {
  await runToSuccess(tool('knip'), ['--no-progress'])
})
