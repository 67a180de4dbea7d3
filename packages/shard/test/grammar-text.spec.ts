import { createSeededRandom } from '@kwaai/testing'
import { expect, test } from 'vitest'
import type { CompiledGrammar, GrammarRule, TagRule } from '../src/generate/grammar.ts'
import { allows, compilerFor, lets, schemaRule, smallVocabulary, walk } from './grammar-kit.ts'

const grammar = (text: string): GrammarRule => ({ type: 'grammar', text })

test('json is one object without blanks, however deep', async () => {
  const json: GrammarRule = { type: 'json' }
  for (const text of [
    '{}',
    '{"a":[1,-2.5e3,{"b":null}],"":"\\u00e9\\n"}',
    `{"a":${'['.repeat(500)}${']'.repeat(500)}}`
  ]) {
    expect(await lets(json, text), text.slice(0, 60)).toBe(true)
    JSON.parse(text)
  }
  for (const text of [
    '[]',
    '"a"',
    '{ }',
    '{"a":1,}',
    '{"a" :1}',
    '{} ',
    '{"a":01}',
    '{"a":1e999}',
    '{"a":"\n"}'
  ]) {
    expect(await lets(json, text), text).toBe(false)
  }
})

test('what goes a random way through json parses', async () => {
  const vocabulary = smallVocabulary()
  using compiler = await compilerFor(vocabulary)
  const compiled = await compiler.compile({ type: 'json' })
  let finished = 0
  for (let seed = 0; seed < 60; seed++) {
    const result = walk(compiled.start(), vocabulary, createSeededRandom(`json ${seed}`), 150)
    if (!result.finished) continue
    finished++
    expect(JSON.parse(result.text)).toBeTypeOf('object')
  }
  expect(finished).toBeGreaterThan(10)
})

test('no byte leads out of UTF-8', async () => {
  const text = schemaRule({ type: 'string', maxLength: 3 })
  const wrap = (...bytes: number[]): Uint8Array => Uint8Array.of(0x22, ...bytes, 0x22)
  for (const bytes of [
    [0xc0, 0x80],
    [0xed, 0xa0, 0x80],
    [0xe0, 0x80, 0x80],
    [0xf4, 0x90, 0x80, 0x80],
    [0xff],
    [0x80],
    [0xc3]
  ]) {
    expect(await lets(text, wrap(...bytes)), bytes.join()).toBe(false)
  }
  for (const bytes of [
    [0xc2, 0x80],
    [0xed, 0x9f, 0xbf],
    [0xe0, 0xa0, 0x80],
    [0xf4, 0x8f, 0xbf, 0xbf],
    [0x7f]
  ]) {
    expect(await lets(text, wrap(...bytes)), bytes.join()).toBe(true)
  }
})

test('a grammar in GBNF is followed', async () => {
  const rule = grammar(`
    # A list of greetings.
    root ::= greeting ("," " "? greeting){0,2} "."
    greeting ::= "hello" | "gr\\u00fc\\xdf dich" | [A-Z] [^a-z日]
      | ("x" | "y"){2,}
  `)
  for (const text of ['hello.', 'grüß dich,hello.', 'A1, xyx,yy.', 'Zß.'])
    expect(await lets(rule, text), text).toBe(true)
  for (const text of ['hello', 'Aa.', 'A日.', 'x.', 'hello,,hello.', 'hello,hello,hello,hello.']) {
    expect(await lets(rule, text), text).toBe(false)
  }
  const nested = grammar('root ::= "(" root ")" | ""')
  expect(await lets(nested, '((()))')).toBe(true)
  expect(await lets(nested, '((())')).toBe(false)
  const stars = grammar('root ::= (("a"*)* "b"?)* "c"+')
  expect(await lets(stars, `${'a'.repeat(200)}bac`)).toBe(true)
  expect(await lets(stars, 'ab')).toBe(false)
})

