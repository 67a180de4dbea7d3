import { halfTable } from '../half.ts'

/**
 * Turns whole quantised blocks into floats: `count` elements from byte `at` on, into `out` from element 0 on.
 * Products and sums are made in double precision and rounded once, to 32 bits.
 */
export type Dequantizer = (bytes: Uint8Array, at: number, count: number, out: Float32Array) => void

/** The 16 bits at a byte, little-endian. */
export function half(bytes: Uint8Array, at: number): number {
  return (bytes[at] as number) | ((bytes[at + 1] as number) << 8)
}

/** IEEE 754 single precision. */
export function f32(bytes: Uint8Array, at: number, count: number, out: Float32Array): void {
  new Uint8Array(out.buffer, out.byteOffset, count * 4).set(bytes.subarray(at, at + count * 4))
}

/** IEEE 754 half precision. */
export function f16(bytes: Uint8Array, at: number, count: number, out: Float32Array): void {
  const halves = halfTable()
  for (let i = 0; i < count; i++) out[i] = halves[half(bytes, at + 2 * i)] as number
}

/** The upper half of single precision. */
export function bf16(bytes: Uint8Array, at: number, count: number, out: Float32Array): void {
  const words = new Uint32Array(out.buffer, out.byteOffset, count)
  for (let i = 0; i < count; i++) words[i] = half(bytes, at + 2 * i) << 16
}

/*
 * Blocks of 32 elements under one scale d, and for the types _1 one minimum m (ggml, ggml-quants.c). Element j
 * is in the low nibble of byte j, element j + 16 in its high nibble; Q5 keeps the fifth bits in a word apart.
 */

/** d f16, 16 bytes of nibbles: (q - 8) d. */
export function q4x0(bytes: Uint8Array, at: number, count: number, out: Float32Array): void {
  const halves = halfTable()
  for (let block = 0; block < count; block += 32, at += 18) {
    const d = halves[half(bytes, at)] as number
    for (let j = 0; j < 16; j++) {
      const q = bytes[at + 2 + j] as number
      out[block + j] = ((q & 15) - 8) * d
      out[block + j + 16] = ((q >> 4) - 8) * d
    }
  }
}

/** d f16, m f16, 16 bytes of nibbles: q d + m. */
export function q4x1(bytes: Uint8Array, at: number, count: number, out: Float32Array): void {
  const halves = halfTable()
  for (let block = 0; block < count; block += 32, at += 20) {
    const d = halves[half(bytes, at)] as number
    const m = halves[half(bytes, at + 2)] as number
    for (let j = 0; j < 16; j++) {
      const q = bytes[at + 4 + j] as number
      out[block + j] = (q & 15) * d + m
      out[block + j + 16] = (q >> 4) * d + m
    }
  }
}

/** d f16, fifth bits u32, 16 bytes of nibbles: (q - 16) d. */
export function q5x0(bytes: Uint8Array, at: number, count: number, out: Float32Array): void {
  const halves = halfTable()
  for (let block = 0; block < count; block += 32, at += 22) {
    const d = halves[half(bytes, at)] as number
    const high = half(bytes, at + 2) | (half(bytes, at + 4) << 16)
    for (let j = 0; j < 16; j++) {
      const q = bytes[at + 6 + j] as number
      out[block + j] = ((q & 15) + ((high >> j) & 1) * 16 - 16) * d
      out[block + j + 16] = ((q >> 4) + ((high >> (j + 16)) & 1) * 16 - 16) * d
    }
  }
}

/** d f16, m f16, fifth bits u32, 16 bytes of nibbles: q d + m. */
export function q5x1(bytes: Uint8Array, at: number, count: number, out: Float32Array): void {
  const halves = halfTable()
  for (let block = 0; block < count; block += 32, at += 24) {
    const d = halves[half(bytes, at)] as number
    const m = halves[half(bytes, at + 2)] as number
    const high = half(bytes, at + 4) | (half(bytes, at + 6) << 16)
    for (let j = 0; j < 16; j++) {
      const q = bytes[at + 8 + j] as number
      out[block + j] = ((q & 15) + ((high >> j) & 1) * 16) * d + m
      out[block + j + 16] = ((q >> 4) + ((high >> (j + 16)) & 1) * 16) * d + m
    }
  }
}

/** d f16, 32 signed bytes: q d. */
export function q8x0(bytes: Uint8Array, at: number, count: number, out: Float32Array): void {
  const halves = halfTable()
  for (let block = 0; block < count; block += 32, at += 34) {
    const d = halves[half(bytes, at)] as number
    for (let j = 0; j < 32; j++) out[block + j] = (((bytes[at + 2 + j] as number) << 24) >> 24) * d
  }
}
