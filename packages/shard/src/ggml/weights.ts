import { createContext, ggmlType } from './context.ts'
import type { Ggml } from './native.ts'
import { rowMultiple } from './row-multiple.ts'
import { preferHugePages } from './system.ts'

/** A tensor to be loaded: as the file describes it. */
export interface WeightSpec {
  name: string
  /** ggml's number of the type. */
  type: number
  shape: readonly number[]
  byteLength: number
  /**
   * `plain`: read as it is in the file. `product`: multiplied with, by any number of rows. `single`: multiplied with,
   * by one row at a time. `both`: `plain` and `single`, a copy for each where the layouts differ.
   */
  use: 'plain' | 'product' | 'single' | 'both'
}

/** Weights in native memory. */
export interface Weights {
  /** The tensor of a spec that is used as it is in the file. */
  plain(name: string): number
  /** The tensor of a spec that is multiplied with. */
  product(name: string): number
  /** Types and buffer types of the tensors that any number of rows is multiplied with. */
  readonly products: readonly { type: number; bufferType: number }[]
  /** Those of the tensor {@link product} gives. */
  layout(name: string): { type: number; bufferType: number }
  /** Bytes of native memory. */
  readonly bytes: number
  /** Writes a piece of the tensor of spec `index`; pieces of a tensor come in order and without gaps. */
  write(index: number, offset: number, bytes: Uint8Array): void
  /** @throws an Error when a tensor has not all of its bytes. */
  finish(): void
  free(): void
}

function newTensor(ggml: Ggml, ctx: number, { type, shape }: WeightSpec): number {
  const [columns = 1, rows] = shape
  return rows === undefined
    ? ggml.c.ggml_new_tensor_1d(ctx, type, columns)
    : ggml.c.ggml_new_tensor_2d(ctx, type, columns, rows)
}

/** Whether weights in this buffer type can be multiplied, asked as llama.cpp asks: with a tensor that is there. */
function supportsProduct(ggml: Ggml, bufferType: number, spec: WeightSpec): boolean {
  const { c } = ggml
  const ctx = createContext(ggml, 1)
  const other = createContext(ggml, 2)
  let buffer = 0
  try {
    const weight = newTensor(ggml, ctx, spec)
    buffer = c.ggml_backend_alloc_ctx_tensors_from_buft(ctx, bufferType)
    if (buffer === 0) return false
    const input = c.ggml_new_tensor_2d(other, ggmlType.F32, spec.shape[0] as number, 512)
    return c.ggml_backend_dev_supports_op(ggml.device, c.ggml_mul_mat(other, weight, input))
  } finally {
    if (buffer !== 0) c.ggml_backend_buffer_free(buffer)
    c.ggml_free(other)
    c.ggml_free(ctx)
  }
}

/** One tensor in native memory. */
interface Slot {
  spec: WeightSpec
  bufferType: number
  use: 'product' | 'plain'
  tensor: number
  /** Bytes so far of a tensor whose buffer type wants it whole. */
  staged: Uint8Array | undefined
}

/**
 * Makes room for tensors, each in the fastest buffer type that can multiply with it.
 *
 * @returns `undefined` when there is no memory.
 */
export function createWeights(ggml: Ggml, specs: readonly WeightSpec[]): Weights | undefined {
  const { c } = ggml
  const slots = specs.map((spec) => slotsOf(ggml, spec))
  const contexts: number[] = []
  const buffers: number[] = []
  const free = (): void => {
    buffers.splice(0).forEach((buffer) => c.ggml_backend_buffer_free(buffer))
    contexts.splice(0).forEach((ctx) => c.ggml_free(ctx))
  }
  const bufferTypes = new Set(slots.flat().map((slot) => slot.bufferType))
  for (const bufferType of bufferTypes) {
    const group = slots.flat().filter((slot) => slot.bufferType === bufferType)
    const ctx = createContext(ggml, group.length)
    contexts.push(ctx)
    for (const slot of group) slot.tensor = newTensor(ggml, ctx, slot.spec)
    const buffer = c.ggml_backend_alloc_ctx_tensors_from_buft(ctx, bufferType)
    if (buffer === 0) {
      free()
      return undefined
    }
    buffers.push(buffer)
    preferHugePages(c.ggml_backend_buffer_get_base(buffer), c.ggml_backend_buffer_get_size(buffer))
    c.ggml_backend_buffer_set_usage(buffer, 1) // GGML_BACKEND_BUFFER_USAGE_WEIGHTS
    for (const { spec, tensor } of group) {
      const bytes = c.ggml_nbytes(tensor)
      if (bytes === spec.byteLength) continue
      free()
      throw new Error(`ggml wants ${bytes} bytes for ${spec.name}, the file has ${spec.byteLength}`)
    }
  }

  const written = specs.map(() => 0)
  const find = (name: string, use: Slot['use']): Slot => {
    const own = slots.flat().filter(({ spec }) => spec.name === name)
    const slot = own.find((slot) => slot.use === use) ?? own[0]
    if (slot === undefined) throw new Error(`there is no tensor ${name}`)
    return slot
  }
  const store = (slot: Slot, offset: number, bytes: Uint8Array): void => {
    const { spec, bufferType, tensor } = slot
    if (bufferType === ggml.bufferType) return c.ggml_backend_tensor_set(tensor, bytes, offset, bytes.length)
    slot.staged ??= new Uint8Array(spec.byteLength)
    slot.staged.set(bytes, offset)
    if (offset + bytes.length < spec.byteLength) return
    c.ggml_backend_tensor_set(tensor, slot.staged, 0, spec.byteLength)
    slot.staged = undefined
  }
  return {
    plain: (name) => find(name, 'plain').tensor,
    product: (name) => find(name, 'product').tensor,
    layout(name) {
      const { spec, bufferType } = find(name, 'product')
      return { type: spec.type, bufferType }
    },
    products: slots
      .flat()
      .filter(({ spec }) => spec.use === 'product')
      .map(({ spec, bufferType }) => ({ type: spec.type, bufferType })),
    bytes: buffers.reduce((sum, buffer) => sum + c.ggml_backend_buffer_get_size(buffer), 0),
    write(index, offset, bytes) {
      const spec = specs[index]
      if (spec === undefined) throw new Error(`there is no tensor ${index}`)
      const end = offset + bytes.length
      if (offset !== written[index] || end > spec.byteLength)
        throw new Error(`bytes ${offset} to ${end} of ${spec.name} are out of order`)
      slots[index]?.forEach((slot) => store(slot, offset, bytes))
      written[index] = end
    },
    finish() {
      const missing = specs.find((spec, index) => written[index] !== spec.byteLength)
      if (missing !== undefined) throw new Error(`the tensor ${missing.name} is not complete`)
    },
    free
  }
}

function slotsOf(ggml: Ggml, spec: WeightSpec): Slot[] {
  const slot = (use: Slot['use'], bufferType: number): Slot => ({
    spec,
    bufferType,
    use,
    tensor: 0,
    staged: undefined
  })
  const plain = slot('plain', ggml.bufferType)
  if (spec.use === 'plain') return [plain]
  const special = ggml.extraBufferTypes.find((type) => supportsProduct(ggml, type, spec))
  if (special === undefined) return [plain]
  // The layout is faster a row, but where it makes a single row run as four it is slower in the end.
  const rows = (bufferType: number): number => rowMultiple(ggml, spec.type, bufferType) ?? Infinity
  if (spec.use === 'product' && rows(special) > rows(ggml.bufferType)) return [plain]
  return spec.use === 'both' ? [plain, slot('product', special)] : [slot('product', special)]
}
