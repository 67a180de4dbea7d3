/*
 * The four functions a Llama model needs, from additions, multiplications and divisions alone. Those are exact
 * by IEEE 754 wherever JavaScript runs, while `Math.exp` and its kin are left to the engine (ECMA-262 §21.3).
 * So the reference computes the same bits in every browser and on every processor. Each is good to about
 * 1e-15, and all results are rounded to 32 bits afterwards.
 */

// ln 2 and π/2 in two parts (fdlibm, Sun Microsystems): a multiple of the first part is exact.
const ln2High = 6.9314718036912381649e-1
const ln2Low = 1.90821492927058770002e-10
const halfPiHigh = 1.57079632673412561417
const halfPiLow = 6.07710050650619224932e-11

const lowest = -1074
/** 2^lowest … 2^1023. */
const powersOfTwo: Float64Array = (() => {
  const powers = new Float64Array(1024 - lowest)
  powers[-lowest] = 1
  for (let i = 1; i < 1024; i++) powers[i - lowest] = (powers[i - 1 - lowest] as number) * 2
  for (let i = -1; i >= lowest; i--) powers[i - lowest] = (powers[i + 1 - lowest] as number) / 2
  return powers
})()

/** 1 / n! for n = 0 … 18. */
const inverseFactorials: Float64Array = (() => {
  const inverses = new Float64Array(19).fill(1)
  for (let n = 1; n < 19; n++) inverses[n] = (inverses[n - 1] as number) / n
  return inverses
})()

/** e^x: x = k ln 2 + r with |r| ≤ ln 2 / 2, then the series of e^r. */
export function exp(x: number): number {
  if (x > 709.78) return Infinity
  if (x < -744) return 0
  const k = Math.round(x * Math.LOG2E)
  const r = x - k * ln2High - k * ln2Low
  let sum = 0
  for (let n = 12; n >= 0; n--) sum = sum * r + (inverseFactorials[n] as number)
  // 2^1024 is no number of its own: the last factor of two comes apart.
  return k > 1023
    ? sum * 2 * (powersOfTwo[k - 1 - lowest] as number)
    : sum * (powersOfTwo[k - lowest] as number)
}

/** The natural logarithm of x > 0: x = 2^k m with m near 1, then ln m = 2 artanh((m - 1) / (m + 1)). */
export function ln(x: number): number {
  let k = 0
  let m = x
  for (; m > Math.SQRT2; k++) m /= 2
  for (; m < Math.SQRT1_2; k--) m *= 2
  const s = (m - 1) / (m + 1)
  let sum = 0
  for (let n = 23; n > 0; n -= 2) sum = sum * s * s + 1 / n
  return k * Math.LN2 + 2 * s * sum
}

/** sin and cos of `angle`, written to `out[at]` and `out[at + 1]`. */
export function sinCos(angle: number, out: Float64Array, at: number): void {
  const quarter = Math.round(angle / (Math.PI / 2))
  const r = angle - quarter * halfPiHigh - quarter * halfPiLow
  const r2 = r * r
  let sin = 0
  let cos = 0
  for (let n = 16; n >= 0; n -= 2) {
    sin = (inverseFactorials[n + 1] as number) - r2 * sin
    cos = (inverseFactorials[n] as number) - r2 * cos
  }
  sin *= r
  const turn = ((quarter % 4) + 4) % 4
  out[at] = turn === 0 ? sin : turn === 1 ? cos : turn === 2 ? -sin : -cos
  out[at + 1] = turn === 0 ? cos : turn === 1 ? -sin : turn === 2 ? -cos : sin
}
