import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import { run, tool } from './child.ts'
import { type CodeBlock, commentBlocks, markdownBlocks } from './code-blocks.ts'
import { readText, repositoryFiles, root } from './repository.ts'

// A folder that every package can be imported from. Its name begins with a dot, so the house's own
// configurations pass over it.
const folder = join(root, 'examples/.readme')
const exampleTimeoutMs = 120_000

const blocks = repositoryFiles().flatMap((path): CodeBlock[] => {
  if (path.endsWith('.md')) return markdownBlocks({ path, text: readText(path) })
  if (/^packages\/[a-z]+\/src\/.*\.ts$/.test(path)) return commentBlocks({ path, text: readText(path) })
  return []
})

const nameOf = ({ path, line }: CodeBlock): string => `${path.replace(/[^a-zA-Z0-9]+/g, '-')}-${line}.ts`

beforeAll(() => {
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })
  for (const block of blocks) {
    // Line 10 of the file is line 10 of the text. Every block is a module, also one that imports nothing.
    writeFileSync(join(folder, nameOf(block)), `${'\n'.repeat(block.line - 1)}${block.code}\nexport {}\n`)
  }
  const config = {
    extends: '../../tsconfig.check.json',
    compilerOptions: { rootDir: '../..', noUnusedLocals: false },
    include: ['./*.ts'],
    references: []
  }
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify(config))
})

test('there are examples in the documentation', () => {
  expect(blocks.length).toBeGreaterThan(0)
})

test('every example compiles', { timeout: 180_000 }, async () => {
  const { code, output } = await run(tool('tsc'), ['-p', folder, '--pretty', 'false'])
  const named = blocks.reduce(
    (text, block) => text.replaceAll(`examples/.readme/${nameOf(block)}`, block.path),
    output
  )
  expect(named).toBe('')
  expect(code).toBe(0)
})

describe('an example runs to its end', { timeout: exampleTimeoutMs + 10_000 }, () => {
  test.each(
    blocks.filter(({ runs }) => runs).map((block) => [`${block.path}:${block.line}`, block] as const)
  )('%s', async (_, block) => {
    const { code, output } = await run(
      process.execPath,
      ['--conditions=kwaai:source', join(folder, nameOf(block))],
      {
        timeoutMs: exampleTimeoutMs
      }
    )
    expect(code, output).toBe(0)
  })
})
