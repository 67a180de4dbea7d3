import fc from 'fast-check'
import { expect, test } from 'vitest'
import * as z from 'zod'
import { chatRequestSchema } from '../src/chat-request.ts'
import { completionRequestSchema } from '../src/completion-request.ts'
import { embeddingRequestSchema } from '../src/embeddings.ts'
import { untilFirst } from '../src/parsing.ts'
import { responseRequestSchema } from '../src/responses-api/request.ts'
import { takesAsIs } from '../src/takes-as-is.ts'

const parameters = { type: 'object', properties: { a: { type: 'integer' } }, required: ['a'] }
const tool = { type: 'function', function: { name: 'add', strict: null, parameters } }
const options = { stop: ['\n\n', 'x'], seed: 1, n: 2, stream: true, stream_options: { include_usage: true } }
const kwaai = { minTier: 'known', region: ['eu'], maxLatencyMs: 5 }
const requests: [string, z.ZodType, object[]][] = [
  [
    'chat',
    chatRequestSchema,
    [
      { model: 'fake', messages: [{ role: 'user', content: 'Hello' }] },
      {
        model: 'fake',
        messages: [
          { role: 'system', content: 'Be kind.' },
          { role: 'user', content: [{ type: 'text', text: 'Hi' }] },
          {
            role: 'assistant',
            content: null,
            tool_calls: [{ id: 'a', type: 'function', function: { name: 'add', arguments: '{}' } }]
          },
          { role: 'tool', tool_call_id: 'a', content: '3' }
        ],
        max_tokens: 1,
        temperature: 0.7,
        top_p: 0.95,
        top_k: -1,
        kwaai,
        user: 'me',
        tool_choice: { type: 'function', function: { name: 'add' } },
        response_format: { type: 'json_object' },
        ...options
      },
      { model: 'fake', messages: [{ role: 'user', content: '' }], tools: [tool], metadata: { a: 'b' } }
    ]
  ],
  [
    'completion',
    completionRequestSchema,
    [
      { model: 'fake', prompt: 'Once', max_tokens: 0, logprobs: 5, echo: true, ...options },
      { model: 'fake', prompt: ['a', 'b'] },
      { model: 'fake', prompt: [1, 2] },
      { model: 'fake', prompt: [[1], [2]], stop: 'x' }
    ]
  ],
  [
    'embedding',
    embeddingRequestSchema,
    [{ model: 'fake', input: ['a', 'b'], encoding_format: 'base64', dimensions: 3 }]
  ],
  [
    'response',
    responseRequestSchema,
    [
      { model: 'fake', input: 'Hello', instructions: 'Be kind.', store: false, max_output_tokens: 9 },
      { model: 'fake', input: 'Hello', text: { format: { type: 'text' }, verbosity: null }, kwaai }
    ]
  ]
]

// Names and values from all schemas, so that what is put in the wrong place may be right elsewhere.
const names = fc.constantFrom(
  ...'constructor parameters messages role content type text stop n seed kwaai region name function tools x __proto__'.split(
    ' '
  ),
  ...'stream tool_calls tool_call_id refusal image_url logit_bias format verbosity include metadata'.split(
    ' '
  )
)
const leaf: fc.Arbitrary<unknown> = fc.oneof(
  fc.constantFrom(
    '',
    'user',
    'tool',
    'text',
    'json_object',
    'auto',
    'known',
    'x'.repeat(70),
    true,
    false,
    null
  ),
  fc.constantFrom(-(2 ** 63), -3, -1, 0, 0.5, 1, 1.5, 2, 4, 5, 20, 21, 200, 2 ** 53, 1e300, Infinity),
  fc.constantFrom([], {}, ['x', 1], [['x']], [1, [2]], { type: 'text', text: 'x', more: 1 }, { type: 'x' })
)
const { value: anything } = fc.letrec((tie) => ({
  value: fc.oneof(
    { maxDepth: 3 },
    leaf,
    fc.array(tie('value'), { maxLength: 5 }),
    fc.dictionary(names, tie('value'), { maxKeys: 3, noNullPrototype: true })
  )
}))

