import type { Clock } from '@kwaai/interface'
import { createFakeClock } from '@kwaai/testing'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  createChatTemplate,
  createTokenizer,
  parseChatTemplate,
  type TemplateLimits
} from '../src/generate/index.ts'
import { bytesSource, readGguf, type GgufFile } from '../src/gguf/index.ts'
import { toyModel } from './toy-model.ts'

const file: GgufFile = await readGguf(bytesSource(toyModel()))
const tokenizer = createTokenizer(file)
const template = createChatTemplate(file, { tokenizer })
const user = (content: string) => [{ role: 'user' as const, content }]
/** Time stands still, so that steps and sizes alone have to end what is endless. */
const clock = createFakeClock()
const render = (
  source: string,
  content = 'hi',
  limits: Partial<TemplateLimits> = {},
  time: Clock = clock
): string => parseChatTemplate(source, { tokenizer, clock: time }, { limits }).render(user(content))

const privateUse = fc.constantFrom(
  '\ue000',
  '\ue001',
  '\uf8fe',
  '\uf8ff',
  '<|im_start|>',
  '<|im_end|>',
  '<|im_',
  'end|>'
)
const content = fc.string({
  unit: fc.oneof(privateUse, fc.string({ unit: 'binary', minLength: 1, maxLength: 2 })),
  maxLength: 12
})

test('a chat is rendered by the template of the file', () => {
  const chat = [{ role: 'system' as const, content: 'S' }, ...user(' hello\n')]
  expect(template.render(chat)).toBe(
    '<|im_start|>system\nS<|im_end|>\n<|im_start|>user\n hello\n<|im_end|>\n<|im_start|>assistant\n'
  )
})

test('text of messages never becomes a control token, and stays what it was', () => {
  fc.assert(
    fc.property(fc.array(content, { minLength: 1, maxLength: 3 }), (contents) => {
      const tokens = template.encode(contents.map((text) => ({ role: 'user', content: text })))
      const control = tokens.filter((id) => tokenizer.isControl(id))
      // One pair a turn, and the turn that is to come.
      expect(control).toEqual([...contents.flatMap(() => [1, 2]), 1])
      const wanted = contents.map((text) => `user\n${text}\n`).join('') + 'assistant\n'
      expect(tokenizer.decode(tokens)).toBe(wanted.replace(/\p{Surrogate}/gu, '\ufffd'))
    }),
    { numRuns: 500 }
  )
})

test('the tokens are those of the whole rendering where messages name no control tokens', () => {
  fc.assert(
    fc.property(
      fc.string({ unit: fc.constantFrom(' ', '\n', '\t', 'a', "'s", '1', 'é'), maxLength: 12 }),
      (text) => {
        const chat = [...user(text), { role: 'assistant' as const, content: text }]
        expect(template.encode(chat)).toEqual(tokenizer.encodeWithControl(template.render(chat)))
      }
    )
  )
})

test('templates may trim, test and cut messages that name control tokens', () => {
  expect(render('{{ messages[0].content | trim }}|', ' <|im_end|> ')).toBe('<|im_end|>|')
  expect(render('{{ messages[0].content[1:] }}', 'x<|im_end|>y')).toBe('<|im_end|>y')
  expect(render("{{ messages[0].content | replace('a', 'b') }}", '\uf8ffa<|im_end|>')).toBe(
    '\uf8ffb<|im_end|>'
  )
})

test('private-use characters of the template itself stay', () => {
  expect(render("\ue000{{ '\uf8ff' + messages[0].content }}", '\ue000')).toBe('\ue000\uf8ff\ue000')
})

test('developer turns are system turns to a template', () => {
  expect(template.render([{ role: 'developer', content: 'x' }])).toContain('<|im_start|>system\nx')
})

test('the first token is there once, whether the template writes it or not', async () => {
  const bytes = toyModel({ metadata: { 'tokenizer.ggml.add_bos_token': { type: 'bool', value: true } } })
  const withFirst = createTokenizer(await readGguf(bytesSource(bytes)))
  for (const source of ['{{ messages[0].content }}', '{{ bos_token + messages[0].content }}']) {
    const tokens = parseChatTemplate(source, { tokenizer: withFirst }).encode(user('hello'))
    expect(tokens).toEqual([1, ...withFirst.encode('hello')])
  }
})

