import { expect, test } from 'vitest'
import type { GrammarRule } from '../src/generate/grammar.ts'
import { createAutomaton, type State } from '../src/grammar/automaton.ts'
import { compileRule } from '../src/grammar/compile-rule.ts'
import { defaultGrammarLimits } from '../src/grammar/index.ts'
import { createKept } from '../src/grammar/kept.ts'
import { compilerFor, lets, schemaRule, smallVocabulary } from './grammar-kit.ts'

/** A schema that refers to another one two to the power of `levels` times. */
const often = (leaf: object, levels: number): object => ({
  $defs: Object.fromEntries(
    Array.from({ length: levels + 1 }, (_, level) => {
      const below = { $ref: `#/$defs/p${level - 1}` }
      return [`p${level}`, level === 0 ? leaf : { allOf: [below, below] }]
    })
  ),
  $ref: `#/$defs/p${levels}`
})
const long = 'x'.repeat(25_000)

test.each<[string, object]>([
  ['a const', { const: long }],
  ['a length', { minLength: 1 }]
])('a long text that is held against %s thousands of times is refused', async (_, leaf) => {
  await expect(lets(schemaRule({ enum: [long], ...often(leaf, 12) }), '""')).rejects.toMatchObject({
    code: 'ERR_MODEL_INVALID_REQUEST',
    message: expect.stringContaining('too long')
  })
})

const names = (count: number, length: number): Record<string, object> =>
  Object.fromEntries(Array.from({ length: count }, (_, index) => [`${index}${'n'.repeat(length)}`, {}]))
const ways = (make: (index: number) => object): object => ({
  anyOf: Array.from({ length: 250 }, (_, index) => make(index))
})

test.each<[string, object]>([
  [
    'names beside which others are allowed',
    {
      ...ways((index) => ({ required: [`r${index}`] })),
      properties: names(40, 250),
      additionalProperties: true
    }
  ],
  ['texts of an enum', { ...ways((index) => ({ minLength: index })), enum: Object.keys(names(5, 9_000)) }],
  ['names that are counted', { type: 'object', properties: names(100, 600), minProperties: 99 }],
  [
    'bounds of numbers',
    {
      type: 'array',
      $defs: { a: ways((index) => ({ minimum: -index - 0.123456789, maximum: index + 0.987654321 })) },
      prefixItems: Array.from({ length: 480 }, (_, index) => ({
        allOf: [{ $ref: '#/$defs/a' }, { maximum: index + 0.125 }]
      }))
    }
  ]
])('%s that would be written down thousands of times are refused', async (_, schema) => {
  await expect(lets(schemaRule(schema), '""')).rejects.toMatchObject({
    code: 'ERR_MODEL_INVALID_REQUEST',
    message: expect.stringContaining('too long')
  })
})

test('a pattern that is dropped is read once', async () => {
  const schema = { enum: ['a'], ...often({ pattern: 'a{2001}' }, 12) }
  expect(await lets(schemaRule(schema, false), '"a"')).toBe(true)
})

test('an empty group may be repeated as often as one writes', async () => {
  const rule = schemaRule({ type: 'string', pattern: '^a(?:){9007199254740991}b(?:(?:)){1000000000,}$' })
  expect(await lets(rule, '"ab"')).toBe(true)
  expect(await lets(rule, '"aab"')).toBe(false)
})

test('a class of more than a thousand ranges is followed', async () => {
  const characters = Array.from({ length: 1500 }, (_, index) => String.fromCodePoint(0x4e00 + index * 2))
  const rule = schemaRule({ type: 'string', pattern: `^[${characters.join('')}]+$` })
  expect(await lets(rule, `"${characters[0]}${characters[1234]}${characters[1499]}"`)).toBe(true)
  expect(await lets(rule, '"\u4e01"')).toBe(false)
})

test('all tools together may cost what one schema may', async () => {
  const schema = { type: 'object', properties: { a: { type: 'string' }, b: { type: 'number' } } }
  const tools = (count: number): GrammarRule => ({
    type: 'tags',
    tags: Array.from({ length: count }, (_, index) => ({
      begin: `<call>${index}`,
      schema,
      strict: true,
      end: ';'
    })),
    triggers: ['<call>'],
    required: true,
    single: false
  })
  using compiler = await compilerFor(smallVocabulary(), { limits: { work: 1000 } })
  await compiler.compile(tools(1))
  await expect(compiler.compile(tools(10))).rejects.toMatchObject({
    code: 'ERR_MODEL_INVALID_REQUEST',
    details: { param: 'tools' }
  })
})

// After each text another set of branches is left.
const letters = [...'abcdefgh']
const subsets: GrammarRule = {
  type: 'grammar',
  text: `root ::= ${letters.map((letter) => `[${letters.filter((one) => one !== letter).join('')}]* "${letter}"`).join(' | ')}`
}

test('a mask takes bounded work', async () => {
  const mask = async (maskWork: number): Promise<unknown> => {
    using compiler = await compilerFor(smallVocabulary(), { limits: { maskWork } })
    return (await compiler.compile(subsets)).start().mask()
  }
  await expect(mask(100)).rejects.toMatchObject({
    code: 'ERR_MODEL_UNSUPPORTED',
    details: { param: 'constraint' }
  })
  await expect(mask(10_000)).resolves.toBeInstanceOf(Int32Array)
})

test('what is forgotten is not kept by what led to it', () => {
  const states = 20
  const automaton = createAutomaton(compileRule(subsets, defaultGrammarLimits), {
    ...defaultGrammarLimits,
    states
  })
  const walk = (text: string): State | null => {
    let at: State | null = automaton.start
    for (const letter of text) {
      if (at !== null) at = automaton.step(at, automaton.classOf[letter.charCodeAt(0)] as number)
    }
    return at
  }
  const ends: [string, boolean | undefined][] = []
  for (let set = 0; set < 1 << letters.length; set++) {
    const text = letters.filter((_, index) => (set >> index) & 1).join('')
    ends.push([text, walk(text)?.accepting])
  }
  const reached = new Set<State>([automaton.start])
  for (const state of reached) for (const next of state.next) if (next) reached.add(next)
  // Besides those remembered, what a walk held when all was forgotten.
  expect(reached.size).toBeLessThanOrEqual(states + letters.length + 1)
  for (const [text, accepting] of ends) expect(walk(text)?.accepting, text).toBe(accepting)
})

test('grammars are remembered up to a number and a size, the latest of them', () => {
  const kept = createKept<{ size: number }>({ count: 3, size: 10 })
  const names = (): string => [...'abcde'].filter((name) => kept.get(name) !== undefined).join('')
  for (const name of 'abcd') kept.set(name, { size: 1 })
  expect(names()).toBe('bcd')
  kept.set('b', { size: 1 })
  kept.set('e', { size: 8 })
  expect(names()).toBe('bde')
  kept.set('b', { size: 5 })
  expect(names()).toBe('b')
  kept.set('c', { size: 11 })
  expect(names()).toBe('')
  kept.set('a', { size: 10 })
  expect(names()).toBe('a')
  kept.clear()
  expect(names()).toBe('')
})
