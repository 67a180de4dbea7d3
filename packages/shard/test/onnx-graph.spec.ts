import { KwaaiError } from '@kwaai/interface'
import { describe, expect, test } from 'vitest'
import {
  createOnnxGraph,
  encodeOnnxModel,
  onnxTensorBytes,
  writeOnnxModel,
  type OnnxGraph,
  type OnnxModel,
  type OnnxTensorPieces
} from '../src/onnx-graph/index.ts'
import vectors from './vectors/onnx/models.json' with { type: 'json' }

const hex = (bytes: Uint8Array): string => [...bytes].map((b) => b.toString(16).padStart(2, '0')).join('')
const fromHex = (text: string): Uint8Array =>
  Uint8Array.from(text.match(/../g) ?? [], (b) => Number.parseInt(b, 16))

function double(): OnnxGraph {
  const graph = createOnnxGraph('double')
  const x = graph.input({ name: 'x', type: 'f32', shape: ['n', 3] })
  graph.node('Mul', [x, graph.float('two', 2)], { output: 'y' })
  graph.output({ name: 'y', type: 'f32', shape: ['n', 3] })
  return graph.build()
}

function refusal(model: OnnxModel, maxBytes?: number): string {
  try {
    encodeOnnxModel(model, maxBytes === undefined ? {} : { maxBytes })
  } catch (error) {
    return KwaaiError.is(error) ? `${error.code}: ${error.message}` : String(error)
  }
  return 'accepted'
}

describe('the bytes are those of the official library', () => {
  test('for a model that runs', async () => {
    expect(hex(await writeOnnxModel({ graph: double() }))).toBe(vectors.double)
  })

  test('for every kind of attribute, tensor, dimension and domain', async () => {
    const external = { location: 'weights.bin', offset: 4096, length: 12 }
    const model: OnnxModel = {
      opsets: { '': 23, 'com.example': 1 },
      irVersion: 11,
      metadata: { 'made by': 'hand', empty: '' },
      graph: {
        name: 'types',
        inputs: [{ name: 'a', type: 'i64', shape: ['batch', 4] }],
        outputs: [
          { name: 'c', type: 'bool', shape: [] },
          { name: 'd', type: 'u8', shape: [0] }
        ],
        tensors: [
          { name: 'b', type: 'f16', shape: [2, 3], data: { external } },
          { name: 'four', type: 'i4', shape: [3], data: fromHex('2103') },
          { name: 'brain', type: 'bf16', shape: [1], data: fromHex('803f') }
        ],
        nodes: [
          {
            op: 'Everything',
            name: 'all',
            domain: 'com.example',
            inputs: ['a', '', 'b'],
            outputs: ['c', '', 'd'],
            attributes: {
              a_int: { int: -5 },
              b_ints: { ints: [1, -1, 300n, 2 ** 40] },
              c_float: { float: 0.5 },
              d_floats: { floats: [1.5, -2.25] },
              e_string: { string: 'café' },
              f_strings: { strings: ['', 'x'.repeat(200)] },
              g_tensor: {
                tensor: { name: 'inner', type: 'i64', shape: [1], data: fromHex('feffffffffffffff') }
              }
            }
          }
        ]
      }
    }
    expect(hex(await writeOnnxModel(model))).toBe(vectors.types)
  })
})

describe('large tensors are made while the file is written', () => {
  const withPieces = (data: OnnxTensorPieces): OnnxModel => {
    const graph = double()
    const [two] = graph.tensors
    return { graph: { ...graph, tensors: [{ ...(two as (typeof graph.tensors)[0]), data }] } }
  }
  const pieces = (...parts: string[]): OnnxTensorPieces => ({
    byteLength: 4,
    async *pieces() {
      for (const part of parts) yield fromHex(part)
    }
  })

  test('piece by piece, the same bytes, as often as they are asked for', async () => {
    const encoded = encodeOnnxModel(withPieces(pieces('0000', '00', '40')))
    expect(encoded.byteLength).toBe(vectors.double.length / 2)
    for (let round = 0; round < 2; round++) {
      let text = ''
      for await (const piece of encoded.pieces()) text += hex(piece)
      expect(text).toBe(vectors.double)
    }
  })

  test.each([
    ['too few', ['0000']],
    ['too many', ['00000040', '00']],
    ['none', []]
  ])('and %s bytes are an error', async (_, parts) => {
    await expect(writeOnnxModel(withPieces(pieces(...parts)))).rejects.toMatchObject({
      code: 'ERR_ONNX_INVALID'
    })
  })

  test('an abort ends the writing between two pieces', async () => {
    const controller = new AbortController()
    const data: OnnxTensorPieces = {
      byteLength: 4,
      *pieces() {
        yield fromHex('0000')
        controller.abort(new Error('enough'))
        yield fromHex('0040')
      }
    }
    await expect(writeOnnxModel(withPieces(data), controller)).rejects.toThrow('enough')
    await expect(writeOnnxModel(withPieces(data), { signal: AbortSignal.abort() })).rejects.toThrow()
  })

  test('tensors that no memory could hold are counted, not made', () => {
    const data: OnnxTensorPieces = { byteLength: 2 ** 31, pieces: () => [] }
    const graph = double()
    const tensors = [...graph.tensors, { name: 'huge', type: 'u8' as const, shape: [2 ** 31], data }]
    expect(refusal({ graph: { ...graph, tensors } })).toMatch(/^ERR_ONNX_LIMIT_EXCEEDED: .*external data/)
    expect(refusal({ graph: double() }, 50)).toMatch(/^ERR_ONNX_LIMIT_EXCEEDED: .* 50 is the most/)
  })
})

