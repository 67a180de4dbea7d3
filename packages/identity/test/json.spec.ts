import { KwaaiError } from '@kwaai/interface'
import { describe, expect, test } from 'vitest'
import { canonicalizeJson, parseJson } from '../src/json.ts'

const refused = (work: () => unknown): void => {
  try {
    work()
  } catch (error) {
    expect(KwaaiError.is(error, 'ERR_IDENTITY_INVALID_JSON')).toBe(true)
    return
  }
  expect.fail('it was not refused')
}

describe('JSON with one meaning', () => {
  test.each([
    ['{"a":1,"a":2}'],
    [String.raw`{"a":1,"\u0061":2}`],
    ['{"b":[{"x":1,"y":2,"x":3}]}'],
    ['{"__proto__":{}}'],
    ['[{"a":{"__proto__":1}}]'],
    [String.raw`"\ud800"`],
    [String.raw`{"\udc00":1}`],
    ['1e999'],
    ['{'],
    ['']
  ])('refuses %s', (text) => refused(() => parseJson(text)))

  test('refuses what is too deep or too long', () => {
    refused(() => parseJson('['.repeat(65) + ']'.repeat(65)))
    refused(() => parseJson(`"${'a'.repeat(20)}"`, { maxLength: 10 }))
    expect(parseJson('['.repeat(60) + ']'.repeat(60))).toBeDefined()
  })

  test('reads names that only look alike', () => {
    expect(parseJson('{"a":"a","b":["a","a",{"a":"{\\"a\\":1,\\"a\\":2}"}]}')).toEqual({
      a: 'a',
      b: ['a', 'a', { a: '{"a":1,"a":2}' }]
    })
  })

  test('refuses to make canonical what is no JSON', () => {
    for (const value of [
      Number.NaN,
      Infinity,
      undefined,
      1n,
      () => 1,
      Symbol('a'),
      new Date(0),
      new Map(),
      '\ud800',
      [undefined]
    ]) {
      refused(() => canonicalizeJson(value))
    }
  })

  test('orders names by UTF-16 code units, and writes numbers as ECMAScript does', () => {
    const value = {
      '\u20ac': 1,
      '\r': 2,
      '\ufb33': 3,
      '1': 4,
      '\u{1f600}': 5,
      '\u0080': 6,
      '\u00f6': 7,
      n: [1e30, 4.5, 2e-3, 1e-27, -0]
    }
    expect(canonicalizeJson(value)).toBe(
      '{"\\r":2,"1":4,"n":[1e+30,4.5,0.002,1e-27,0],"\u0080":6,"\u00f6":7,"\u20ac":1,"\u{1f600}":5,"\ufb33":3}'
    )
  })
})
