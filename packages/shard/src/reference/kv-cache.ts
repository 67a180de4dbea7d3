import { halfTable, halfToNumber, numberToHalf } from '../half.ts'

/** The key and value rows of one session in one range of blocks. */
export interface KvCache {
  /** Rows that count. What lies beyond is left over and never read. */
  length: number
  readonly maxTokens: number
  /** Stores `count` rows of keys and values, `[count, width]`, from position `from` on. */
  write(layer: number, from: number, count: number, keys: Float32Array, values: Float32Array): void
  /** The key rows of positions `[0, length)`, `[length, width]`: the memory itself, or copied to `scratch`. */
  keys(layer: number, length: number, scratch: GrowingScratch): Float32Array
  values(layer: number, length: number, scratch: GrowingScratch): Float32Array
  /** Rows `[from, to)` as bytes: for each layer its keys, then its values. */
  export(from: number, to: number): Uint8Array
  /** True when all elements of such bytes are finite. */
  isFinite(data: Uint8Array): boolean
  /** Stores bytes made by `export`. */
  import(from: number, to: number, data: Uint8Array): void
}

/** Memory that grows with what is asked of it, and is used again. */
export interface GrowingScratch {
  take(size: number): Float32Array
}

/** Makes a {@link GrowingScratch}. */
export function createGrowingScratch(): GrowingScratch {
  let memory = new Float32Array(0)
  return {
    take(size) {
      if (memory.length < size) memory = new Float32Array(Math.ceil(size * 1.25))
      return memory
    }
  }
}

/** Element types a cache can have. */
export type KvFormat = 'f32' | 'f16'

/** Bytes of an element. */
export const kvElementBytes: Readonly<Record<KvFormat, number>> = { f32: 4, f16: 2 }

/** Makes room for `maxTokens` rows of `width` elements in each of `layers` blocks. */
export function createKvCache(format: KvFormat, layers: number, width: number, maxTokens: number): KvCache {
  const stride = maxTokens * width
  // Keys of layer l at 2 l stride, its values after them.
  const memory =
    format === 'f32' ? new Float32Array(2 * layers * stride) : new Uint16Array(2 * layers * stride)
  const bytes = new Uint8Array(memory.buffer)
  const elementBytes = kvElementBytes[format]

  const store = (at: number, from: Float32Array, length: number): void => {
    if (memory instanceof Float32Array) memory.set(from.subarray(0, length), at)
    else for (let i = 0; i < length; i++) memory[at + i] = numberToHalf(from[i] as number)
  }
  const load = (at: number, size: number, scratch: GrowingScratch): Float32Array => {
    if (memory instanceof Float32Array) return memory.subarray(at, at + size)
    const out = scratch.take(size)
    const halves = halfTable()
    for (let i = 0; i < size; i++) out[i] = halves[memory[at + i] as number] as number
    return out
  }
  return {
    length: 0,
    maxTokens,
    write(layer, from, count, keys, values) {
      store(2 * layer * stride + from * width, keys, count * width)
      store((2 * layer + 1) * stride + from * width, values, count * width)
    },
    keys: (layer, length, scratch) => load(2 * layer * stride, length * width, scratch),
    values: (layer, length, scratch) => load((2 * layer + 1) * stride, length * width, scratch),
    export(from, to) {
      const part = (to - from) * width * elementBytes
      const out = new Uint8Array(2 * layers * part)
      for (let i = 0; i < 2 * layers; i++) {
        const at = (i * stride + from * width) * elementBytes
        out.set(bytes.subarray(at, at + part), i * part)
      }
      return out
    },
    isFinite(data) {
      const view = new DataView(data.buffer, data.byteOffset, data.byteLength)
      for (let at = 0; at < data.length; at += elementBytes) {
        const value = format === 'f32' ? view.getFloat32(at, true) : halfToNumber(view.getUint16(at, true))
        if (!Number.isFinite(value)) return false
      }
      return true
    },
    import(from, to, data) {
      const part = (to - from) * width * elementBytes
      for (let i = 0; i < 2 * layers; i++)
        bytes.set(data.subarray(i * part, (i + 1) * part), (i * stride + from * width) * elementBytes)
    }
  }
}