test.each([
  ['', /the rule root is missing/],
  ['root = "a"', /line 1, column 6: ::= is expected/],
  ['root ::= "a', /closing quotation mark/],
  ['root ::= [a', /closing bracket/],
  ['root ::= [z-a]', /the range ends before it begins/],
  ['root ::= ("a"', /closing parenthesis/],
  ['root ::= "a"{3,1}', /below the lower one/],
  ['root ::= "a"{9999999}', /at most/],
  ['root ::= "\\q"', /means nothing/],
  ['root ::= "\\ud800"', /surrogate/],
  ['root ::= "a"\nroot ::= "b"', /twice/],
  ['root ::= other', /other is used and not there/],
  ['root ::= "a" )', /not expected here/],
  ['root ::= root "a" | "b"', /begins with itself/],
  ['root ::= x "b"\nx ::= "a"? root | "c"', /begins with itself/],
  ['root ::= "a" root', /Nothing can follow/],
  ['root ::= ("a"?){100}', /may be empty/],
  [`root ::= ${'('.repeat(5000)}`, /nest deeper/],
  [`root ::= "${'a'.repeat(70_000)}"`, /more than 65536 bytes/]
])('%j is no grammar', async (text, message) => {
  await expect(lets(grammar(text), '')).rejects.toMatchObject({
    code: 'ERR_MODEL_INVALID_REQUEST',
    details: { param: 'constraint' },
    message: expect.stringMatching(message)
  })
})

test('garbage is no grammar, or one that leads to no dead end', async () => {
  const vocabulary = smallVocabulary()
  using compiler = await compilerFor(vocabulary)
  const words = [
    'x',
    'root',
    '"a"',
    '"b',
    '[a-c]',
    '[^',
    '(',
    ')',
    '|',
    '*',
    '+',
    '?',
    '{2}',
    '{1,3}',
    '{,2}',
    '\n',
    '#'
  ]
  words.push('x ::= ', '.', '\\', '"', '""', '("a"?)', 'é', '\ud800', '\u0000', '{9999999}')
  let grammars = 0
  for (let seed = 0; seed < 2000; seed++) {
    const random = createSeededRandom(`garbage ${seed}`)
    const pick = (): string => words[Math.floor(random.next() * words.length)] as string
    const text = `root ::= ${Array.from({ length: 1 + Math.floor(random.next() * 8) }, pick).join(' ')}`
    const compiled = await compiler.compile(grammar(text)).catch((error: unknown) => error)
    if (compiled instanceof Error) {
      expect(compiled, text).toMatchObject({
        code: 'ERR_MODEL_INVALID_REQUEST',
        details: { param: 'constraint' }
      })
      continue
    }
    grammars++
    // Ends, or goes on: that a mask allows nothing is an error of the walk.
    walk((compiled as CompiledGrammar).start(), vocabulary, random, 20)
  }
  expect(grammars).toBeGreaterThan(100)
})

const call = (name: string, schema: unknown, strict = true): TagRule => ({
  begin: `<call>{"name":"${name}","arguments":`,
  schema,
  strict,
  end: '}</call>'
})
const tags = [
  call('add', {
    type: 'object',
    properties: { a: { type: 'integer' } },
    required: ['a'],
    additionalProperties: false
  }),
  call('now', { type: 'object', additionalProperties: false })
]
const free: GrammarRule = { type: 'tags', tags, triggers: ['<call>'], required: false, single: false }
const add = '<call>{"name":"add","arguments":{"a":1}}</call>'
const now = '<call>{"name":"now","arguments":{}}</call>'

test('text before, between and behind tags is free, and a trigger asks for a tag', async () => {
  for (const text of [
    '',
    'Hello <b>',
    '<cal',
    `Let me <see>: ${add}`,
    `${add}\n${now}`,
    `a<<call>${add.slice(6)}b`
  ]) {
    expect(await lets(free, text), text).toBe(true)
  }
  for (const text of [
    '<call>',
    'x<call> ',
    '<call>{"name":"sub"',
    add.replace('1', '"1"'),
    `${add}<call>x`
  ]) {
    expect(await lets(free, text), text).toBe(false)
  }
})

