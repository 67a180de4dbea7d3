import type {
  BlockBackend,
  BlockRunner,
  BlockStep,
  ByteSource,
  KvHandle,
  ModelShape,
  RowKernel,
  StepFailure
} from '@kwaai/interface'
import { assert, assertEqual, type TestFunction } from '../assert.ts'
import { createSeededRandom } from '../random.ts'

/** What one test of the suite works with. */
export interface BlockBackendFixture {
  backend: BlockBackend
  /** A model of two blocks or more; small ones keep the suite short. */
  model: ByteSource
  /** The shape of that model. */
  shape: ModelShape
}

/** How a suite gets the backend it tests. */
export interface BlockBackendSuiteFactory {
  /** A backend of its own for each call; the suite disposes it. */
  create(): Promise<BlockBackendFixture>
}

/** What a test of the suite is handed: the fixture, and all blocks of the model loaded. */
export interface Loaded extends BlockBackendFixture {
  runner: BlockRunner
}

/** Runs one test of the suite. */
export type BackendTest = (name: string, run: (loaded: Loaded) => Promise<void>) => void

/** Makes the function with which the suite's parts declare their tests. */
export function backendTest(test: TestFunction, factory: BlockBackendSuiteFactory): BackendTest {
  return (name, run) => {
    test(`block backend: ${name}`, async () => {
      const fixture = await factory.create()
      try {
        const { backend, model, shape } = fixture
        const runner = await backend.loadBlocks(model, { from: 0, to: shape.blockCount })
        await run({ ...fixture, runner })
      } finally {
        await fixture.backend[Symbol.asyncDispose]()
      }
    })
  }
}

/** Seeded residual rows, `[count, hiddenSize]`, between -2 and 2. */
export function seededRows(shape: ModelShape, count: number, seed: number | string): Float32Array {
  const random = createSeededRandom(seed)
  return Float32Array.from({ length: count * shape.hiddenSize }, () => (random.next() - 0.5) * 4)
}

/** Rows `[from, to)` of `x`. */
export function rowsOf(shape: ModelShape, x: Float32Array, from: number, to: number): Float32Array {
  return x.subarray(from * shape.hiddenSize, to * shape.hiddenSize)
}

/** The result of a step that is to have one. */
export function rowsFrom(result: Float32Array | StepFailure | undefined): Float32Array {
  if (result instanceof Float32Array) return result
  throw new Error(result === undefined ? 'a step has no result' : `row ${result.row} is ${result.failure}`)
}

/** Runs one step alone. */
export async function runStep(runner: BlockRunner, step: BlockStep): Promise<Float32Array> {
  const results = await runner.forward([step])
  assertEqual(results.length, 1, 'results')
  return rowsFrom(results[0])
}

/** Runs `x` from row `past` of a session on, in steps of the given numbers of rows, over and over. */
export async function runInSteps(
  runner: BlockRunner,
  session: KvHandle,
  past: number,
  x: Float32Array,
  sizes: readonly number[],
  kernel: RowKernel
): Promise<Float32Array> {
  const { shape } = runner
  const count = x.length / shape.hiddenSize
  const out = new Float32Array(x.length)
  for (let done = 0, i = 0; done < count; i++) {
    const end = Math.min(count, done + (sizes[i % sizes.length] ?? 1))
    const hidden = rowsOf(shape, x, done, end)
    const result = await runStep(runner, { session, past: past + done, hidden, kernel })
    assertEqual(result.length, hidden.length, 'values of a step')
    out.set(result, done * shape.hiddenSize)
    done = end
  }
  return out
}

/** Opens a session and runs `x` in it. */
export async function runAnew(
  runner: BlockRunner,
  x: Float32Array,
  sizes: readonly number[],
  kernel: RowKernel
): Promise<Float32Array> {
  const session = await runner.open({ maxTokens: x.length / runner.shape.hiddenSize })
  const out = await runInSteps(runner, session, 0, x, sizes, kernel)
  await runner.close(session)
  return out
}

/** Throws unless both hold the same bits; names the first row that differs. */
export function assertSameBits(
  shape: ModelShape,
  actual: Float32Array,
  expected: Float32Array,
  what: string
): void {
  assertEqual(actual.length, expected.length, `${what}: values`)
  const a = bitsOf(actual)
  const b = bitsOf(expected)
  const at = a.findIndex((bits, i) => bits !== b[i])
  assert(at < 0, `${what}: row ${Math.floor(at / shape.hiddenSize)} differs`)
}

function bitsOf(values: Float32Array): Uint32Array {
  return new Uint32Array(values.slice().buffer)
}