/** Puts something in the place that the numbers lead to, beside what is there or instead of it. */
function change(value: unknown, path: readonly number[], name: string, put: unknown): unknown {
  const [step, ...rest] = path
  if (typeof value !== 'object' || value === null || step === undefined) return put
  const keys = Object.keys(value)
  const key = keys[step % (keys.length + 1)]
  const copy: object = Array.isArray(value) ? [...value] : { ...value }
  if (key === undefined) {
    Object.defineProperty(copy, Array.isArray(copy) ? copy.length : name, all(put))
    return copy
  }
  if (put === undefined && rest.length === 0 && !Array.isArray(copy)) Reflect.deleteProperty(copy, key)
  else Object.defineProperty(copy, key, all(change(Reflect.get(value, key), rest, name, put ?? null)))
  return copy
}
const all = (value: unknown): PropertyDescriptor => ({
  value,
  enumerable: true,
  writable: true,
  configurable: true
})

for (const [name, schema, valid] of requests) {
  const asIs = takesAsIs(schema)

  test(`${name}: usual requests are taken at a look`, () => {
    for (const body of valid) expect([body, asIs(body)]).toEqual([body, true])
  })

  test(`${name}: what is taken at a look the schema takes and leaves as it is`, { timeout: 60_000 }, () => {
    let taken = 0
    const change1 = fc.tuple(
      fc.array(fc.nat(7), { maxLength: 5 }),
      names,
      fc.option(anything, { nil: undefined })
    )
    fc.assert(
      fc.property(fc.constantFrom(...valid), fc.array(change1, { maxLength: 3 }), (body, changes) => {
        let value: unknown = body
        for (const [path, where, put] of changes) value = change(value, path, where, put)
        if (!asIs(value)) return
        taken++
        const result = schema.safeParse(value, untilFirst)
        expect(result.success).toBe(true)
        expect(result.data).toStrictEqual(value)
        // A null counts as absent, so none may pass for a value.
        expect(Object.values(value as object)).not.toContain(null)
      }),
      { numRuns: 5000, seed: 11 }
    )
    expect(taken).toBeGreaterThan(500)
  })
}

test('of what a schema changes, nothing is taken at a look', () => {
  const cases: [z.ZodType, unknown][] = [
    [z.object({ a: z.string() }), { a: 'x', b: 1 }],
    [z.union([z.object({ a: z.string() }), z.object({ a: z.string(), b: z.number() })]), { a: 'x', b: 1 }],
    [z.object({ a: z.string().default('x') }), {}],
    [z.object({ a: z.string().default('x').optional() }), {}],
    [z.object({ a: z.string().default('x').optional() }), { a: undefined }],
    [z.array(z.coerce.number()), ['1']],
    [z.string().trim(), ' x'],
    [z.string().transform(Number), '1'],
    [z.object({ a: z.unknown().transform(() => 1) }), { a: 2 }],
    [z.number().catch(1), 'x'],
    [z.record(z.string(), z.string().trim()), { a: ' x' }]
  ]
  for (const [schema, value] of cases) {
    expect(z.safeParse(schema, value).success).toBe(true)
    expect(takesAsIs(schema)(value)).toBe(false)
  }
})

test('checks hold at their bounds', () => {
  const cases: [z.ZodType, unknown[], unknown[]][] = [
    [z.number().min(1).max(2), [1, 1.5, 2], [0, 2.5, NaN, Infinity, '1']],
    [z.number().positive().lt(2), [0.1], [0, 2]],
    [z.number().int(), [1, 2 ** 53 - 1], [1.5, 2 ** 53]],
    [z.string().min(1).max(2), ['a', 'ab'], ['', 'abc', 1]],
    [z.array(z.boolean()).min(1).max(2), [[true], [true, false]], [[], [1], [true, true, true]]],
    [z.strictObject({ a: z.literal('x').nullish() }), [{}, { a: null }, { a: 'x' }], [{ b: 1 }, { a: 'y' }]],
    [z.string().regex(/^a/), ['a'], ['b']],
    [z.number().refine((value) => value !== 3), [2], [3]]
  ]
  for (const [schema, right, wrong] of cases) {
    for (const value of right) expect([value, takesAsIs(schema)(value)]).toEqual([value, true])
    for (const value of wrong) {
      expect([value, takesAsIs(schema)(value)]).toEqual([value, false])
      expect(z.safeParse(schema, value).success).toBe(false)
    }
  }
})
