import { expect, test } from 'vitest'
import { commentBlocks, markdownBlocks } from './code-blocks.ts'

test('finds the TypeScript blocks of a text, with their lines', () => {
  const text = [
    '# Toy',
    '```sh',
    'npm i',
    '```',
    '```ts',
    'const a = 1',
    '',
    'a',
    '```',
    '',
    '```ts no-run',
    'b',
    '```'
  ]
  expect(markdownBlocks({ path: 'a.md', text: text.join('\n') })).toEqual([
    { path: 'a.md', line: 6, code: 'const a = 1\n\na', runs: true },
    { path: 'a.md', line: 12, code: 'b', runs: false }
  ])
})

test('takes off the indent of a list and passes over a block in a block', () => {
  const text = [
    '- so:',
    '  ```ts',
    '  if (a) {',
    '    b',
    '  }',
    '  ```',
    '````md',
    '```ts',
    'c',
    '```',
    '````'
  ]
  expect(markdownBlocks({ path: 'a.md', text: text.join('\n') })).toEqual([
    { path: 'a.md', line: 3, code: 'if (a) {\n  b\n}', runs: true }
  ])
})

test('finds the blocks in documentation comments', () => {
  const text = [
    'const z = 0',
    '/**',
    ' * Adds.',
    ' *',
    ' * @example',
    ' * ```ts',
    ' * add(1)',
    ' *   .b',
    ' * ```',
    ' */'
  ]
  expect(commentBlocks({ path: 'a.ts', text: text.join('\n') })).toEqual([
    { path: 'a.ts', line: 7, code: 'add(1)\n  .b', runs: true }
  ])
})