test('required means tags alone, single one of them', async () => {
  const required: GrammarRule = { ...free, required: true }
  expect(await lets(required, add + now)).toBe(true)
  for (const text of ['', 'Hello', ` ${add}`, `${add} `]) expect(await lets(required, text), text).toBe(false)
  const single: GrammarRule = { ...free, single: true }
  for (const text of ['', 'Hello', add, `Hello ${now}`]) expect(await lets(single, text), text).toBe(true)
  for (const text of [add + now, `${add} `]) expect(await lets(single, text), text).toBe(false)
  const both: GrammarRule = { ...free, required: true, single: true }
  expect(await lets(both, now)).toBe(true)
  for (const text of ['', now + now]) expect(await lets(both, text), text).toBe(false)
})

test('beside tags a text may have a constraint of its own', async () => {
  const rule: GrammarRule = {
    ...free,
    text: { type: 'json-schema', schema: { type: 'integer' }, strict: true }
  }
  for (const text of ['12', add, add + now]) expect(await lets(rule, text), text).toBe(true)
  for (const text of ['', 'Hello', `12${add}`]) expect(await lets(rule, text), text).toBe(false)
  const greeting: GrammarRule = { ...free, text: grammar('root ::= json\njson ::= "hi"') as never }
  for (const text of ['hi', add]) expect(await lets(greeting, text), text).toBe(true)
})

test('several triggers lead to their own tags', async () => {
  const other: TagRule = { begin: '[now]', schema: { type: 'null' }, strict: true, end: '' }
  const rule: GrammarRule = { ...free, tags: [...tags, other], triggers: ['<call>', '[now]'] }
  for (const text of [`[no <call[now]null and ${add}`, '[now]null[now]null'])
    expect(await lets(rule, text), text).toBe(true)
  for (const text of ['[now]', '[now]{', '<call>null']) expect(await lets(rule, text), text).toBe(false)
})

test('tags that make no sense are refused as tools', async () => {
  const refused = (change: object): Promise<boolean> => lets({ ...free, ...change } as GrammarRule, '')
  const invalid = { code: 'ERR_MODEL_INVALID_REQUEST', details: { param: 'tools' } }
  await expect(refused({ tags: [] })).rejects.toMatchObject(invalid)
  await expect(refused({ triggers: [''] })).rejects.toMatchObject(invalid)
  await expect(refused({ triggers: ['<call>', 'cal'] })).rejects.toMatchObject(invalid)
  await expect(refused({ triggers: ['<other>'] })).rejects.toMatchObject(invalid)
  await expect(refused({ tags: [call('f', { type: 'nonsense' })] })).rejects.toMatchObject(invalid)
  await expect(refused({ tags: [call('f', { not: {} })] })).rejects.toMatchObject({
    code: 'ERR_MODEL_UNSUPPORTED',
    details: { param: 'tools', keyword: 'not', path: '' }
  })
})

test('end tokens are allowed exactly where the text may end, control tokens never', async () => {
  const vocabulary = smallVocabulary()
  using compiler = await compilerFor(vocabulary)
  for (const rule of [free, { type: 'json' } as const, schemaRule({ type: 'string' })]) {
    const compiled = await compiler.compile(rule)
    const matcher = compiled.start()
    const random = createSeededRandom('ends')
    for (let count = 0; count < 40; count++) {
      const mask = matcher.mask()
      const open: number[] = []
      for (let token = 0; token < vocabulary.size; token++) {
        if (vocabulary.endTokens.has(token)) continue
        if (allows(mask, token)) open.push(token)
        if (vocabulary.isControl(token)) expect(allows(mask, token)).toBe(false)
      }
      const ends = [...vocabulary.endTokens].map((token) => allows(mask, token))
      expect(new Set(ends).size).toBe(1)
      if (open.length === 0) break
      matcher.accept(open[Math.floor(random.next() * open.length)] as number)
    }
  }
})
