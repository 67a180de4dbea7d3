import { createApi } from '@kwaai/api'
import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { nestsWithin } from '../src/json-depth.ts'
import { createFakeModel } from './support/fake-model.ts'
import { chat, expectError } from './support/requests.ts'
import { respondTo } from './support/responses.ts'

const depthOf = (value: unknown): number =>
  typeof value === 'object' && value !== null ? 1 + Math.max(0, ...Object.values(value).map(depthOf)) : 0

test('knows how deep a text nests, whatever its strings hold', () => {
  const odd = fc.constantFrom('[[[[', '{"', '\\', '\\"', '"[', ']]]]}}', '\\\\"{')
  fc.assert(
    fc.property(fc.jsonValue({ depthSize: 'medium' }), odd, fc.nat(2), (value, text, indent) => {
      const whole = { [text]: [value, text] }
      const depth = depthOf(whole)
      const written = JSON.stringify(whole, null, indent).padEnd(20)
      expect([nestsWithin(written, depth), nestsWithin(written, depth - 1)]).toEqual([true, false])
    }),
    { seed: 3, numRuns: 300 }
  )
  expect(nestsWithin(`"${'['.repeat(500)}`, 5)).toBe(true)
})

test.each(['[', '{"a":', '{"a":['])(
  'a body that nests too deep is refused, however deep: %s',
  async (open) => {
    const close = Array.from(open.replaceAll(/[^[{]/g, ''))
      .toReversed()
      .map((bracket) => (bracket === '[' ? ']' : '}'))
    const api = createApi({}, { models: [createFakeModel()] })
    for (const levels of [201, 5000, 200_000]) {
      const deep = open.repeat(levels) + '1' + close.join('').repeat(levels)
      for (const stream of [true, false]) {
        const format = `{"format":{"type":"json_schema","name":"n","schema":{"a":${deep}}}}`
        const response = respondTo(`{"model":"fake","input":"x","stream":${stream},"text":${format}}`)
        await expectError(await api.fetch(response), 400, 'invalid_json')
        await expectError(await api.fetch(chat(`{"foo":${deep}}`)), 400, 'invalid_json')
      }
    }
  }
)
