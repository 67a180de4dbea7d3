import { statSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { readText, repositoryFiles, root } from './repository.ts'
import { textViolations } from './text-rule.ts'

const files = repositoryFiles()
const isText = (path: string): boolean => !/\.(png|ico|woff2|gguf|bin|wasm|onnx)$/.test(path)

test('no file holds machine paths, registry hosts or unfinished words', () => {
  const found = files.filter(isText).flatMap((path) => textViolations({ path, text: readText(path) }))
  expect(found).toEqual([])
})

test('no file is larger than 2 MB: models and data are fetched or made', () => {
  expect(files.filter((path) => statSync(join(root, path)).size > 2_000_000)).toEqual([])
})

test.each([
  ['packages/toy/README.md', `see ${['', 'home', 'somebody'].join('/')}`],
  ['packages/toy/README.md', `cd ${['', 'work', 'x'].join('/')}`],
  ['pnpm-lock.yaml', ['https://registry', 'npmjs', 'org'].join('.')],
  ['CONTRIBUTING.md', `written by ${'Cla'}${'ude'}`],
  ['packages/toy/src/play.ts', `// ${'TO'}${'DO'}: finish`],
  ['packages/toy/src/play.ts', `const x = y as unknown ${'as'} Z`],
  ['packages/toy/src/play.ts', 'const now = Date.now()'],
  ['packages/toy/test/play.spec.ts', `test.${'skip'}('x', () => {})`]
])('in %s the line "%s" is caught', (path, text) => {
  expect(textViolations({ path, text })).toHaveLength(1)
})

test.each([
  ['packages/toy/src/play.ts', 'const workspace = "/network"'],
  ['packages/interface/src/memory/clock.ts', 'now: () => Date.now()'],
  ['packages/toy/README.md', 'the method of the placeholder'],
  ['tools/play.ts', 'const anything: number = 1']
])('in %s the line "%s" is let through', (path, text) => {
  expect(textViolations({ path, text })).toEqual([])
})
