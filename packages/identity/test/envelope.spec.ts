import { fromBinary, toBinary, create } from '@bufbuild/protobuf'
import { KwaaiError, type Signer } from '@kwaai/interface'
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { createIdentity, open, seal } from '../src/index.ts'
import { decodeEnvelope, signedBytes } from '../src/envelope-codec.ts'
import { EnvelopeSchema } from './gen/envelope_pb.ts'
import { fromHex, toHex } from './hex.ts'
import vectors from './vectors/envelope.json' with { type: 'json' }

const alice = createIdentity({ seed: new Uint8Array(32).fill(1) })
const mallory = createIdentity({ seed: new Uint8Array(32).fill(2) })
const context = 'kwaai/record/1'
const payload = new TextEncoder().encode('payload')
const contexts = [
  'kwaai/record/1',
  'kwaai/record/2',
  'kwaai/recor/1',
  'kwaai/record/11',
  'kwaai/record/offer/1'
]

const code = (name: string): unknown => expect.objectContaining({ code: `ERR_IDENTITY_${name}` })
const malformed = code('ENVELOPE_MALFORMED')

/** What the signer would have signed, packed by the generated code with the changes asked for. */
function packed(
  changes: Partial<Parameters<typeof create<typeof EnvelopeSchema>>[1]>,
  bytes: Uint8Array
): Uint8Array {
  return toBinary(EnvelopeSchema, { ...fromBinary(EnvelopeSchema, bytes), ...changes })
}

describe('vectors', () => {
  test.each(vectors.vectors)(
    '$context with "$payload" is sealed to the same bytes for ever',
    async (vector) => {
      const identity = createIdentity({ seed: fromHex(vector.seed) })
      const bytes = await seal(identity, vector.context, fromHex(vector.payload))
      expect(toHex(bytes)).toBe(vector.envelope)
      const opened = await open(fromHex(vector.envelope), { context: vector.context })
      expect(opened).toEqual({ payload: fromHex(vector.payload), signer: identity.did })
    }
  )
})

test('what is sealed is opened, and protobuf reads and writes the same bytes', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.uint8Array({ maxLength: 300 }),
      fc.constantFrom(...contexts),
      async (payload, context) => {
        const bytes = await seal(alice, context, payload)
        expect(await open(bytes, { context })).toEqual({ payload, signer: alice.did })
        const message = fromBinary(EnvelopeSchema, bytes)
        expect(message.payload).toEqual(payload)
        expect(message.context).toBe(context)
        expect(toBinary(EnvelopeSchema, message)).toEqual(bytes)
      }
    ),
    { numRuns: 50 }
  )
})

test('every single flipped bit and every truncation is refused with a typed error', async () => {
  const bytes = await seal(alice, context, payload)
  const refusals = new Set<string>()
  const refuse = async (spoilt: Uint8Array): Promise<void> => {
    const outcome = await open(spoilt, { context }).catch((error: unknown) => error)
    if (!KwaaiError.is(outcome)) throw new Error(`opened, or failed without a code: ${toHex(spoilt)}`)
    refusals.add(outcome.code)
  }
  for (let bit = 0; bit < bytes.length * 8; bit++) {
    const spoilt = bytes.slice()
    spoilt[bit >> 3] = (spoilt[bit >> 3] as number) ^ (1 << (bit & 7))
    await refuse(spoilt)
  }
  for (let length = 0; length < bytes.length; length++) await refuse(bytes.slice(0, length))
  expect(refusals).toContain('ERR_IDENTITY_BAD_SIGNATURE')
  expect(refusals).toContain('ERR_IDENTITY_WRONG_CONTEXT')
  expect(refusals).toContain('ERR_IDENTITY_ENVELOPE_MALFORMED')
})

test('a signature for one context never verifies for another, even when the field is rewritten', async () => {
  for (const from of contexts) {
    const bytes = await seal(alice, from, payload)
    for (const to of contexts.filter((other) => other !== from)) {
      await expect(open(bytes, { context: to })).rejects.toThrow(code('WRONG_CONTEXT'))
      await expect(open(packed({ context: to }, bytes), { context: to })).rejects.toThrow(
        code('BAD_SIGNATURE')
      )
    }
  }
})

test('a foreign signer, payload or signature is refused', async () => {
  const bytes = await seal(alice, context, payload)
  const other = fromBinary(EnvelopeSchema, await seal(mallory, context, payload))
  const cases = [{ signer: other.signer }, { signature: other.signature }, { payload: Uint8Array.of(1) }]
  for (const changes of cases) {
    await expect(open(packed(changes, bytes), { context })).rejects.toThrow(code('BAD_SIGNATURE'))
  }
})

test('a bare signature over the payload is no envelope signature', async () => {
  const signature = await alice.sign(payload)
  const bytes = packed({ signature }, await seal(alice, context, payload))
  await expect(open(bytes, { context })).rejects.toThrow(code('BAD_SIGNATURE'))
})

test('no two triples of context, signer and payload have the same signed bytes', () => {
  const bytes = fc.uint8Array({ maxLength: 4 })
  const text = fc.string({ maxLength: 4 }) // Well formed: a lone surrogate becomes U+FFFD, and contexts are ASCII.
  fc.assert(
    fc.property(text, bytes, bytes, text, bytes, bytes, (c1, s1, p1, c2, s2, p2) => {
      const same = c1 === c2 && toHex(s1) === toHex(s2) && toHex(p1) === toHex(p2)
      expect(toHex(signedBytes(c1, s1, p1)) === toHex(signedBytes(c2, s2, p2))).toBe(same)
    })
  )
})

