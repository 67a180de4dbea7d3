import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { TensorType } from '../src/gguf/index.ts'
import { halfTable, halfToNumber, numberToHalf } from '../src/half.ts'
import { rmsNorm, rope, silu } from '../src/reference/block.ts'
import { exp, ln, sinCos } from '../src/reference/math.ts'
import { createMatrix, dot, multiply } from '../src/reference/matrix.ts'
import { dequantize, referenceTypes } from '../src/reference/index.ts'
import { encode, seeded, type ToyType } from './toy-model.ts'
import vectors from './vectors/dequantize.json' with { type: 'json' }

const bytesOf = (base64: string): Uint8Array => Uint8Array.from(atob(base64), (c) => c.charCodeAt(0))

describe('halves', () => {
  test('every half is the number IEEE 754 says, and comes back', () => {
    const wrong: number[] = []
    for (let bits = 0; bits < 65_536; bits++) {
      const value = halfToNumber(bits)
      const exponent = (bits >> 10) & 31
      const fraction = bits & 1023
      const size = exponent === 0 ? fraction / 2 ** 24 : (1 + fraction / 1024) * 2 ** (exponent - 15)
      const expected = exponent < 31 ? size : fraction === 0 ? Infinity : Number.NaN
      const back = Number.isNaN(value) || numberToHalf(value) === bits
      if (!Object.is(value, bits < 32_768 ? expected : -expected) || !back) wrong.push(bits)
    }
    expect(wrong).toEqual([])
    expect(halfToNumber(numberToHalf(Number.NaN))).toBeNaN()
    expect(halfTable()[0x3c00]).toBe(1)
  })

  test('a float becomes the nearest half, ties to even', () => {
    fc.assert(
      fc.property(fc.float({ noNaN: true, min: -70_000, max: 70_000 }), (value) => {
        const bits = numberToHalf(value)
        const near = halfToNumber(bits)
        if (!Number.isFinite(near)) return Math.abs(value) >= 65_520
        const distance = Math.abs(near - value)
        return [bits - 1, bits + 1].every((other) => {
          const there = halfToNumber(other & 0xffff)
          if (!Number.isFinite(there) || Math.sign(there) !== Math.sign(near)) return true
          const apart = Math.abs(there - value)
          return distance < apart || (distance === apart && bits % 2 === 0)
        })
      }),
      { numRuns: 3000, seed: 2 }
    )
    const cases = [
      [65_519.99, 0x7bff],
      [65_520, 0x7c00],
      [-1e9, 0xfc00],
      [2 ** -25, 0],
      [1.0000001 * 2 ** -25, 1],
      [3 * 2 ** -25, 2],
      [2 ** -14 - 2 ** -26, 0x400],
      [-0, 0x8000]
    ] as const
    for (const [value, bits] of cases) expect(numberToHalf(value)).toBe(bits)
  })
})

describe('dequantisation', () => {
  test('every type of the reference has a vector made by ggml, and gives its bits', () => {
    expect(Object.keys(vectors.types).toSorted()).toEqual([...referenceTypes].toSorted())
    for (const [type, { bytes, floats }] of Object.entries(vectors.types)) {
      const actual = dequantize(type as TensorType, bytesOf(bytes))
      expect(new Uint8Array(actual.buffer), type).toEqual(bytesOf(floats))
    }
  })

  test('rounds by at most half a step of its type', () => {
    const next = seeded(5)
    const values = Float32Array.from({ length: 3200 }, () => (next() - 0.5) * 2)
    const steps: Record<ToyType, number> = {
      F32: 0,
      F16: 2 ** -11,
      BF16: 2 ** -8,
      // The codes of these two are not symmetric: the largest value may lose a whole step.
      Q4_0: 1 / 8,
      Q5_0: 1 / 16,
      Q4_1: 1 / 15,
      Q5_1: 1 / 31,
      Q8_0: 1 / 254
    }
    for (const [type, step] of Object.entries(steps)) {
      const back = dequantize(type as TensorType, encode(type as ToyType, values))
      const worst = values.reduce((max, v, i) => Math.max(max, Math.abs(v - (back[i] as number))), 0)
      expect(worst, type).toBeLessThanOrEqual(step * 1.07)
      if (step > 0) expect(worst, type).toBeGreaterThan(step / 8)
    }
  })

  test('refuses what it does not know, and pieces of a block', () => {
    expect(() => dequantize('IQ2_XXS', new Uint8Array(66))).toThrow('IQ2_XXS')
    expect(() => dequantize('Q4_1', new Uint8Array(21))).toThrow('no whole Q4_1 blocks')
  })
})

