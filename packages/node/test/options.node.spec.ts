import { describe, expect, test } from 'vitest'
import fc from 'fast-check'
import { parseBlocks, parseBytes, parseDecimal, parseOptions, parseWhole } from '../src/cli/options.ts'
import { nodeOptions } from '../src/cli/node-options.ts'
import { splitBlocks } from '../src/split-blocks.ts'

const invalid = expect.objectContaining({ code: 'ERR_NODE_INVALID_OPTION' })

describe('parseOptions', () => {
  test('reads values, flags and repeated options', () => {
    const specs = { ...nodeOptions, json: { type: 'boolean', describe: '' } as const }
    const args = ['--listen', 'a', '--listen=b', '--json', '--model', 'm', 'question']
    const options = parseOptions('up', args, specs, 1)
    expect(options.list('listen')).toEqual(['a', 'b'])
    expect(options.flag('json')).toBe(true)
    expect(options.text('model')).toBe('m')
    expect(options.text('name')).toBeUndefined()
    expect(options.positionals).toEqual(['question'])
  })

  test.each([
    [['--nope'], "Unknown option '--nope'"],
    [['--model'], '--model'],
    [['--model', '--blocks', '0-1'], '--model'],
    [['one', 'two'], "Unexpected argument 'two'"],
    [['-x'], "Unknown option '-x'"]
  ])('refuses %j in one sentence with the way to the help', (args, text) => {
    const run = (): unknown => parseOptions('up', args, nodeOptions, 1)
    expect(run).toThrow(invalid)
    expect(run).toThrow(text)
    expect(run).toThrow('kwaai up --help')
    expect(run).not.toThrow(/\n/)
  })
})

describe('values', () => {
  test('a range of blocks is half-open', () => {
    expect(parseBlocks('0-10')).toEqual([0, 10])
    expect(parseBlocks('none')).toBe('none')
    expect(parseBlocks('all')).toBe('all')
    for (const text of ['', '5', '5-5', '6-5', '-1-5', '0-10-20', '0..10', 'a-b', '1e3-2e3']) {
      expect(() => parseBlocks(text)).toThrow(invalid)
    }
  })

  test('sizes have binary units', () => {
    expect(parseBytes('max-memory', '2GiB')).toBe(2 * 2 ** 30)
    expect(parseBytes('max-memory', '512M')).toBe(512 * 2 ** 20)
    expect(parseBytes('max-memory', '1.5k')).toBe(1536)
    expect(parseBytes('max-memory', '4096')).toBe(4096)
    for (const text of ['', '0', '-1', '2 apples', 'GiB', '1e9', '9999999999T']) {
      expect(() => parseBytes('max-memory', text)).toThrow(invalid)
    }
  })

  test('numbers are whole and within bounds', () => {
    expect(parseWhole('threads', '2', 1, 8)).toBe(2)
    for (const text of ['0', '9', '1.5', '', ' 1', '0x1', '-1', 'two']) {
      expect(() => parseWhole('threads', text, 1, 8)).toThrow(invalid)
    }
    expect(parseDecimal('temperature', '0.5', 0, 2)).toBe(0.5)
    for (const text of ['', 'NaN', '3', '-0.1', 'warm']) {
      expect(() => parseDecimal('temperature', text, 0, 2)).toThrow(invalid)
    }
  })
})

test('blocks are cut into parts that meet and differ by one at most', () => {
  expect(splitBlocks(30, 3)).toEqual([
    [0, 10],
    [10, 20],
    [20, 30]
  ])
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 500 }), fc.integer({ min: 1, max: 500 }), (blocks, wanted) => {
      const spans = splitBlocks(blocks, Math.min(blocks, wanted))
      expect(spans[0]?.[0]).toBe(0)
      expect(spans.at(-1)?.[1]).toBe(blocks)
      for (let i = 1; i < spans.length; i++) expect(spans[i]?.[0]).toBe(spans[i - 1]?.[1])
      const lengths = spans.map(([from, to]) => to - from)
      expect(Math.min(...lengths)).toBeGreaterThanOrEqual(1)
      expect(Math.max(...lengths) - Math.min(...lengths)).toBeLessThanOrEqual(1)
    })
  )
})
