import { InferenceSession, Tensor } from 'onnxruntime-node'
import { expect, test } from 'vitest'
import { createOnnxGraph, writeOnnxModel } from '../src/onnx-graph/index.ts'

/** The floats of a result. */
const floats = (value: Tensor | undefined): number[] => [...((value?.data as Float32Array | undefined) ?? [])]

test('ONNX Runtime runs a graph with constants, axes, whole and broken attributes, and two outputs', async () => {
  const graph = createOnnxGraph('small')
  const x = graph.input({ name: 'x', type: 'f32', shape: ['rows', 4] })
  const [left = '', right = ''] = graph.nodeOf('Split', [x], ['left', 'right'], {
    attributes: { axis: { int: -1 }, num_outputs: { int: 2 } }
  })
  const turned = graph.node('Transpose', [right], { attributes: { perm: { ints: [1, 0] } } })
  const leaky = graph.node('LeakyRelu', [graph.node('MatMul', [left, turned])], {
    attributes: { alpha: { float: 0.5 } }
  })
  graph.node('ReduceSum', [leaky, graph.ints('axes', [1])], {
    attributes: { keepdims: { int: 0 } },
    output: 'sums'
  })
  graph.output({ name: 'sums', type: 'f32', shape: ['rows'] })
  graph.output({ name: leaky, type: 'f32', shape: ['rows', 'rows'] })

  const session = await InferenceSession.create(await writeOnnxModel({ graph: graph.build() }))
  expect(session.outputNames).toEqual(['sums', leaky])
  const results = await session.run({ x: new Tensor('float32', [1, 2, 3, -4, 5, 6, -7, 8], [2, 4]) })
  // Rows [1 2] and [5 6] times columns [3 -4] and [-7 8], negative values halved.
  expect(floats(results[leaky])).toEqual([-2.5, 9, -4.5, 13])
  expect(floats(results['sums'])).toEqual([6.5, 8.5])
  await session.release()
})

test('and one whose weights stand outside, with an operator of another domain', async () => {
  const graph = createOnnxGraph('outside')
  const x = graph.input({ name: 'x', type: 'f32', shape: ['n'] })
  const external = { location: 'weights.bin', offset: 8, length: 12 }
  const weights = graph.tensor({ name: 'w', type: 'f32', shape: [3], data: { external } })
  const sum = graph.node('Add', [x, weights])
  graph.node('QuickGelu', [sum], {
    domain: 'com.microsoft',
    attributes: { alpha: { float: 1 } },
    output: 'y'
  })
  graph.output({ name: 'y', type: 'f32', shape: ['n'] })
  const opsets = { '': 21, 'com.microsoft': 1 }

  const session = await InferenceSession.create(await writeOnnxModel({ graph: graph.build(), opsets }), {
    externalData: [{ path: 'weights.bin', data: new Uint8Array(Float32Array.of(9, 9, 1, 2, 3).buffer) }]
  })
  const { y } = await session.run({ x: new Tensor('float32', [-1, 0, 1], [3]) })
  const values = floats(y)
  expect(values.map((value) => value.toFixed(5))).toEqual(
    [0, 2, 4].map((value) => (value / (1 + Math.exp(-value))).toFixed(5))
  )
  await session.release()
})

test('and the sums of integers of all widths', async () => {
  const graph = createOnnxGraph('widths')
  const x = graph.input({ name: 'x', type: 'f32', shape: [2] })
  const wide = (name: string, type: 'i8' | 'u8' | 'i32' | 'i64' | 'f16', bytes: number[]): string =>
    graph.node('Cast', [graph.tensor({ name, type, shape: [2], data: Uint8Array.from(bytes) })], {
      attributes: { to: { int: 1 } }
    })
  graph.node(
    'Sum',
    [
      x,
      wide('a', 'i8', [255, 2]),
      wide('b', 'u8', [255, 2]),
      wide('c', 'i32', [1, 1, 0, 0, 0, 0, 0, 0]),
      wide('d', 'i64', [254, 255, 255, 255, 255, 255, 255, 255, 1, 0, 0, 0, 0, 0, 0, 0]),
      wide('e', 'f16', [0, 0x3c, 0, 0xc0])
    ],
    { output: 'y' }
  )
  graph.output({ name: 'y', type: 'f32', shape: [2] })
  const session = await InferenceSession.create(await writeOnnxModel({ graph: graph.build() }))
  const { y } = await session.run({ x: new Tensor('float32', [1000, 100], [2]) })
  expect(floats(y)).toEqual([1000 - 1 + 255 + 257 - 2 + 1, 100 + 2 + 2 + 0 + 1 - 2])
  await session.release()
})
