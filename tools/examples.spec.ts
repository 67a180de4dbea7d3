import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { run } from './child.ts'
import { readText, repositoryFiles, root } from './repository.ts'

const timeoutMs = 120_000
const examples = repositoryFiles().filter((path) => /^examples\/[^/]+\.ts$/.test(path))

test('the examples are numbered from 01 on, and stand in their README', () => {
  const numbers = examples.map((path) => path.slice('examples/'.length, 'examples/'.length + 3))
  expect(numbers).toEqual(examples.map((_, index) => `${String(index + 1).padStart(2, '0')}-`))
  const readme = readText('examples/README.md')
  expect(examples.filter((path) => !readme.includes(`\`${path.slice('examples/'.length)}\``))).toEqual([])
})

test('the examples use the doors that everybody has', () => {
  expect(examples.filter((path) => /from '\.|import\('\./.test(readText(path)))).toEqual([])
})

describe('an example prints what it says', { timeout: timeoutMs + 10_000 }, () => {
  test.each(examples)('%s', async (path) => {
    const [, expected] = /\n\/\* Prints\n([^]*)\n\*\/\n$/.exec(readText(path)) ?? []
    expect(expected, 'ends with /* Prints … */').toBeDefined()
    const args = ['--conditions=kwaai:source', join(root, path)]
    const { code, output } = await run(process.execPath, args, { timeoutMs })
    expect(output).toMatch(pattern(expected ?? ''))
    expect(code).toBe(0)
  })
})

/** The text itself, where `…` stands for anything within a line, and a line of `…` alone for any lines. */
function pattern(text: string): RegExp {
  const lines = text.split('\n').map((line) =>
    line === '…'
      ? '[^]*'
      : line
          .split('…')
          .map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'))
          .join('.+')
  )
  return new RegExp(`^${lines.join('\n')}\n$`)
}
