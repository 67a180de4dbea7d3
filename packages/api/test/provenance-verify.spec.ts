import { createIdentity, seal } from '@kwaai/identity'
import { KwaaiError } from '@kwaai/interface'
import { verifyProvenance, type ApiErrorCode } from '@kwaai/api'
import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { fromBase64Url, toBase64Url } from '../src/provenance/base64url.ts'
import { canonicalJson, type JsonValue } from '../src/provenance/canonical-json.ts'
import { provenanceRecord } from '../src/provenance/record.ts'
import vectors from './vectors/provenance.json' with { type: 'json' }

const identity = createIdentity({ seed: Uint8Array.from({ length: 32 }, (_, index) => index) })
const [first] = vectors.valid
const good = JSON.stringify(first?.document)

const codeOf = async (provenance: string | Uint8Array, signer?: string): Promise<unknown> => {
  try {
    await verifyProvenance(provenance, signer === undefined ? {} : { signer })
    return undefined
  } catch (error) {
    return KwaaiError.is(error) ? error.code : error
  }
}

test.each(vectors.valid)('$name verifies, and is written so again', async ({ canonical, document }) => {
  const expected = { record: document.record, signer: vectors.signer }
  const text = JSON.stringify(document, null, 2)
  const envelope = fromBase64Url(document.envelope) ?? new Uint8Array()
  for (const form of [text, `\uFEFF${text}`, `\n ${text}`, new TextEncoder().encode(`\n${text}`), envelope])
    expect(await verifyProvenance(form)).toEqual(expected)
  expect(await verifyProvenance(text, { signer: vectors.signer })).toEqual(expected)

  expect(canonicalJson(document.record)).toBe(canonical)
  const bytes = await seal(identity, vectors.context, new TextEncoder().encode(canonical))
  expect(toBase64Url(bytes)).toBe(document.envelope)
})

test.each(vectors.invalid)('$name is refused by name', async ({ code, document }) => {
  expect(await codeOf(JSON.stringify(document))).toBe(code)
})

test('a valid one of another signer than asked for is refused', async () => {
  expect(await codeOf(good, 'did:key:z6Mkother')).toBe(
    'ERR_API_PROVENANCE_WRONG_SIGNER' satisfies ApiErrorCode
  )
})

test.each([
  '',
  '{',
  '[]',
  'null',
  '{}',
  '{"envelope":1}',
  'hello',
  '{"object":"kwaai.provenance"}',
  '\u0000'
])('what is none is malformed: %j', async (text) => {
  expect(await codeOf(text)).toBe('ERR_API_PROVENANCE_MALFORMED')
  expect(await codeOf(new TextEncoder().encode(text))).toBe('ERR_API_PROVENANCE_MALFORMED')
})

test('what a reader may see and nobody signed is refused', async () => {
  const record = JSON.stringify(first?.document.record)
  const twice = good.replace('"record":', `"record":{"disclosed":[]} , "record" :`)
  const inside = good.replace(`"record":${record}`, `"record":${record.replace('"v":1', '"id":"x","v":1')}`)
  const escaped = good.replace('"record":', `"\\u0072ecord":{},"record":`)
  const more = JSON.stringify({ ...first?.document, note: 'nothing left the node' })
  for (const text of [twice, inside, escaped, more]) {
    expect(text).not.toBe(good)
    expect(await codeOf(text)).toBe('ERR_API_PROVENANCE_MALFORMED')
  }
  const other = JSON.stringify({ ...first?.document, id: 'chatcmpl-other' })
  expect(await codeOf(other)).toBe('ERR_API_PROVENANCE_ALTERED')
  expect(await codeOf(good.replace(':', ' \n:\t'))).toBeUndefined()
})

test('what is too large is not looked at', async () => {
  const large = JSON.stringify({ ...first?.document, note: 'x'.repeat(1_100_000) })
  expect(await codeOf(large)).toBe('ERR_API_PROVENANCE_MALFORMED')
  expect(await codeOf(new Uint8Array(1_100_000))).toBe('ERR_API_PROVENANCE_MALFORMED')
})

