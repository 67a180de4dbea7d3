import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { JsonObject, JsonValue } from '../src/index.ts'
import { policyFault, satisfiesPolicy, type Policy, type PolicyStatement } from '../src/grant/index.ts'
import { parseSelector, resolveSelector } from '../src/grant/selector.ts'

// The examples of UCAN Delegation 1.0.0-rc.1: tables and listings of its chapters on policies and selectors.
const mail = {
  from: 'alice@example.com',
  to: ['bob@example.com', 'carol@not.example.com', 'dan@example.com'],
  cc: ['fraud@example.com'],
  title: 'Meeting Confirmation',
  body: "I'll see you on Tuesday"
}
const katie = { name: 'Katie', age: 35, nationalities: ['Canadian', 'South African'] }
const collection = { a: [{ b: 1 }, { b: 2 }, { z: [7, 8, 9] }] }

const select = (selector: string, value: JsonValue): JsonValue | undefined => {
  const steps = parseSelector(selector)
  if (steps === undefined) throw new Error(`no selector: ${selector}`)
  return resolveSelector(steps, value)?.value
}
const holds = (statement: PolicyStatement, args: JsonObject): boolean => {
  expect(policyFault([statement])).toBeUndefined()
  return satisfiesPolicy([statement], args)
}

describe('selectors', () => {
  test.each<[string, JsonValue | undefined]>([
    ['.', mail],
    ['.title', 'Meeting Confirmation'],
    ['.cc', ['fraud@example.com']],
    ['.to[1]', 'carol@not.example.com'],
    ['.to[-1]', 'dan@example.com'],
    ['.to[99]?', null],
    ['.to[99]', undefined],
    ['.to.[0]', 'bob@example.com'],
    ['.["title"]', 'Meeting Confirmation'],
    ['.to[1:]', ['carol@not.example.com', 'dan@example.com']],
    ['.to[:1]', ['bob@example.com']],
    ['.to[0:-2]', ['bob@example.com']],
    ['.to[]', mail.to],
    ['.[]', Object.values(mail)],
    // A name that a map lacks is null, and nothing can be selected in null.
    ['.nope', null],
    ['.nope.deeper', undefined],
    ['.nope.deeper?', null],
    ['.nope?.deeper', undefined],
    ['.nope.deeper.more?', undefined],
    ['.to.name???', null],
    ['.constructor', null],
    ['.__proto__', null]
  ])('%s', (selector, expected) => expect(select(selector, mail)).toEqual(expected))

  test.each([
    '',
    'title',
    '..',
    '.a..b',
    '.a.',
    '[0]',
    '.[',
    '.[a]',
    '.[1.5]',
    '.["a]',
    '.["a\n"]',
    '.a b',
    `.${'a'.repeat(300)}`
  ])('is none: %j', (text) => expect(parseSelector(text)).toBeUndefined())
})

describe('the examples of the specification', () => {
  test.each<[string, PolicyStatement, JsonObject, boolean]>([
    ['deep equality', ['==', '.a', [1, 2, { b: 3 }]], { a: [1, 2, { b: 3 }] }, true],
    ['deep inequality', ['!=', '.a', [1, 2, { b: 3 }]], { a: [1, 2, { b: 4 }] }, true],
    ['numbers of any notation', ['==', '.a', 1.0], { a: 1 }, true],
    ['and of nothing', ['and', []], katie, true],
    [
      'and',
      [
        'and',
        [
          ['==', '.name', 'Katie'],
          ['>=', '.age', 21]
        ]
      ],
      katie,
      true
    ],
    [
      'and, one false',
      [
        'and',
        [
          ['==', '.name', 'Katie'],
          ['>=', '.age', 21],
          ['==', '.nationalities', ['American']]
        ]
      ],
      katie,
      false
    ],
    ['or of nothing', ['or', []], katie, true],
    [
      'or',
      [
        'or',
        [
          ['==', '.name', 'Katie'],
          ['>', '.age', 45]
        ]
      ],
      katie,
      true
    ],
    [
      'not',
      [
        'not',
        [
          'and',
          [
            ['==', '.name', 'Katie'],
            ['==', '.nationalities', ['American']]
          ]
        ]
      ],
      katie,
      true
    ],
    ['all', ['all', '.a', ['>', '.b', 0]], collection, false],
    ['any', ['any', '.a', ['==', '.b', 2]], collection, true],
    [
      'nested quantifiers',
      ['all', '.newsletters', ['any', '.recipients', ['==', '.email', 'fraud@example.com']]],
      { newsletters: [{ recipients: [{ email: 'bob@example.com' }, { email: 'fraud@example.com' }] }] },
      true
    ],
    ['values of a map', ['all', '.', ['>', '.', 0]], { a: 1, b: 2 }, true]
  ])('%s', (_, statement, args, expected) => expect(holds(statement, args)).toBe(expected))

  const pattern = 'Alice\\*, Bob*, Carol.'
  test.each([
    ['Alice*, Bob, Carol.', true],
    ['Alice*, Bob, Dan, Erin, Carol.', true],
    ['Alice*, Bob  , Carol.', true],
    ['Alice*, Bob*, Carol.', true],
    ['Alice*, Bob, Carol', false],
    ['Alice*, Bob*, Carol!', false],
    ['Alice, Bob, Carol.', false],
    ['Alice Cooper, Bob, Carol.', false],
    [' Alice*, Bob, Carol. ', false]
  ] as const)('like: %j', (text, expected) =>
    expect(holds(['like', '.a', pattern], { a: text })).toBe(expected)
  )

  const policy: Policy = [
    ['==', '.from', 'alice@example.com'],
    ['any', '.to', ['like', '.', '*@example.com']]
  ]
  test('mail from one, and to at least one of the house', () => {
    const args = { from: 'alice@example.com', to: ['bob@example.com', 'carol@elsewhere.example.com'] }
    expect(satisfiesPolicy(policy, { ...args, title: 'Coffee' })).toBe(true)
    expect(satisfiesPolicy(policy, { ...args, to: ['carol@elsewhere.example.com'] })).toBe(false)
    expect(satisfiesPolicy(policy, { to: args.to })).toBe(false)
  })
})