describe('every other encoding of the same fields is refused', () => {
  const field = (number: number, bytes: Uint8Array): number[] => [(number << 3) | 2, bytes.length, ...bytes]
  const build = async (make: (parts: number[][]) => number[]): Promise<Uint8Array> => {
    const {
      payload: body,
      context: name,
      signer,
      signature
    } = decodeEnvelope(await seal(alice, context, payload))
    const parts = [body, new TextEncoder().encode(name), signer, signature]
    return Uint8Array.from(make(parts.map((bytes, i) => field(i + 1, bytes))))
  }
  const cases: [string, (parts: number[][]) => number[]][] = [
    ['a field twice', (parts) => [...(parts[0] as number[]), ...parts.flat()]],
    ['a field twice at the end', (parts) => [...parts.flat(), ...(parts[3] as number[])]],
    ['another order', (parts) => parts.toReversed().flat()],
    ['an unknown field', (parts) => [...parts.flat(), 0x2a, 0x01, 0x00]],
    ['an unknown varint field', (parts) => [...parts.flat(), 0x28, 0x01]],
    ['a zero byte behind', (parts) => [...parts.flat(), 0]],
    [
      'a length that is not the shortest',
      ([first, ...rest]) => [
        0x0a,
        (first?.[1] as number) | 0x80,
        0,
        ...(first?.slice(2) ?? []),
        ...rest.flat()
      ]
    ],
    [
      'a tag that is not the shortest',
      ([first, ...rest]) => [0x8a, 0x00, ...(first?.slice(1) ?? []), ...rest.flat()]
    ],
    ['an empty payload written out', (parts) => [0x0a, 0x00, ...parts.slice(1).flat()]],
    ['a length beyond the end', (parts) => [...parts.slice(0, 3).flat(), 0x22, 0xff, 0xff, 0xff, 0x7f]],
    [
      'a length without end',
      (parts) => [...parts.slice(0, 3).flat(), 0x22, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]
    ],
    ['no signature', (parts) => parts.slice(0, 3).flat()],
    ['no signer', ([a, b, , d]) => [...(a as number[]), ...(b as number[]), ...(d as number[])]],
    [
      'a context that is not UTF-8',
      ([a, , c, d]) => [...(a as number[]), 0x12, 1, 0xff, ...(c as number[]), ...(d as number[])]
    ]
  ]
  test.each(cases)('%s', async (_name, make) => {
    await expect(open(await build(make), { context })).rejects.toThrow(malformed)
  })

  test('while the same builder unchanged opens', async () => {
    const bytes = await build((parts) => parts.flat())
    expect((await open(bytes, { context })).signer).toBe(alice.did)
  })
})

test('garbage is refused with a typed error', async () => {
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 400 }), async (bytes) => {
      await expect(open(bytes, { context })).rejects.toThrow(malformed)
    })
  )
})

test('a signer of small order is malformed', async () => {
  const signer = new Uint8Array([0xed, 0x01, 1, ...new Uint8Array(31)])
  const bytes = packed({ signer, signature: new Uint8Array(64) }, await seal(alice, context, payload))
  await expect(open(bytes, { context })).rejects.toThrow(malformed)
})

test.each([
  '',
  'kwaai',
  'record/',
  '/1',
  'kwaai/record',
  'Kwaai/record/1',
  'kwaai//1',
  'kwaai/re cord/1',
  'kwaai/record/1\n',
  'kwaai/é/1',
  `${'a'.repeat(127)}/1`
])('"%s" is no context', async (bad) => {
  await expect(seal(alice, bad, payload)).rejects.toThrow(code('INVALID_CONTEXT'))
  await expect(open(new Uint8Array(), { context: bad })).rejects.toThrow(code('INVALID_CONTEXT'))
})

test('sizes are bounded before anything is read', async () => {
  const bytes = await seal(alice, context, new Uint8Array(1000))
  await expect(open(bytes, { context, maxBytes: bytes.length - 1 })).rejects.toThrow(
    code('ENVELOPE_TOO_LARGE')
  )
  expect((await open(bytes, { context, maxBytes: bytes.length })).payload.length).toBe(1000)
  await expect(seal(alice, context, new Uint8Array(1000), { maxBytes: 1000 })).rejects.toThrow(
    code('ENVELOPE_TOO_LARGE')
  )
  await expect(seal(alice, context, new Uint8Array(2 ** 20))).rejects.toThrow(code('ENVELOPE_TOO_LARGE'))
})

test('a signer that signs with another key than it names seals nothing', async () => {
  const liar: Signer = {
    did: alice.did,
    publicKey: alice.publicKey,
    sign: (message) => mallory.sign(message)
  }
  await expect(seal(liar, context, payload)).rejects.toThrow(code('BAD_SIGNATURE'))
})

test('bytes changed while they are verified change nothing that is handed out', async () => {
  const bytes = await seal(alice, context, payload)
  const opening = open(bytes, { context })
  bytes.fill(0)
  expect((await opening).payload).toEqual(payload)
  const source = payload.slice()
  const sealing = seal(alice, context, source)
  source.fill(0)
  expect((await open(await sealing, { context })).payload).toEqual(payload)
})
