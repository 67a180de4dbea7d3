import { KwaaiError } from '@kwaai/interface'
import { bytesToHex, hexToBytes } from '@noble/hashes/utils.js'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { decodeFrame, encodeFrame, type FrameInit } from '../src/session/index.ts'
import { findBadRow } from '../src/bad-row.ts'
import { bytesToRows, rowsToBytes } from '../src/session/rows.ts'
import { bytesOf, samples } from './frame-samples.ts'
import vectors from './vectors/frames.json' with { type: 'json' }

const limits = { maxFrameBytes: 100_000 }

describe('a frame', () => {
  test.each(Object.keys(samples))('%s is written as in the vectors', (name) => {
    expect({ [name]: bytesToHex(bytesOf(samples[name]!)) }).toEqual({
      [name]: (vectors as Record<string, string>)[name]
    })
  })

  test.each(Object.entries(vectors))('%s of the vectors is read', (name, hex) => {
    const { body, payload } = decodeFrame(hexToBytes(hex), limits)
    const { body: expected, rows } = samples[name]!
    expect(body.case).toBe(expected.case)
    expect(body.value).toMatchObject(expected.value)
    expect([...bytesToRows(payload)]).toEqual(rows ?? [])
  })

  test('cut anywhere is refused', () => {
    const hex: Record<string, string> = vectors
    for (const name of Object.keys(hex)) {
      const bytes = hexToBytes(hex[name] as string)
      const header = 2 + ((bytes[0] as number) << 8) + (bytes[1] as number)
      for (let length = 0; length < bytes.length; length++) {
        // A whole number of rows' worth of shorter values cannot be told before the session's width is known.
        if (length > header && (length - header) % 2 === 0) continue
        expect(() => decodeFrame(bytes.subarray(0, length), limits), `${name} at ${length}`).toThrow(
          expect.objectContaining({ code: 'ERR_SHARD_INVALID_FRAME' })
        )
      }
    }
  })

  const mutate = (body: FrameInit, change: Record<string, unknown>): FrameInit =>
    ({ ...body, value: { ...body.value, ...change } }) as FrameInit
  test.each([
    ['open', { session: new Uint8Array(15) }],
    ['open', { session: new Uint8Array(0) }],
    ['open', { model: new Uint8Array(31) }],
    ['open', { from: 20 }],
    ['open', { maxTokens: 0 }],
    ['open', { residual: 'x'.repeat(33) }],
    ['open', { numericsClass: 'x'.repeat(257) }],
    ['open', { authorization: new Uint8Array(8_193) }],
    ['open', { before: { peer: 'a', from: 4, to: 4 } }],
    ['open', { before: { peer: '', from: 4, to: 5 } }],
    ['open', { before: { peer: 'a'.repeat(257), from: 4, to: 5 } }],
    ['open', { before: { peer: 'a', from: 4, to: 5, session: new Uint8Array(3) } }],
    ['opened', { hiddenSize: 0 }],
    ['opened', { maxPendingSteps: 0 }],
    ['opened', { maxStepRows: 0 }],
    ['step', { step: 0 }],
    ['step', { rows: 0 }],
    ['step', { rows: 3 }],
    ['step', { from: 20 }],
    ['step', { wanted: 'some' }],
    ['step', { kernel: 'x'.repeat(33) }],
    ['step', { commitment: new Uint8Array(65) }],
    ['step', { previous: 3 }],
    ['step', { stamps: [{ from: 4, to: 4 }] }],
    ['step', { stamps: Array.from({ length: 257 }, () => ({ from: 0, to: 1 })) }],
    ['result', { step: 0 }],
    ['result', { rows: 0 }],
    ['result', { rows: 5 }],
    ['result', { stamps: [{ from: 1, to: 0 }] }],
    ['failure', { code: 'oops' }],
    ['failure', { message: 'x'.repeat(513) }],
    ['failure', { details: { a: 'x'.repeat(257) } }],
    ['route', { session: new Uint8Array(15) }],
    ['route', { route: 0 }],
    ['route', { before: { peer: 'a', from: 4, to: 4 } }],
    ['route', { after: { peer: 'a', from: 4, to: 5 } }],
    ['route', { after: { peer: '', from: 4, to: 5, session: new Uint8Array(16) } }],
    ['route', { after: { peer: 'a', from: 5, to: 4, session: new Uint8Array(16) } }],
    ['routed', { route: 0 }],
    ['join', { session: new Uint8Array(0) }],
    ['joined', { session: new Uint8Array(17) }],
    ['joined', { last: 0, past: 4 }],
    ['report', { done: 44 }],
    ['report', { pending: 44 }]
  ])('%s with %j is refused', (name, change) => {
    const sample = samples[name]!
    const bytes = bytesOf({ ...sample, body: mutate(sample.body, change) })
    expect(() => decodeFrame(bytes, limits)).toThrow(
      expect.objectContaining({ code: 'ERR_SHARD_INVALID_FRAME' })
    )
  })

  test('above its limit is refused before it is looked at', () => {
    const bytes = bytesOf(samples['step']!)
    expect(() => decodeFrame(bytes, { maxFrameBytes: bytes.length - 1 })).toThrow(
      expect.objectContaining({ code: 'ERR_SHARD_INVALID_FRAME' })
    )
    expect(() =>
      encodeFrame(mutate(samples['open']!.body, { authorization: new Uint8Array(20_000) }))
    ).toThrow(expect.objectContaining({ code: 'ERR_SHARD_INVALID_FRAME' }))
  })

  test('fields of a later version do no harm', () => {
    const bytes = bytesOf(samples['close']!)
    // Field 1000, a varint, inside the message and after it.
    const extended = new Uint8Array([
      0,
      bytes.length - 2 + 6,
      ...bytes.subarray(2),
      0xc0,
      0x3e,
      1,
      0xc0,
      0x3e,
      1
    ])
    expect(decodeFrame(extended, limits).body.case).toBe('close')
  })

  test('mutated in any way is read or refused with a typed error, never anything else', () => {
    const all = Object.values(samples).map(bytesOf)
    const mutation = fc.record({
      at: fc.nat(400),
      how: fc.constantFrom('set', 'flip', 'insert', 'remove', 'copy'),
      byte: fc.integer({ min: 0, max: 255 })
    })
    let read = 0
    fc.assert(
      fc.property(
        fc.constantFrom(...all),
        fc.array(mutation, { minLength: 1, maxLength: 6 }),
        (frame, mutations) => {
          const bytes = [...frame]
          for (const { at, how, byte } of mutations) {
            const place = at % (bytes.length + 1)
            if (how === 'set') bytes[place] = byte
            else if (how === 'flip') bytes[place] = (bytes[place] ?? 0) ^ (1 << (byte % 8))
            else if (how === 'insert') bytes.splice(place, 0, byte)
            else if (how === 'remove') bytes.splice(place, 1 + (byte % 4))
            else bytes.splice(place, 0, ...bytes.slice(place, place + byte))
          }
          try {
            const { body, payload } = decodeFrame(Uint8Array.from(bytes), limits)
            read++
            // Nothing read is larger than what came.
            expect(payload.length).toBeLessThanOrEqual(bytes.length)
            expect(
              JSON.stringify(body, (_, value: unknown) => (typeof value === 'bigint' ? 0 : value)).length
            ).toBeLessThan(60 * bytes.length + 2_000)
          } catch (error) {
            if (!KwaaiError.is(error, 'ERR_SHARD_INVALID_FRAME')) throw error
          }
        }
      ),
      { numRuns: 10_000, seed: 5 }
    )
    expect(read).toBeGreaterThan(100)
  })

  test('of noise is refused', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        try {
          decodeFrame(bytes, limits)
        } catch (error) {
          if (!KwaaiError.is(error, 'ERR_SHARD_INVALID_FRAME')) throw error
        }
      }),
      { numRuns: 5_000, seed: 6 }
    )
  })

  test('with groups in groups does not overflow anything', () => {
    const header = new Uint8Array(16_000).fill(0x0b)
    const bytes = new Uint8Array([header.length >>> 8, header.length & 255, ...header])
    expect(() => decodeFrame(bytes, limits)).toThrow(
      expect.objectContaining({ code: 'ERR_SHARD_INVALID_FRAME' })
    )
  })
})

describe('rows', () => {
  test('are little-endian wherever they lie', () => {
    const rows = Float32Array.from([1, -0, 3.5, Infinity])
    expect(bytesToHex(rowsToBytes(rows))).toBe('0000803f00000080000060400000807f')
    const moved = new Uint8Array(17)
    moved.set(rowsToBytes(rows), 1)
    expect(bytesToRows(moved.subarray(1))).toEqual(rows)
    expect(rowsToBytes(rows).buffer).toBe(rows.buffer)
    // As a big-endian machine would do it.
    expect(bytesToRows(rowsToBytes(rows, false), false)).toEqual(rows)
    expect(rowsToBytes(rows, false)).not.toEqual(rowsToBytes(rows))
  })

  test('with values no model makes are found', () => {
    const rows = new Float32Array(12)
    expect(findBadRow(rows, 4)).toBeUndefined()
    for (const value of [NaN, Infinity, -Infinity, 1.01e8, -1.01e8]) {
      expect(findBadRow(rows.slice().fill(value, 7, 8), 4)).toMatchObject({ row: 1 })
    }
    expect(findBadRow(rows.slice().fill(1e8), 4)).toBeUndefined()
  })
})