test('in doubt neither a statement nor its negation holds', () => {
  const doubtful: PolicyStatement[] = [
    ['==', '.a[3]', 1],
    ['!=', '.a[3]', 1],
    ['<', '.text', 3],
    ['>=', '.nope', 3],
    ['like', '.number', '*'],
    ['all', '.text', ['==', '.', 1]],
    ['any', '.number', ['==', '.', 1]],
    ['any', '.a', ['==', '.deep.er', 1]]
  ]
  const args = { a: [0], text: '1', number: 1 }
  for (const each of doubtful) {
    expect(holds(each, args)).toBe(false)
    expect(holds(['not', each], args)).toBe(false)
    expect(
      holds(
        [
          'or',
          [
            ['not', each],
            ['==', '.number', 1]
          ]
        ],
        args
      )
    ).toBe(true)
  }
  expect(holds(['any', '.none', ['==', '.', 1]], { none: [] })).toBe(false)
})

test.each<[string, unknown]>([
  ['no list', {}],
  ['a statement that is none', ['==']],
  ['an unknown operator', [['~', '.a', 1]]],
  ['a part too many', [['==', '.a', 1, 2]]],
  ['a size that is no number', [['<', '.a', '1']]],
  ['a pattern that is no text', [['like', '.a', 1]]],
  ['"or" without a list', [['or', ['==', '.a', 1], ['==', '.a', 2]]]],
  ['a selector that is none', [['==', 'a', 1]]],
  ['too deep', [Array.from({ length: 9 }).reduce<unknown>((inner) => ['not', inner], ['==', '.a', 1])]],
  ['too many', Array.from({ length: 129 }, () => ['==', '.a', 1])]
])('is no policy, and never satisfied: %s', (_, value) => {
  expect(policyFault(value)).toEqual(expect.any(String))
  expect(satisfiesPolicy(value as Policy, { a: 1 })).toBe(false)
})

test('what would take too long is not satisfied', () => {
  const list = Array.from({ length: 200 }, () => 1)
  const cube: PolicyStatement = ['all', '.', ['all', '.', ['all', '.', ['==', '.', 1]]]]
  const args = { a: list.map(() => list) }
  expect(holds(['not', cube], args)).toBe(false)
  expect(holds(['all', '.a', ['all', '.', ['==', '.', 1]]], args)).toBe(false)
  expect(holds(['all', '.a', ['all', '.', ['==', '.', 1]]], { a: [list] })).toBe(true)
})

test('a pattern matches what a regular expression of the same meaning matches', () => {
  const piece = fc.constantFrom('a', 'b', '*', '\\*', '\\', '.', 'ab')
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 8 }), fc.stringMatching(/^[ab*.\\]{0,12}$/), (pieces, text) => {
      const pattern = pieces.join('')
      const source = pattern.replace(/\\\*|\*|[\\.]/g, (found) =>
        found === '*' ? '[^]*' : found === '\\*' ? '\\*' : `\\${found}`
      )
      expect(satisfiesPolicy([['like', '.a', pattern]], { a: text })).toBe(
        new RegExp(`^(?:${source})$`).test(text)
      )
    })
  )
})
