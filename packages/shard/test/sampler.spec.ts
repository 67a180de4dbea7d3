import { createSeededRandom } from '@kwaai/testing'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { createSampler, type SamplerOptions } from '../src/generate/index.ts'
import { seededNumbers } from '../src/generate/prng.ts'

const random = createSeededRandom(7)
const once = (options: SamplerOptions, logits: readonly number[], uniform?: number): number => {
  const source = uniform === undefined ? random : { ...random, next: () => uniform }
  return createSampler(options, { random: source }).next(Float32Array.from(logits))
}
// Halves, so that ties are common.
const logitLists = fc.array(
  fc.integer({ min: -12, max: 12 }).map((n) => n / 2),
  { minLength: 1, maxLength: 24 }
)
const filters = fc.record({
  temperature: fc.constantFrom(0.5, 1, 1.7),
  topK: fc.integer({ min: 0, max: 30 }),
  topP: fc.constantFrom(0, 0.1, 0.5, 0.9, 0.999, 1),
  minP: fc.constantFrom(0, 0.01, 0.3, 1)
})

/** The tokens that may be drawn and their probabilities, by sorting everything. */
function plainly(
  logits: readonly number[],
  o: Required<Pick<SamplerOptions, 'temperature' | 'topK' | 'topP' | 'minP'>>
): Map<number, number> {
  let order = logits.map((value, id) => ({ id, value })).toSorted((a, b) => b.value - a.value || a.id - b.id)
  const max = order[0]?.value ?? 0
  if (o.topK > 0) order = order.slice(0, o.topK)
  if (o.topP < 1) {
    const total = order.reduce((sum, { value }) => sum + Math.exp(value - max), 0)
    let sum = 0
    const end = order.findIndex(({ value }) => (sum += Math.exp(value - max)) >= o.topP * total)
    if (end !== -1) order = order.slice(0, end + 1)
  }
  if (o.minP > 0) order = order.filter(({ value }) => value >= max + Math.log(o.minP))
  const weights = order.map(({ id, value }) => [id, Math.exp((value - max) / o.temperature)] as const)
  const total = weights.reduce((sum, [, weight]) => sum + weight, 0)
  return new Map(weights.map(([id, weight]) => [id, weight / total]))
}

test('temperature 0 takes the largest logit, the lowest id of equals', () => {
  expect(once({ temperature: 0 }, [1, 3, 3, 2])).toBe(1)
  fc.assert(
    fc.property(
      logitLists,
      (logits) => once({ temperature: 0 }, logits) === logits.indexOf(Math.max(...logits))
    )
  )
})

test('a draw lands where sorting everything says', () => {
  fc.assert(
    fc.property(
      logitLists,
      filters,
      fc.double({ min: 0, max: 0.999999, noNaN: true }),
      (logits, options, uniform) => {
        const allowed = plainly(logits, options)
        const token = once(options, logits, uniform)
        // Tokens in the order of their ids share out the interval from 0 to 1.
        let below = 0
        for (const [id, probability] of [...allowed].toSorted(([a], [b]) => a - b)) {
          if (id === token) {
            expect(uniform).toBeGreaterThan(below - 1e-9)
            expect(uniform).toBeLessThan(below + probability + 1e-9)
            return
          }
          below += probability
        }
        throw new Error(`${token} may not be drawn`)
      }
    ),
    { numRuns: 1_000 }
  )
})

test('the same with thousands of tokens, flat and steep', () => {
  const next = seededNumbers(3)
  for (const spread of [0.001, 1, 40]) {
    const logits = Array.from({ length: 2_000 }, () => Math.fround((next() - 0.5) * spread))
    for (const options of [
      { temperature: 1, topK: 0, topP: 0.9, minP: 0 },
      { temperature: 1, topK: 400, topP: 0.5, minP: 0 },
      { temperature: 1, topK: 40, topP: 1, minP: 0.01 }
    ]) {
      const allowed = plainly(logits, options)
      for (let i = 0; i < 15; i++) expect(allowed.has(once(options, logits, next()))).toBe(true)
      expect(once(options, logits, 0)).toBe(Math.min(...allowed.keys()))
      expect(once(options, logits, 1 - 2 ** -53)).toBe(Math.max(...allowed.keys()))
    }
  }
})