test('no byte of an envelope can be changed', async () => {
  const envelope = fromBase64Url(first?.document.envelope ?? '') ?? new Uint8Array()
  await fc.assert(
    fc.asyncProperty(fc.nat(envelope.length - 1), fc.integer({ min: 1, max: 255 }), async (at, change) => {
      const bytes = envelope.slice()
      bytes[at] = (bytes[at] ?? 0) ^ change
      expect(await codeOf(bytes)).toMatch(/^ERR_API_PROVENANCE_(MALFORMED|BAD_SIGNATURE|WRONG_CONTEXT)$/)
    }),
    { seed: 5, numRuns: 200 }
  )
})

test('no bytes make it throw anything but its own errors', async () => {
  await fc.assert(
    fc.asyncProperty(fc.oneof(fc.uint8Array({ maxLength: 300 }), fc.json()), async (input) => {
      expect(await codeOf(input)).toMatch(/^ERR_API_PROVENANCE_/)
    }),
    { seed: 6, numRuns: 300 }
  )
})

test('a record has no place for a text', async () => {
  for (const field of ['prompt', 'text', 'messages', 'content'])
    expect(provenanceRecord.safeParse({ ...first?.document.record, [field]: 'x' }).success).toBe(false)
})

test('canonical JSON orders names by UTF-16 and is read back the same (RFC 8785)', async () => {
  // The example of RFC 8785 §3.2.3: U+1F600 comes before U+FB33, for its first unit is smaller.
  const names = ['\u20ac', '\r', '\ufb33', '\ud83d\ude00', '\u0080', '\u00f6']
  const text = canonicalJson(Object.fromEntries(names.map((name, index) => [name, index])))
  expect(Object.keys(JSON.parse(text))).toEqual([
    '\r',
    '\u0080',
    '\u00f6',
    '\u20ac',
    '\ud83d\ude00',
    '\ufb33'
  ])
  expect(canonicalJson({ b: [1e21, -0, 1e-7, 0.1], a: '\u2028"\\\n\u0007é' })).toBe(
    '{"a":"\u2028\\"\\\\\\n\\u0007é","b":[1e+21,0,1e-7,0.1]}'
  )
  await fc.assert(
    fc.property(fc.jsonValue({ noUnicodeString: false }), (value) => {
      const written = JSON.stringify(value)
      // A lone surrogate is refused; JSON.stringify escapes it.
      fc.pre(!/\\ud[89a-f]/.test(written))
      expect(JSON.parse(canonicalJson(value as JsonValue))).toEqual(JSON.parse(written))
    }),
    { seed: 7, numRuns: 200 }
  )
  for (const bad of [Number.NaN, Infinity, '\ud800', { '\udc00': 1 }])
    expect(() => canonicalJson(bad)).toThrow(KwaaiError)
  let deep: JsonValue = 1
  for (let level = 0; level < 100; level++) deep = [deep]
  expect(() => canonicalJson(deep)).toThrow(KwaaiError)
})

test('a time that no date has is malformed, though it is signed', async () => {
  const signed = (created: number): Promise<Uint8Array> => {
    const record = { ...first?.document.record, created } as JsonValue
    return seal(identity, vectors.context, new TextEncoder().encode(canonicalJson(record)))
  }
  expect(await codeOf(await signed(8_640_000_000_000))).toBeUndefined()
  expect(await codeOf(await signed(8_640_000_000_001))).toBe('ERR_API_PROVENANCE_MALFORMED')
})

test('base64url is read back as it was written', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
      expect(fromBase64Url(toBase64Url(bytes))).toEqual(bytes)
    }),
    { seed: 8, numRuns: 100 }
  )
  for (const bad of ['a', 'ab+c', 'ab/c', 'a b', 'ü']) expect(fromBase64Url(bad)).toBeUndefined()
})