test('what templates in use rely on works', () => {
  const source = `{%- macro turn(m) -%}{{ '[' ~ m.role ~ ']' ~ m.content | trim }}{%- endmacro -%}
{%- set ns = namespace(count=0) -%}
{%- for m in messages if m.role != 'system' -%}
  {%- set ns.count = ns.count + 1 -%}{{ turn(m) }}{%- if not loop.last %},{% endif -%}
{%- endfor -%}{{ ns.count }} {{ range(3) | join('-') }} {{ messages | tojson }} {{ strftime_now('%d %b %Y') }}`
  const noon = createFakeClock({ now: Date.UTC(2024, 1, 29, 12) })
  expect(render(source, ' x ', {}, noon)).toBe(
    '[user]x1 0-1-2 [{"role": "user", "content": " x "}] 29 Feb 2024'
  )
})

test('a template that refuses says so with its own words', () => {
  expect(() => render("{{ raise_exception('roles must alternate') }}")).toThrow(
    expect.objectContaining({
      code: 'ERR_TEMPLATE_REFUSED',
      message: expect.stringContaining('roles must alternate')
    })
  )
})

test.each([
  '{% if %}',
  '{{ "a }}',
  '{% for %}',
  `{{ ${'('.repeat(20_000)}1${')'.repeat(20_000)} }}`,
  '{% filter indent(9) %}x{% endfilter %}',
  '{{ "a" | join(*["b"]) }}'
])('what is no template, or none that can be held, is a typed error: %#', (source) => {
  expect(() => render(source)).toThrow(expect.objectContaining({ code: 'ERR_TEMPLATE_INVALID' }))
})

test.each([
  '{{ foo() }}',
  '{{ 1 + none }}',
  '{{ "a" | nosuchfilter }}',
  '{{ "".constructor.constructor("1")() }}',
  '{{ range(1, 2, 0) }}'
])('what makes no sense is a typed error: %s', (source) => {
  expect(() => render(source)).toThrow(expect.objectContaining({ code: 'ERR_TEMPLATE_FAILED' }))
})

/** A text of 2^19 letters in `ns.s`. */
const big = (letter: string): string =>
  `{% set ns = namespace(s="${letter}") %}{% for i in range(19) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}`
const hostile: Readonly<Record<string, string>> = {
  'loops in loops':
    '{% for a in range(9999) %}{% for b in range(9999) %}{% for c in range(9999) %}x{% endfor %}{% endfor %}{% endfor %}',
  'empty loops': '{% for a in range(60000) %}{% for b in range(60000) %}{% endfor %}{% endfor %}',
  'a long list': '{{ range(1000000000) | length }}',
  'a text doubled':
    '{% set ns = namespace(s="x") %}{% for i in range(64) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}',
  'a list doubled':
    '{% set ns = namespace(s=[1]) %}{% for i in range(64) %}{% set ns.s = ns.s + ns.s %}{% endfor %}',
  'a list in itself twice':
    '{% set ns = namespace(s=[1]) %}{% for i in range(60) %}{% set ns.s = [ns.s, ns.s] %}{% endfor %}{{ ns.s }}',
  'an object in itself twice':
    '{% set ns = namespace(s=1) %}{% for i in range(60) %}{% set ns.s = {"a": ns.s, "b": ns.s} %}{% endfor %}{{ ns.s | tojson }}',
  'a namespace in itself': '{% set ns = namespace() %}{% set ns.a = [ns, ns] %}{{ ns.a | tojson }}',
  'a deep list':
    '{% set ns = namespace(s=[1]) %}{% for i in range(5000) %}{% set ns.s = [ns.s] %}{% endfor %}{{ ns.s }}',
  'a macro in itself': '{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}',
  'a macro in itself twice':
    '{% macro f(n) %}{% if n > 0 %}{{ f(n-1) }}{{ f(n-1) }}{% endif %}{% endmacro %}{{ f(60) }}',
  'a macro defined often': `{% for i in range(60000) %}{% macro f() %}${'{{ 1 }}'.repeat(5_000)}{% endmacro %}{% endfor %}`,
  'a method that multiplies': `${big('x')}{{ ns.s.replace("", ns.s) | length }}`,
  'a method by another name': `${big('x')}{% set r = ns.s["repl" ~ "ace"] %}{{ r("x", ns.s) | length }}`,
  'a filter that multiplies': `${big('x')}{{ ns.s | replace("x", ns.s) | length }}`,
  'a long separator': `${big('x')}{{ range(60000) | join(ns.s) | length }}`,
  'a separator by name': `${big('x')}{{ ns.s | join(separator=ns.s) | length }}`,
  'a wide indentation': `${big('\\n')}{{ ns.s | indent(100000000, true, true) | length }}`,
  'wide JSON': '{{ range(60000) | tojson(indent=100000000) }}',
  'long separators in JSON': `${big('x')}{{ range(60000) | tojson(separators=[ns.s, ns.s]) | length }}`,
  'much output': `{% for i in range(60000) %}${'y'.repeat(1000)}{% endfor %}`,
  'much on the way': `${big('x')}{% for i in range(1000) %}{% set x = ns.s | upper %}{% endfor %}`,
  'much to sort': '{% for i in range(1000) %}{{ range(60000) | sort | length }}{% endfor %}',
  'a deep expression': `{{ ${'1+'.repeat(5_000)}1 }}`,
  'long white space': `${' '.repeat(100_000)}x`,
  'a long template': 'x'.repeat(200_000)
}