describe('a graph that contradicts itself is refused', () => {
  const value = { name: 'y', type: 'f32' as const, shape: [1] }
  const good: OnnxGraph = {
    name: '',
    inputs: [{ ...value, name: 'x' }],
    outputs: [value],
    tensors: [],
    nodes: [{ op: 'Neg', inputs: ['x'], outputs: ['y'] }]
  }
  const one = new Uint8Array(4)

  test('and the good one is not', () => expect(refusal({ graph: good })).toBe('accepted'))

  test.each<[string, Partial<OnnxGraph>, RegExp]>([
    ['a name nothing made', { nodes: [{ op: 'Neg', inputs: ['z'], outputs: ['y'] }] }, /reads z/],
    [
      'a name made later',
      {
        nodes: [
          { op: 'Neg', inputs: ['z'], outputs: ['y'] },
          { op: 'Neg', inputs: ['x'], outputs: ['z'] }
        ]
      },
      /reads z/
    ],
    ['a name made twice', { nodes: [{ op: 'Neg', inputs: ['x'], outputs: ['x'] }] }, /x is made twice/],
    ['an output nobody makes', { outputs: [{ ...value, name: 'z' }] }, /nothing makes its output z/],
    ['no output', { outputs: [] }, /no output/],
    ['a node that makes nothing', { nodes: [{ op: 'Neg', inputs: ['x'], outputs: [''] }] }, /makes nothing/],
    ['a node without operator', { nodes: [{ op: '', inputs: ['x'], outputs: ['y'] }] }, /no operator/],
    [
      'an unknown domain',
      { nodes: [{ op: 'Neg', inputs: ['x'], outputs: ['y'], domain: 'com.example' }] },
      /com\.example, which has no version/
    ],
    [
      'a tensor of the wrong length',
      { tensors: [{ name: 't', type: 'f32', shape: [2], data: one }] },
      /asks for 8/
    ],
    ['a tensor without a name', { tensors: [{ name: '', type: 'f32', shape: [1], data: one }] }, /no name/],
    [
      'a negative dimension',
      { tensors: [{ name: 't', type: 'f32', shape: [-1], data: one }] },
      /no possible shape/
    ],
    ['half a dimension', { inputs: [{ ...value, name: 'x', shape: [0.5] }] }, /no possible shape/],
    ['a nameless dimension', { inputs: [{ ...value, name: 'x', shape: [''] }] }, /empty name/],
    ['nine dimensions', { inputs: [{ ...value, name: 'x', shape: Array(9).fill(1) }] }, /more than 8/],
    ['an unknown type', { inputs: [{ ...value, name: 'x', type: 'f8' as 'f32' }] }, /no known element type/],
    [
      'data that stand nowhere',
      {
        tensors: [
          { name: 't', type: 'u8', shape: [1], data: { external: { location: '', offset: 0, length: 1 } } }
        ]
      },
      /stands nowhere/
    ],
    [
      'an attribute beyond 64 bits',
      { nodes: [{ op: 'Neg', inputs: ['x'], outputs: ['y'], attributes: { a: { int: 2n ** 63n } } }] },
      /does not fit into 64 bits/
    ],
    [
      'an attribute that is no whole number',
      { nodes: [{ op: 'Neg', inputs: ['x'], outputs: ['y'], attributes: { a: { ints: [0.5] } } }] },
      /no whole number/
    ]
  ])('%s', (_, change, why) => {
    const text = refusal({ graph: { ...good, ...change } })
    expect(text).toMatch(/^ERR_ONNX_INVALID: Cannot write the model: /)
    expect(text).toMatch(why)
  })
})

test('4-bit values share bytes', () => {
  expect(onnxTensorBytes('u4', [3, 3])).toBe(5)
  expect(onnxTensorBytes('i64', [2, 3])).toBe(48)
  expect(onnxTensorBytes('f32', [])).toBe(4)
  expect(onnxTensorBytes('f16', [0, 5])).toBe(0)
})
