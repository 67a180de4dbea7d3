import { expect, test } from 'vitest'
import fc from 'fast-check'
import { bytesText, jsonText, printable, progressLine } from '../src/cli/terminal.ts'

test('nothing a terminal would obey gets through', () => {
  expect(printable('a\u001b[31mred\u001b[0m\u0007\r\nb\u009b2J\u202eabc')).toBe(
    'a\ufffd[31mred\ufffd[0m\ufffd\ufffd\nb\ufffd2J\ufffdabc'
  )
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      const shown = printable(text)
      expect([...shown]).toHaveLength([...text].length)
      for (const char of shown) {
        const code = char.codePointAt(0) as number
        expect(code >= 0x20 || char === '\n' || char === '\t').toBe(true)
        expect(code >= 0x7f && code <= 0x9f).toBe(false)
      }
    })
  )
  expect(printable('Ελληνικά, 日本語, 👩‍👩‍👧 and\ttabs\n')).toBe('Ελληνικά, 日本語, 👩‍👩‍👧 and\ttabs\n')
})

test('JSON holds the same, and nothing that a terminal would obey', () => {
  expect(jsonText({ name: '\u009b2J\u202eabc\u007f' })).toBe('{"name":"\\u009b2J\\u202eabc\\u007f"}')
  fc.assert(
    fc.property(fc.jsonValue({ stringUnit: 'binary' }), (value) => {
      const text = jsonText(value, 2)
      expect(JSON.parse(text)).toEqual(JSON.parse(JSON.stringify(value)))
      expect(printable(text)).toBe(text)
    })
  )
})

test('progress says how much of what, from where', () => {
  expect(bytesText(512)).toBe('512 B')
  expect(bytesText(98_362_432)).toBe('93.8 MiB')
  const line = progressLine({ source: 'a mirror', receivedBytes: 49_181_216, totalBytes: 98_362_432 })
  expect(line).toContain(' 50 %  46.9 MiB of 93.8 MiB from a mirror')
  expect(line.match(/█/g)).toHaveLength(line.match(/░/g)?.length ?? 0)
  expect(progressLine({ source: 'a mirror', receivedBytes: 1024 })).toBe('1.0 KiB from a mirror')
})
