import { halfTable } from '../half.ts'
import { half } from './dequantize-basic.ts'

/*
 * The k-quants: blocks of 256 elements under one scale d (and one for minima), cut into groups of 16 or 32
 * with small whole scales of their own (ggml, ggml-quants.c). As in ggml the scale of a group, d times its
 * whole number, is rounded to 32 bits.
 */

/** 16 bytes of a 4-bit scale and a 4-bit minimum for groups of 16, 64 bytes of 2-bit numbers, d, dmin. */
export function q2k(bytes: Uint8Array, at: number, count: number, out: Float32Array): void {
  const halves = halfTable()
  for (let block = 0; block < count; block += 256, at += 84) {
    const d = halves[half(bytes, at + 80)] as number
    const dmin = halves[half(bytes, at + 82)] as number
    for (let group = 0; group < 16; group++) {
      const scale = bytes[at + group] as number
      const dl = Math.fround(d * (scale & 15))
      const ml = Math.fround(dmin * (scale >> 4))
      // Eight groups share 32 bytes: two groups side by side, four deep in the bits.
      const from = at + 16 + (group >> 3) * 32 + (group & 1) * 16
      const shift = ((group >> 1) & 3) * 2
      for (let j = 0; j < 16; j++)
        out[block + group * 16 + j] = dl * (((bytes[from + j] as number) >> shift) & 3) - ml
    }
  }
}

/** 32 bytes of third bits, 64 bytes of 2-bit numbers, 16 6-bit scales in 12 bytes, d. */
export function q3k(bytes: Uint8Array, at: number, count: number, out: Float32Array): void {
  const halves = halfTable()
  for (let block = 0; block < count; block += 256, at += 110) {
    const d = halves[half(bytes, at + 108)] as number
    const scales = at + 96
    for (let group = 0; group < 16; group++) {
      const low = ((bytes[scales + (group & 7)] as number) >> (group < 8 ? 0 : 4)) & 15
      const high = ((bytes[scales + 8 + (group & 3)] as number) >> ((group >> 2) * 2)) & 3
      const dl = Math.fround(d * ((low | (high << 4)) - 32))
      const side = (group & 1) * 16
      const from = at + 32 + (group >> 3) * 32 + side
      const shift = ((group >> 1) & 3) * 2
      const bit = group >> 1
      for (let j = 0; j < 16; j++) {
        const third = ((bytes[at + side + j] as number) >> bit) & 1
        out[block + group * 16 + j] = dl * ((((bytes[from + j] as number) >> shift) & 3) + third * 4 - 4)
      }
    }
  }
}

/** The 6-bit scale (low byte) and minimum (next byte) of group `j`, out of 12 bytes. */
function scaleAndMin(bytes: Uint8Array, at: number, j: number): number {
  const own = bytes[at + j] as number
  const other = bytes[at + j + 4] as number
  if (j < 4) return (own & 63) | ((other & 63) << 8)
  const before = bytes[at + j - 4] as number
  return (other & 15) | ((before >> 6) << 4) | (((other >> 4) | ((own >> 6) << 4)) << 8)
}

/** d, dmin, eight 6-bit scales and minima in 12 bytes, 128 bytes of nibbles. */
export function q4k(bytes: Uint8Array, at: number, count: number, out: Float32Array): void {
  const halves = halfTable()
  for (let block = 0; block < count; block += 256, at += 144) {
    const d = halves[half(bytes, at)] as number
    const dmin = halves[half(bytes, at + 2)] as number
    for (let group = 0; group < 8; group++) {
      const packed = scaleAndMin(bytes, at + 4, group)
      const dl = Math.fround(d * (packed & 255))
      const ml = Math.fround(dmin * (packed >> 8))
      const from = at + 16 + (group >> 1) * 32
      const shift = (group & 1) * 4
      for (let j = 0; j < 32; j++)
        out[block + group * 32 + j] = dl * (((bytes[from + j] as number) >> shift) & 15) - ml
    }
  }
}

/** d, dmin, eight 6-bit scales and minima in 12 bytes, 32 bytes of fifth bits, 128 bytes of nibbles. */
export function q5k(bytes: Uint8Array, at: number, count: number, out: Float32Array): void {
  const halves = halfTable()
  for (let block = 0; block < count; block += 256, at += 176) {
    const d = halves[half(bytes, at)] as number
    const dmin = halves[half(bytes, at + 2)] as number
    for (let group = 0; group < 8; group++) {
      const packed = scaleAndMin(bytes, at + 4, group)
      const dl = Math.fround(d * (packed & 255))
      const ml = Math.fround(dmin * (packed >> 8))
      const from = at + 48 + (group >> 1) * 32
      const shift = (group & 1) * 4
      for (let j = 0; j < 32; j++) {
        const fifth = ((bytes[at + 16 + j] as number) >> group) & 1
        out[block + group * 32 + j] = dl * ((((bytes[from + j] as number) >> shift) & 15) + fifth * 16) - ml
      }
    }
  }
}

/** 128 bytes of nibbles, 64 bytes of two upper bits, 16 signed scales, d. */
export function q6k(bytes: Uint8Array, at: number, count: number, out: Float32Array): void {
  const halves = halfTable()
  for (let block = 0; block < count; block += 256, at += 210) {
    const d = halves[half(bytes, at + 208)] as number
    for (let group = 0; group < 16; group++) {
      const dl = Math.fround(d * (((bytes[at + 192 + group] as number) << 24) >> 24))
      // In each half of the block: four quarters of 32 elements, which share bytes of two bits.
      const quarter = (group >> 1) & 3
      const side = (group & 1) * 16
      const nibbles = at + (group >> 3) * 64 + (quarter & 1) * 32 + side
      const bits = at + 128 + (group >> 3) * 32 + side
      const shift = quarter < 2 ? 0 : 4
      for (let j = 0; j < 16; j++) {
        const low = ((bytes[nibbles + j] as number) >> shift) & 15
        const high = ((bytes[bits + j] as number) >> (quarter * 2)) & 3
        out[block + group * 16 + j] = dl * ((low | (high << 4)) - 32)
      }
    }
  }
}