test('draws follow the probabilities', () => {
  const logits = [0, 1, 2, 3, -Infinity]
  const sampler = createSampler({ seed: 11, temperature: 1.3 }, { random })
  const counts = [0, 0, 0, 0, 0]
  const draws = 20_000
  for (let i = 0; i < draws; i++) {
    const token = sampler.next(Float32Array.from(logits))
    counts[token] = (counts[token] ?? 0) + 1
  }
  const allowed = plainly(logits, { temperature: 1.3, topK: 0, topP: 1, minP: 0 })
  // Pearson's chi-square with three degrees of freedom; 16.3 has a probability of 0.001, and the seed is fixed.
  let chi = 0
  for (const [id, probability] of allowed) {
    if (probability > 0) chi += ((counts[id] ?? 0) - draws * probability) ** 2 / (draws * probability)
  }
  expect(chi).toBeLessThan(16.3)
  expect(counts[4]).toBe(0)
})

test('a seed repeats a run, another seed gives another, and no seed asks the component', () => {
  const logits = Float32Array.from({ length: 100 }, (_, i) => Math.sin(i))
  const run = (seed?: number): number[] => {
    const sampler = createSampler(seed === undefined ? {} : { seed }, {
      random: { ...random, next: () => 0.5 }
    })
    return Array.from({ length: 40 }, () => sampler.next(logits))
  }
  expect(run(5)).toEqual(run(5))
  const runs = [0, 1, -1, 5, 2 ** 32, 2 ** 32 + 5, Number.MAX_SAFE_INTEGER].map((seed) => run(seed).join())
  expect(new Set(runs).size).toBe(runs.length)
  expect(new Set(run()).size).toBe(1)
})

test('the seeded numbers are even', () => {
  const next = seededNumbers(123)
  const bins = Array.from({ length: 64 }, () => 0)
  for (let i = 0; i < 64_000; i++) {
    const value = next()
    if (!(value >= 0 && value < 1)) throw new Error(`${value} is outside`)
    const bin = Math.floor(value * 64)
    bins[bin] = (bins[bin] ?? 0) + 1
  }
  const chi = bins.reduce((sum, count) => sum + (count - 1000) ** 2 / 1000, 0)
  // 63 degrees of freedom: 103.4 has a probability of 0.001, 30 one of 0.9999.
  expect(chi).toBeLessThan(103.4)
  expect(chi).toBeGreaterThan(30)
})

test('penalties: repetition counts the prompt, frequency and presence the answer', () => {
  const logits = Float32Array.of(2, 1.5, -1)
  const repeated = createSampler({ temperature: 0, repetitionPenalty: 2 }, { random })
  repeated.see([0])
  expect(repeated.next(logits)).toBe(1)
  const negative = createSampler({ temperature: 0, repetitionPenalty: 2 }, { random })
  negative.see([0])
  // -1 becomes -2, and -1.5 stays.
  expect(negative.next(Float32Array.of(-1, -1.5))).toBe(1)

  const presence = createSampler({ temperature: 0, presencePenalty: 1 }, { random })
  presence.see([0])
  expect([presence.next(logits), presence.next(logits)]).toEqual([0, 1])
  const frequency = createSampler({ temperature: 0, frequencyPenalty: 0.3 }, { random })
  frequency.see([0, 0, 0])
  expect(Array.from({ length: 4 }, () => frequency.next(logits))).toEqual([0, 0, 1, 0])
  const encouraged = createSampler({ temperature: 0, presencePenalty: -2 }, { random })
  expect(encouraged.next(Float32Array.of(0, 1))).toBe(1)
  expect(encouraged.next(Float32Array.of(2, 1))).toBe(1)
})

test('a bias bans and forces', () => {
  expect(once({ temperature: 0, logitBias: { 1: -100 } }, [1, 3, 2])).toBe(2)
  expect(once({ logitBias: { 0: 100 } }, [1, 3, 2])).toBe(0)
})

