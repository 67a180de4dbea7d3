/** IEEE 754 binary16 as a number. */
export function halfToNumber(bits: number): number {
  const sign = (bits & 0x8000) === 0 ? 1 : -1
  const exponent = (bits >> 10) & 0x1f
  const fraction = bits & 0x3ff
  if (exponent === 0) return sign * fraction * 2 ** -24
  if (exponent === 31) return fraction === 0 ? sign * Infinity : Number.NaN
  return sign * (1024 + fraction) * 2 ** (exponent - 25)
}

const float = new Float32Array(1)
const word = new Uint32Array(float.buffer)

/** The nearest IEEE 754 binary16 of a 32-bit float, ties to even; beyond 65,519 infinity. */
export function numberToHalf(value: number): number {
  float[0] = value
  const bits = word[0] as number
  const sign = (bits >>> 16) & 0x8000
  const magnitude = bits & 0x7fff_ffff
  if (magnitude > 0x7f80_0000) return sign | 0x7e00
  // From half of the step above the largest finite half on, everything is infinite.
  if (magnitude >= 0x477f_f000) return sign | 0x7c00
  // Below the smallest normal half a unit is 2^-24.
  if (magnitude < 0x3880_0000) return sign | roundEven(Math.abs(float[0] as number) * 2 ** 24)
  const rounded = magnitude + 0xfff + ((magnitude >>> 13) & 1)
  return sign | ((rounded - 0x3800_0000) >>> 13)
}

/** The nearest whole number, ties to even. */
function roundEven(value: number): number {
  const floor = Math.floor(value)
  const rest = value - floor
  return rest > 0.5 || (rest === 0.5 && floor % 2 === 1) ? floor + 1 : floor
}

let table: Float32Array | undefined

/** All 65,536 halves as floats, for loops that read many. */
export function halfTable(): Float32Array {
  table ??= Float32Array.from({ length: 65_536 }, (_, bits) => halfToNumber(bits))
  return table
}
