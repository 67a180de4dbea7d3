import { create, toBinary } from '@bufbuild/protobuf'
import { createIdentity, seal } from '@kwaai/identity'
import { KwaaiError } from '@kwaai/interface'
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { RecordSchema, RequestSchema, ResponseSchema } from '../src/gen/dht_pb.ts'
import {
  decodeRequest,
  decodeResponse,
  encodeRequest,
  encodeResponse,
  type DhtRequest,
  type DhtResponse
} from '../src/messages.ts'
import { createRecordOpener, openRecord, signRecord } from '../src/record.ts'
import vectors from './vectors/dht.json' with { type: 'json' }

const hex = (bytes: Uint8Array): string =>
  Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
const unhex = (text: string): Uint8Array =>
  Uint8Array.from(text.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16))
/** JSON holds bytes as `{ hex }`. */
const revive = (value: unknown): unknown =>
  JSON.parse(JSON.stringify(value), (_key, each: unknown) =>
    typeof each === 'object' && each !== null && 'hex' in each ? unhex(String(each.hex)) : each
  )
const invalid = expect.objectContaining({ code: 'ERR_DHT_INVALID_MESSAGE' })
const alice = createIdentity({ seed: new Uint8Array(32).fill(1) })
const fields = {
  key: 'k',
  subkey: '',
  value: Uint8Array.of(1),
  sequence: 1,
  expiresAt: 1000,
  withdrawn: false
}

describe('vectors', () => {
  test.each(vectors.records)('a record of sequence $sequence has the same bytes for ever', async (vector) => {
    const { seed, envelope, value, ...rest } = vector
    const identity = createIdentity({ seed: unhex(seed) })
    const record = { ...rest, value: unhex(value) }
    expect(hex((await signRecord(identity, record)).envelope)).toBe(envelope)
    expect(await openRecord(unhex(envelope))).toEqual({
      ...record,
      signer: identity.did,
      envelope: unhex(envelope)
    })
  })

  test.each(vectors.requests)('request $message.type: $bytes', ({ message, bytes }) => {
    const request = revive(message) as DhtRequest
    expect(hex(encodeRequest(request))).toBe(bytes)
    expect(decodeRequest(unhex(bytes))).toEqual(request)
  })

  test.each(vectors.responses)('response $message.type: $bytes', ({ message, bytes }) => {
    const response = revive(message) as DhtResponse
    expect(hex(encodeResponse(response))).toBe(bytes)
    expect(decodeResponse(unhex(bytes))).toEqual(response)
  })
})

describe('what is outside the limits is refused', () => {
  type RequestBody = NonNullable<Parameters<typeof create<typeof RequestSchema>>[1]>
  type ResponseBody = NonNullable<Parameters<typeof create<typeof ResponseSchema>>[1]>
  const request = (body: RequestBody['body']): Uint8Array =>
    toBinary(RequestSchema, create(RequestSchema, body === undefined ? {} : { body }))
  const response = (body: ResponseBody['body']): Uint8Array =>
    toBinary(ResponseSchema, create(ResponseSchema, body === undefined ? {} : { body }))
  const many = <T>(count: number, item: T): T[] => Array.from({ length: count }, () => item)
  const one = Uint8Array.of(1)

  test.each<[string, Uint8Array]>([
    ['nothing', new Uint8Array()],
    ['no body', request(undefined)],
    ['a target of 31 bytes', request({ case: 'findPeers', value: { target: new Uint8Array(31) } })],
    ['an empty key', request({ case: 'findRecords', value: { key: '' } })],
    ['a long key', request({ case: 'findRecords', value: { key: 'k'.repeat(257) } })],
    ['a long cursor', request({ case: 'findRecords', value: { key: 'k', after: 'a'.repeat(400) } })],
    ['no records', request({ case: 'store', value: { records: [] } })],
    ['65 records', request({ case: 'store', value: { records: many(65, one) } })],
    ['a large record', request({ case: 'store', value: { records: [new Uint8Array(17_409)] } })],
    ['a large message', new Uint8Array(262_145)]
  ])('request with %s', (_name, bytes) => {
    expect(() => decodeRequest(bytes)).toThrow(invalid)
  })

  test.each<[string, Uint8Array]>([
    ['nothing', new Uint8Array()],
    ['no body', response(undefined)],
    ['ten thousand peers', response({ case: 'peers', value: { peers: many(10_000, 'peer') } })],
    ['65 peers', response({ case: 'peers', value: { peers: many(65, 'peer') } })],
    ['an empty peer', response({ case: 'peers', value: { peers: [''] } })],
    ['an address for a peer', response({ case: 'peers', value: { peers: ['/ip4/192.0.2.1/tcp/1'] } })],
    ['a long peer', response({ case: 'peers', value: { peers: ['p'.repeat(129)] } })],
    ['65 closer peers', response({ case: 'records', value: { closer: many(65, 'peer') } })],
    ['65 records', response({ case: 'records', value: { records: many(65, one) } })],
    ['a large record', response({ case: 'records', value: { records: [new Uint8Array(17_409)] } })],
    ['a long cursor', response({ case: 'records', value: { next: 'n'.repeat(400) } })],
    ['65 results', response({ case: 'stored', value: { results: many(65, { stored: true }) } })],
    ['a large message', new Uint8Array(262_145)]
  ])('response with %s', (_name, bytes) => {
    expect(() => decodeResponse(bytes)).toThrow(invalid)
  })

  test.each<
    [string, { key?: string; subkey?: string; value?: Uint8Array; sequence?: bigint; expiresAtMs?: bigint }]
  >([
    ['an empty key', { key: '' }],
    ['a long key', { key: 'k'.repeat(257) }],
    ['a long subkey', { subkey: 's'.repeat(257) }],
    ['a large value', { value: new Uint8Array(16_385) }],
    ['a sequence beyond exact numbers', { sequence: 2n ** 53n }],
    ['an expiry beyond exact numbers', { expiresAtMs: 2n ** 64n - 1n }]
  ])('record with %s', async (_name, changes) => {
    const payload = toBinary(
      RecordSchema,
      create(RecordSchema, { key: 'k', sequence: 1n, expiresAtMs: 1000n, ...changes })
    )
    const envelope = await seal(alice, 'kwaai/record/1', payload)
    await expect(openRecord(envelope)).rejects.toThrow(invalid)
    await expect(createRecordOpener()(envelope)).rejects.toThrow(invalid)
  })
})

