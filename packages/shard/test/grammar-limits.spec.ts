import { KwaaiError } from '@kwaai/interface'
import { expect, test } from 'vitest'
import type { GrammarRule } from '../src/generate/grammar.ts'
import { createAutomaton } from '../src/grammar/automaton.ts'
import { compileRule } from '../src/grammar/compile-rule.ts'
import { createGrammarEngine, defaultGrammarLimits } from '../src/grammar/index.ts'
import { createTokenTree, tokenMask } from '../src/grammar/token-tree.ts'
import { allows, compilerFor, lets, schemaRule, smallVocabulary } from './grammar-kit.ts'

const grammar = (text: string): GrammarRule => ({ type: 'grammar', text })
const many = <T>(count: number, make: (index: number) => T): T[] =>
  Array.from({ length: count }, (_, i) => make(i))
const record = <T>(count: number, make: (index: number) => T): Record<string, T> =>
  Object.fromEntries(many(count, (index) => [`p${index}`, make(index)]))
const nest = (depth: number): object => (depth === 0 ? {} : { type: 'array', items: nest(depth - 1) })
const chain = (keyword: 'anyOf' | 'allOf', count: number): object => ({
  $defs: record(count, (index) =>
    index === 0 ? { type: 'string' } : { [keyword]: many(2, () => ({ $ref: `#/$defs/p${index - 1}` })) }
  ),
  $ref: `#/$defs/p${count - 1}`
})

const large: [string, unknown, string][] = [
  [
    'two references each',
    {
      $defs: record(40, (index) =>
        index === 0
          ? { type: 'null' }
          : { type: 'array', prefixItems: many(2, () => ({ $ref: `#/$defs/p${index - 1}` })) }
      ),
      $ref: '#/$defs/p39'
    },
    '[]'
  ],
  ['allOf of references', chain('allOf', 40), '""'],
  [
    'long strings in long lists',
    {
      type: 'array',
      maxItems: 1e9,
      items: { type: 'array', maxItems: 1e9, items: { type: 'string', maxLength: 1e9 } }
    },
    '[["a"],[]]'
  ],
  ['nested quantifiers', { type: 'string', pattern: '^((((a+)+)+)+)+$' }, `"${'a'.repeat(300)}"`],
  ['an enum of thousands', { enum: many(4000, (index) => `value ${index}`) }, '"value 3999"'],
  [
    'thousands of properties',
    { type: 'object', properties: record(1000, () => ({ type: 'null' })), additionalProperties: false },
    '{"p999":null}'
  ],
  [
    'hundreds of properties and others',
    { type: 'object', properties: record(300, () => ({})), additionalProperties: true },
    '{"p299":1,"p300":2}'
  ]
]

test.each(large)('%s are followed', async (_, schema, text) => {
  expect(await lets(schemaRule(schema), text)).toBe(true)
  expect(await lets(schemaRule(schema), `${text.slice(0, -1)}!`)).toBe(false)
})

const self: Record<string, unknown> = {}
self['a'] = self

const refused: [string, unknown][] = [
  ['alternatives without end', chain('anyOf', 40)],
  ['a product of alternatives', { allOf: many(30, () => ({ anyOf: [{ minimum: 1 }, { maximum: 5 }] })) }],
  [
    'combinations of references',
    {
      $defs: record(12, (index) => ({
        type: 'object',
        properties: record(12, (other) => ({
          allOf: [{ $ref: `#/$defs/p${index}` }, { $ref: `#/$defs/p${other}` }]
        }))
      })),
      $ref: '#/$defs/p0'
    }
  ],
  [
    'a long chain of references',
    {
      $defs: record(1500, (index) => (index === 0 ? {} : { $ref: `#/$defs/p${index - 1}` })),
      $ref: '#/$defs/p1499'
    }
  ],
  ['a huge minLength', { type: 'string', minLength: 1e9 }],
  ['counts within counts', { type: 'string', pattern: '^(((a{1,100}){1,100}){1,100})$' }],
  ['a pattern of many states', { type: 'string', pattern: '(a|b)*a(a|b){20}$' }],
  ['a pattern that blows up', { type: 'string', pattern: '(.*a.*b.*c.*d.*e.*f.*g.*h.*){9}' }],
  [
    'a long text in a pattern',
    { type: 'string', pattern: '^([a-z]+ )*[a-z]+$', maxLength: 20_000, minLength: 10_000 }
  ],
  ['depth', nest(200)],
  ['size', { enum: many(20_000, (index) => index) }],
  [
    'a name of thousands of characters',
    { type: 'object', properties: { ['n'.repeat(5000)]: {} }, additionalProperties: true }
  ],
  ['a circle', self],
  ['a function', () => true]
]

test.each(refused)('%s is refused with a code', async (_, schema) => {
  const error: unknown = await lets(schemaRule(schema), '').catch((reason: unknown) => reason)
  expect(KwaaiError.is(error)).toBe(true)
  expect((error as KwaaiError).code).toMatch(/ERR_MODEL_(INVALID_REQUEST|UNSUPPORTED)/)
  expect((error as KwaaiError).details['param']).toBe('constraint')
})

test.each(['root ::= (("a"{1,1000}){1,1000}){1,1000}', 'root ::= "a" root root | "a"'])(
  '%s is refused when the text may be in too many places',
  async (text) => {
    const vocabulary = smallVocabulary()
    using compiler = await compilerFor(vocabulary, { limits: { positions: 100 } })
    const matcher = (await compiler.compile(grammar(text))).start()
    const run = (): void => {
      for (let count = 0; count < 2000; count++) matcher.accept(0x61)
    }
    expect(run).toThrow(expect.objectContaining({ code: 'ERR_MODEL_UNSUPPORTED' }))
  }
)