test.each(Object.entries(hostile))('ends within its limits: %s', (_, source) => {
  // A tenth of the default, so that the test is quick.
  const limits = { maxSteps: 50_000, maxTotalCharacters: 8_000_000 }
  expect(() => render(source, 'hi', limits)).toThrow(
    expect.objectContaining({ code: 'ERR_TEMPLATE_LIMIT_EXCEEDED' })
  )
})

test('time ends a template too', () => {
  let ms = 0
  const running: Clock = { ...clock, monotonic: () => (ms += 1) }
  expect(() => render('{% for i in range(60000) %}x{% endfor %}', 'hi', { maxMs: 500 }, running)).toThrow(
    expect.objectContaining({ code: 'ERR_TEMPLATE_LIMIT_EXCEEDED', details: { limit: 'maxMs' } })
  )
  expect(ms).toBeLessThan(600)
})

test('a long conversation stays far inside the limits', () => {
  const chat = Array.from({ length: 2_000 }, (_, i) => ({
    role: i % 2 === 0 ? ('user' as const) : ('assistant' as const),
    content: 'some words '.repeat(10)
  }))
  expect(template.render(chat).length).toBeGreaterThan(200_000)
})

test('random templates end with a text or a typed error', () => {
  const part = fc.constantFrom(
    '{{ ',
    ' }}',
    '{% ',
    ' %}',
    'for x in messages',
    'endfor',
    'if x',
    'endif',
    'set y = ',
    'messages',
    '[0]',
    '.content',
    ' ~ ',
    ' + ',
    '|trim',
    '|tojson',
    '|join(y)',
    '"a"',
    '7',
    'range(9)',
    'macro f()',
    'endmacro',
    'f()',
    '(',
    ')',
    'namespace(s=y)',
    'y.s',
    ' ',
    '{#',
    '#}',
    '-%}',
    'else'
  )
  const codes = new Set(['ERR_TEMPLATE_INVALID', 'ERR_TEMPLATE_FAILED', 'ERR_TEMPLATE_LIMIT_EXCEEDED'])
  fc.assert(
    fc.property(fc.array(part, { maxLength: 25 }), (parts) => {
      try {
        render(parts.join(''), 'hi', { maxSteps: 5_000 })
      } catch (error) {
        expect(codes.has((error as { code: string }).code)).toBe(true)
      }
    }),
    { numRuns: 2_000 }
  )
})

test('a file without a template is refused', async () => {
  const metadata = new Map(file.metadata)
  metadata.delete('tokenizer.chat_template')
  expect(() => createChatTemplate({ ...file, metadata }, { tokenizer })).toThrow(
    expect.objectContaining({ code: 'ERR_TEMPLATE_MISSING' })
  )
})
