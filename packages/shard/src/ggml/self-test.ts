import { createBlockHost } from './block-host.ts'
import type { Ggml } from './native.ts'
import { blockRange } from './parts.ts'
import { toyConfig, toyRows, toyWeights } from './self-test-model.ts'
import { createWeights } from './weights.ts'

/**
 * The residual of the last of six rows after the toy's two blocks, computed in double precision from the
 * formulas of the architecture. A test recomputes it.
 */
// prettier-ignore
export const toyResult: readonly number[] = [
  3.951391, 4.4549657, -5.799164, -0.77435495, 1.6204449, 2.4323307, 1.2251917, 5.1965541, 0.29099836, -1.4786657, 2.3316785, 0.14965419, 4.3735263, 4.0479275, -4.7792045, 0.40788351, -2.0573493, 1.6828391, -0.6412232, -1.5517202, -2.2754957, -1.1523412, 4.4295534, -0.036539575, -2.8964302, -0.99884178, 5.0910092, 1.573571, -0.10580476, -3.1001915, -3.1688618, 7.4140976, 5.1120002, -1.114945, -0.03255259, -3.6640932, -8.5535209, -0.023995782, 3.9293717, 2.1287112, -4.2557502, -1.0950206, 1.3396504, -0.30805121, 1.7084322, 1.3880767, 2.9304229, 0.62255072, 0.96976194, 0.77505297, -3.2803932, -7.1710386, 1.4469451, -3.0546572, 1.8589925, 3.1760714, 2.0849029, 1.7810535, -4.4608045, 1.325349, 1.9311629, -8.2907108, -0.88552589, 3.5468493
]

const bounds = { F32: 1e-5, Q4_0: 2e-2 } as const

/** |a - b| / |b|, Euclidean norms. */
export function relativeError(a: Float32Array, b: ArrayLike<number>): number {
  let [difference, norm] = [0, 0]
  for (let i = 0; i < b.length; i++) {
    const value = b[i] as number
    difference += ((a[i] ?? NaN) - value) ** 2
    norm += value ** 2
  }
  return Math.sqrt(difference / norm)
}

/**
 * Runs the toy through the very code that runs models: as F32, where only the order of sums may differ, and as
 * Q4_0, where ggml rounds activations to 8 bits; in both kernels, and its last row alone.
 *
 * @throws an Error that says what came out wrong.
 */
export function selfTest(ggml: Ggml): void {
  for (const type of ['F32', 'Q4_0'] as const) {
    const parts = toyWeights(type)
    const specs = parts.map(({ spec }) => spec)
    const weights = createWeights(ggml, specs)
    if (weights === undefined) throw new Error('there is no memory for the self-test')
    for (const [index, { bytes }] of parts.entries()) weights.write(index, 0, bytes)
    weights.finish()
    const range = blockRange(ggml, toyConfig, specs, weights, 'f32')
    const host = createBlockHost(ggml, range, { bytes: 2 ** 24 })
    const rows = toyRows(6)
    const { hiddenSize } = toyConfig
    for (const kernel of ['vec', 'tile'] as const) {
      const session = host.open(64)
      host.forward([{ session, past: 0, kernel, hidden: rows.subarray(0, 5 * hiddenSize) }])
      const [last] = host.forward([{ session, past: 5, kernel, hidden: rows.subarray(5 * hiddenSize) }])
      const error = last instanceof Float32Array ? relativeError(last, toyResult) : NaN
      if (!(error < bounds[type]))
        throw new Error(`its ${type} ${kernel} kernels fail the self-test with a relative error of ${error}`)
    }
    host.free()
    weights.free()
  }
}