describe('garbage', () => {
  const valid = [...vectors.requests, ...vectors.responses].map(({ bytes }) => unhex(bytes))
  const spoilt = fc
    .tuple(
      fc.constantFrom(...valid),
      fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 4 })
    )
    .map(([bytes, changes]) => {
      const out = bytes.slice()
      for (const [at, byte] of changes) if (out.length > 0) out[at % out.length] = byte
      return out
    })

  test('is read as a message within the limits or refused with a typed error', () => {
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 200 }), spoilt), (bytes) => {
        for (const decode of [decodeRequest, decodeResponse]) {
          try {
            const message = decode(bytes)
            if (message.type === 'peers') expect(message.peers.length).toBeLessThanOrEqual(64)
          } catch (error) {
            expect(KwaaiError.is(error, 'ERR_DHT_INVALID_MESSAGE')).toBe(true)
          }
        }
      }),
      { numRuns: 1000 }
    )
  })

  test('nested a hundred thousand deep does not break the stack', () => {
    const deep = new Uint8Array(200_000).fill(0x0b) // Start of group 1, again and again.
    expect(() => decodeRequest(deep)).toThrow(invalid)
    expect(() => decodeResponse(deep)).toThrow(invalid)
  })

  test('is no record', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 200 }), async (bytes) => {
        await expect(openRecord(bytes)).rejects.toThrow(invalid)
      })
    )
  })
})

describe('a signed record', () => {
  test('of another context, or whose payload is no record, is refused', async () => {
    const { envelope } = await signRecord(alice, fields)
    const payload = toBinary(
      RecordSchema,
      create(RecordSchema, { key: 'k', sequence: 1n, expiresAtMs: 1000n })
    )
    await expect(openRecord(await seal(alice, 'kwaai/record/2', payload))).rejects.toThrow(invalid)
    await expect(openRecord(await seal(alice, 'kwaai/record/1', Uint8Array.of(255)))).rejects.toThrow(invalid)
    expect((await openRecord(envelope)).signer).toBe(alice.did)
  })

  test('is read once and remembered, and a spoilt copy of it is not', async () => {
    const opener = createRecordOpener()
    const { envelope } = await signRecord(alice, fields)
    const first = await opener(envelope)
    expect(await opener(envelope.slice())).toBe(first)
    const spoilt = envelope.slice()
    spoilt[10] = (spoilt[10] as number) ^ 1
    await expect(opener(spoilt)).rejects.toThrow(invalid)
    // What the caller does to the bytes later changes nothing.
    envelope.fill(0)
    expect(first.envelope).not.toEqual(envelope)
  })
})
