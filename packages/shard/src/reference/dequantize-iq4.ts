import { halfTable } from '../half.ts'
import { half } from './dequantize-basic.ts'

/** The sixteen steps of the nonlinear 4-bit types (ggml, `kvalues_iq4nl`). */
const steps: readonly number[] = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113]

/** Blocks of 32: d f16, 16 bytes of nibbles that name a step. */
export function iq4nl(bytes: Uint8Array, at: number, count: number, out: Float32Array): void {
  const halves = halfTable()
  for (let block = 0; block < count; block += 32, at += 18) {
    const d = halves[half(bytes, at)] as number
    for (let j = 0; j < 16; j++) {
      const q = bytes[at + 2 + j] as number
      out[block + j] = d * (steps[q & 15] as number)
      out[block + j + 16] = d * (steps[q >> 4] as number)
    }
  }
}

/** Blocks of 256: d f16, eight 6-bit scales in 2 + 4 bytes, 128 bytes of nibbles that name a step. */
export function iq4xs(bytes: Uint8Array, at: number, count: number, out: Float32Array): void {
  const halves = halfTable()
  for (let block = 0; block < count; block += 256, at += 136) {
    const d = halves[half(bytes, at)] as number
    const highs = half(bytes, at + 2)
    for (let group = 0; group < 8; group++) {
      const low = ((bytes[at + 4 + (group >> 1)] as number) >> ((group & 1) * 4)) & 15
      const dl = Math.fround(d * ((low | (((highs >> (group * 2)) & 3) << 4)) - 32))
      const from = at + 8 + group * 16
      for (let j = 0; j < 16; j++) {
        const q = bytes[from + j] as number
        out[block + group * 32 + j] = dl * (steps[q & 15] as number)
        out[block + group * 32 + j + 16] = dl * (steps[q >> 4] as number)
      }
    }
  }
}