test('more top-p, top-k and less min-p never forbid a token', () => {
  const kept = (options: SamplerOptions, logits: readonly number[]): number[] => {
    const found = new Set<number>()
    for (let i = 0; i < 64; i++) found.add(once({ temperature: 1.7, ...options }, logits, i / 64))
    return [...found]
  }
  const logits = Array.from({ length: 12 }, (_, i) => Math.cos(i) * 2)
  for (const name of ['topP', 'topK', 'minP'] as const) {
    const values = name === 'topK' ? [1, 3, 7, 12] : [0.1, 0.4, 0.8, 1]
    const sizes = values.map((value) => kept({ [name]: value }, logits).length)
    const ordered = name === 'minP' ? sizes.toReversed() : sizes
    expect(ordered).toEqual(ordered.toSorted((a, b) => a - b))
  }
})

test.each([
  ['NaN', [1, NaN]],
  ['+∞', [1, Infinity]],
  ['nothing finite', [-Infinity, -Infinity]],
  ['nothing at all', []]
])('logits with %s are a typed error', (_, logits) => {
  expect(() => once({}, logits)).toThrow(expect.objectContaining({ code: 'ERR_GENERATE_INVALID_LOGITS' }))
})

test('the logits given are left as they are', () => {
  const logits = Float32Array.of(1, 2, 3)
  const sampler = createSampler({ repetitionPenalty: 2, logitBias: { 0: 5 } }, { random })
  sampler.next(logits)
  sampler.next(logits)
  expect([...logits]).toEqual([1, 2, 3])
})

test('a mask holds against everything that changes logits', () => {
  const maskOf = (ids: readonly number[], size: number): Int32Array => {
    const mask = new Int32Array(Math.ceil(size / 32))
    for (const id of ids) mask[id >> 5] = (mask[id >> 5] as number) | (1 << (id & 31))
    return mask
  }
  const setting = fc.record({
    temperature: fc.constantFrom(0, 0.5, 2),
    topK: fc.integer({ min: 0, max: 70 }),
    topP: fc.constantFrom(0, 0.5, 0.999, 1),
    minP: fc.constantFrom(0, 0.3),
    frequencyPenalty: fc.constantFrom(-2, 0, 2),
    presencePenalty: fc.constantFrom(-2, 0, 2),
    repetitionPenalty: fc.constantFrom(0.01, 1, 100)
  })
  fc.assert(
    fc.property(
      fc.array(fc.oneof(fc.integer({ min: -9, max: 9 }), fc.constant(-Infinity)), {
        minLength: 1,
        maxLength: 70
      }),
      fc.array(fc.nat(69), { minLength: 1, maxLength: 6 }),
      setting,
      (values, wanted, options) => {
        const ids = wanted.map((id) => id % values.length)
        if (values.every((value) => value === -Infinity)) return
        const banned = values.findIndex((_, id) => !ids.includes(id))
        const logitBias = banned === -1 ? {} : { [banned]: 100 }
        const sampler = createSampler({ ...options, logitBias }, { random })
        for (let i = 0; i < 3; i++) {
          expect(ids).toContain(sampler.next(Float32Array.from(values), maskOf(ids, values.length)))
        }
      }
    ),
    { numRuns: 1_000 }
  )
})

test('a mask that lets nothing in is told, one that lets in all changes nothing', () => {
  expect(() => createSampler({}, { random }).next(Float32Array.of(1, 2), new Int32Array(1))).toThrow(
    expect.objectContaining({ code: 'ERR_GENERATE_FAILED' })
  )
  const logits = Float32Array.from({ length: 40 }, (_, id) => Math.sin(id))
  const draw = (mask?: Int32Array): number[] => {
    const sampler = createSampler({ seed: 3 }, { random })
    return Array.from({ length: 9 }, () => sampler.next(logits, mask))
  }
  expect(draw(Int32Array.of(-1, -1))).toEqual(draw())
})