test('every limit can be set', async () => {
  const vocabulary = smallVocabulary()
  const refusedBy = async (limits: object, rule: GrammarRule): Promise<unknown> => {
    using compiler = await compilerFor(vocabulary, { limits })
    return compiler.compile(rule).then(
      () => undefined,
      (error: KwaaiError) => error.code
    )
  }
  const rule = schemaRule({
    type: 'object',
    properties: { a: { anyOf: [{ type: 'null' }, { minLength: 3 }] } }
  })
  expect(await refusedBy({}, rule)).toBeUndefined()
  for (const limits of [
    { textBytes: 50 },
    { depth: 1 },
    { rules: 2 },
    { alternatives: 1 },
    { steps: 20 },
    { work: 3 },
    { repetitions: 2 }
  ]) {
    expect(await refusedBy(limits, rule), JSON.stringify(limits)).toBe('ERR_MODEL_INVALID_REQUEST')
  }
  expect(await refusedBy({ positions: 2 }, schemaRule({}))).toBe('ERR_MODEL_UNSUPPORTED')
})

test.each([{ rules: 0 }, { depth: 1.5 }, { repetitions: 1e7 }, { steps: 1e9 }, { masks: Number.NaN }])(
  'the limits %j are out of range',
  (limits) => {
    expect(() => createGrammarEngine({ limits })).toThrow(
      expect.objectContaining({ code: 'ERR_SHARD_INVALID_INIT' })
    )
  }
)

test('little memory makes no other masks', async () => {
  const vocabulary = smallVocabulary()
  using wide = await compilerFor(vocabulary)
  using narrow = await compilerFor(vocabulary, { limits: { states: 3, masks: 1 } })
  const rule = schemaRule({ type: 'array', items: { type: 'string', maxLength: 20 }, maxItems: 5 })
  const [one, other] = [(await wide.compile(rule)).start(), (await narrow.compile(rule)).start()]
  for (const byte of new TextEncoder().encode('["héllo","\\u0041😀",""]')) {
    expect(other.mask()).toEqual(one.mask())
    one.accept(byte)
    other.accept(byte)
  }
  expect(other.mask()).toEqual(one.mask())
})

test('places far from the bounds of a count share their masks, and those near to one do not', () => {
  const tree = createTokenTree(smallVocabulary())
  const { deepest } = tree
  const items = {
    type: 'array',
    minItems: 12,
    maxItems: 30,
    items: { type: 'string', minLength: 20, maxLength: 50 }
  }
  const automaton = createAutomaton(
    compileRule(schemaRule(items), defaultGrammarLimits),
    defaultGrammarLimits
  )
  let state = automaton.start
  let count = 0
  const seen = new Set<unknown>()
  const text = `[${many(30, (index) => JSON.stringify('x'.repeat(20 + (index % 3) * 15))).join()}]`
  for (const byte of new TextEncoder().encode(text)) {
    const far = automaton.far(state, deepest + 2)
    // All that are new, and every seventh of the others.
    if (!seen.has(far) || count++ % 7 === 0) {
      expect(tokenMask(tree, automaton, far)).toEqual(tokenMask(tree, automaton, state))
    }
    expect(far.accepting).toBe(state.accepting)
    seen.add(far)
    state = automaton.step(state, automaton.classOf[byte] as number) as typeof state
  }
  expect(state.accepting).toBe(true)
  expect(text.length).toBeGreaterThan(1000)
  expect(seen.size).toBeLessThan(text.length / 2)
})

test('equal rules share one grammar, which ends with nobody', async () => {
  const vocabulary = smallVocabulary()
  const compiler = await compilerFor(vocabulary, { limits: { grammars: 2 } })
  const first = await compiler.compile(schemaRule({ const: 1 }))
  const same = await compiler.compile(schemaRule({ const: 1 }))
  const matcher = first.start()
  first.dispose()
  first.dispose()
  expect(() => first.start()).toThrow(/given up/)
  for (let index = 0; index < 10; index++)
    (await compiler.compile(schemaRule({ const: `${index}` }))).dispose()
  // Put out of what is remembered, it serves who holds it.
  expect(allows(same.start().mask(), 0x31)).toBe(true)
  matcher.accept(0x31)
  expect(() => matcher.accept(0x31)).toThrow(/does not allow the token/)
  const [end = 0] = vocabulary.endTokens
  matcher.accept(end)
  expect(matcher.mask()?.every((word) => word === 0)).toBe(true)
  expect(() => matcher.accept(end)).toThrow(/does not allow/)
  matcher.dispose()
  matcher.dispose()
  expect(() => matcher.mask()).toThrow(/given up/)
  compiler[Symbol.dispose]()
  await expect(compiler.compile({ type: 'json' })).rejects.toMatchObject({ code: 'ERR_BACKEND_CLOSED' })
})

test('a token of control, of nothing, or outside the vocabulary is not accepted', async () => {
  const vocabulary = smallVocabulary()
  using compiler = await compilerFor(vocabulary)
  const matcher = (await compiler.compile({ type: 'json' })).start()
  for (const token of [vocabulary.size - 1, vocabulary.size - 2, vocabulary.size, -1, 0]) {
    expect(() => matcher.accept(token)).toThrow(/does not allow/)
  }
  expect(allows(matcher.mask(), 0x7b)).toBe(true)
})

test('an aborted compilation rejects with its reason', async () => {
  const vocabulary = smallVocabulary()
  using compiler = await compilerFor(vocabulary)
  await expect(
    compiler.compile({ type: 'json' }, { signal: AbortSignal.abort(new Error('gone')) })
  ).rejects.toThrow('gone')
})