describe('functions made of additions and multiplications alone', () => {
  test('exp is within 1e-14 of the engine’s', () => {
    fc.assert(
      fc.property(fc.double({ min: -743, max: 709, noNaN: true }), (x) => {
        const expected = Math.exp(x)
        expect(Math.abs(exp(x) - expected)).toBeLessThanOrEqual(Math.max(1e-14 * expected, 5e-324))
      }),
      { numRuns: 3000, seed: 3 }
    )
    expect([exp(0), exp(-Infinity), exp(Infinity), exp(1000), exp(-1000)]).toEqual([
      1,
      0,
      Infinity,
      Infinity,
      0
    ])
    expect(exp(709.7)).toBeLessThan(Infinity)
    expect(exp(Number.NaN)).toBeNaN()
  })

  test('ln is within 1e-14 of the engine’s', () => {
    fc.assert(
      fc.property(fc.double({ min: 1e-6, max: 1e9, noNaN: true }), (x) => {
        expect(Math.abs(ln(x) - Math.log(x))).toBeLessThanOrEqual(1e-14 * Math.max(1, Math.abs(Math.log(x))))
      }),
      { numRuns: 2000, seed: 4 }
    )
  })

  test('sine and cosine are within 1e-10 of the engine’s up to the longest contexts', () => {
    const out = new Float64Array(2)
    fc.assert(
      fc.property(fc.double({ min: 0, max: 1_000_000, noNaN: true }), (angle) => {
        sinCos(angle, out, 0)
        expect(Math.abs((out[0] as number) - Math.sin(angle))).toBeLessThan(1e-10)
        expect(Math.abs((out[1] as number) - Math.cos(angle))).toBeLessThan(1e-10)
      }),
      { numRuns: 3000, seed: 5 }
    )
    sinCos(-1, out, 0)
    expect(out[0]).toBeCloseTo(-Math.sin(1), 14)
  })
})

describe('the parts of a block', () => {
  const next = seeded(11)
  const floats = (length: number): Float32Array => Float32Array.from({ length }, () => (next() - 0.5) * 4)

  test('multiply is the matrix product, row by row the same bits however many rows', () => {
    for (const [columns, rows, count] of [
      [32, 8, 5],
      [64, 7, 1],
      [96, 1, 3],
      [32, 6, 33]
    ] as const) {
      const weights = floats(columns * rows)
      const matrix = createMatrix('F32', columns, rows, encode('F32', weights))
      const x = floats(columns * count)
      const scratch = new Float32Array(4 * columns)
      const out = new Float32Array(count * rows)
      multiply(matrix, x, count, out, scratch)
      for (let i = 0; i < count; i++) {
        const alone = new Float32Array(rows)
        multiply(matrix, x.subarray(i * columns, (i + 1) * columns), 1, alone, scratch)
        expect(out.subarray(i * rows, (i + 1) * rows)).toEqual(alone)
        for (let j = 0; j < rows; j++) {
          let sum = 0
          for (let k = 0; k < columns; k++)
            sum += (weights[j * columns + k] as number) * (x[i * columns + k] as number)
          expect(alone[j]).toBe(Math.fround(sum))
        }
      }
    }
  })

  test('dot sums all elements whatever the length', () => {
    for (let length = 0; length < 20; length++)
      expect(dot(new Float32Array(30).fill(2), 3, new Float32Array(30).fill(3), 5, length)).toBe(6 * length)
  })

  test('rmsNorm gives rows of mean square one, times the weight', () => {
    const x = floats(3 * 64)
    const out = new Float32Array(3 * 64)
    rmsNorm(x, new Float32Array(64).fill(1), 0, out)
    for (let row = 0; row < 3; row++) expect(dot(out, row * 64, out, row * 64, 64) / 64).toBeCloseTo(1, 5)
    const doubled = new Float32Array(3 * 64)
    rmsNorm(x, new Float32Array(64).fill(2), 0, doubled)
    expect(doubled).toEqual(out.map((v) => 2 * v))
    rmsNorm(new Float32Array(64), new Float32Array(64).fill(1), 1e-5, out)
    expect(out.subarray(0, 64)).toEqual(new Float32Array(64))
  })

  test('rope keeps lengths, does nothing at position 0, and leaves only distance in a product', () => {
    const frequencies = Float64Array.of(1, 0.1, 0.01, 0.001)
    const [q, k] = [floats(16), floats(16)]
    const turned = (x: Float32Array, position: number): Float32Array => {
      const out = x.slice()
      rope(out, 0, 16, 8, position, frequencies)
      return out
    }
    expect(turned(q, 0)).toEqual(q)
    const product = (a: number, b: number): number => dot(turned(q, a), 0, turned(k, b), 0, 16)
    expect(product(17, 5)).toBeCloseTo(product(1012, 1000), 4)
    expect(Math.abs(product(17, 5) - product(18, 5))).toBeGreaterThan(1e-3)
    expect(dot(turned(q, 99), 0, turned(q, 99), 0, 16)).toBeCloseTo(dot(q, 0, q, 0, 16), 4)
    // Neighbours turn together (ggml's NORM), not the halves of a head (NEOX).
    const unit = turned(Float32Array.of(1, 0, 0, 0, 0, 0, 0, 0), 1)
    expect([...unit].map((v) => Math.round(v * 1e4) / 1e4)).toEqual([0.5403, 0.8415, 0, 0, 0, 0, 0, 0])
  })

  test('silu is x times the sigmoid of x', () => {
    for (const x of [-100, -1, 0, 0.5, 3, 800]) expect(silu(x)).toBeCloseTo(x / (1 + Math.exp(-x)), 12)
    expect(silu(-800)).toBeCloseTo(0, 12)
  })
})
