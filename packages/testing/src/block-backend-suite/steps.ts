import type { RowKernel } from '@kwaai/interface'
import { assert, assertEqual } from '../assert.ts'
import {
  assertSameBits,
  rowsFrom,
  rowsOf,
  runAnew,
  runInSteps,
  runStep,
  seededRows,
  type BackendTest
} from './harness.ts'

const kernels: readonly RowKernel[] = ['tile', 'vec']

/** Rows, steps, batches and cuts. */
export function stepTests(it: BackendTest): void {
  for (const kernel of kernels) {
    it(`gives ${kernel} rows the same bits in steps of 1, 2, 63, 64, 65 and 600`, async ({
      backend,
      runner
    }) => {
      const x = seededRows(runner.shape, 600, `steps ${kernel}`)
      const expected = await runAnew(runner, x, [600], kernel)
      assert(
        expected.every((value) => Number.isFinite(value)),
        'a value is not finite'
      )
      const sizes = [[1], [2], [63], [64], [65], [64, 1, 63, 2, 200]]
      for (const steps of backend.supports.exactReplay === 'any' ? sizes : [[600]])
        assertSameBits(
          runner.shape,
          await runAnew(runner, x, steps, kernel),
          expected,
          `steps of ${steps.join()}`
        )
    })
  }

  it('gives generated rows after a long prompt the same bits, one by one or together', async ({
    backend,
    runner
  }) => {
    const { shape } = runner
    const x = seededRows(shape, 560, 'prompt')
    const generate = async (prompt: number[], sizes: number[]): Promise<Float32Array> => {
      const session = await runner.open({ maxTokens: 560 })
      await runInSteps(runner, session, 0, rowsOf(shape, x, 0, 500), prompt, 'tile')
      return runInSteps(runner, session, 500, rowsOf(shape, x, 500, 560), sizes, 'vec')
    }
    const expected = await generate([500], [1])
    const others = backend.supports.exactReplay === 'any' ? [[60], [7, 1, 30]] : [[1]]
    for (const sizes of others)
      assertSameBits(shape, await generate([500], sizes), expected, `steps of ${sizes.join()}`)
    if (backend.supports.exactReplay === 'any')
      assertSameBits(shape, await generate([63, 100], [64]), expected, 'another grouping of the prompt')
  })

  it('depends on every row before, and on none after', async ({ runner }) => {
    const { shape } = runner
    const x = seededRows(shape, 40, 'causal')
    const expected = await runAnew(runner, x, [40], 'vec')
    const changed = x.slice()
    changed[20 * shape.hiddenSize] = (changed[20 * shape.hiddenSize] as number) + 1
    const actual = await runAnew(runner, changed, [40], 'vec')
    assertSameBits(shape, rowsOf(shape, actual, 0, 20), rowsOf(shape, expected, 0, 20), 'rows before')
    for (let row = 20; row < 40; row++) {
      const same = rowsOf(shape, actual, row, row + 1).every(
        (v, i) => v === expected[row * shape.hiddenSize + i]
      )
      assert(!same, `row ${row} does not see row 20`)
    }
  })

  it('gives the same bits wherever the model is cut', async ({ backend, model, shape, runner }) => {
    const { blockCount } = shape
    const x = seededRows(shape, 70, 'cuts')
    const expected = await runAnew(runner, x, [70], 'tile')
    const everyBlock = Array.from({ length: blockCount - 1 }, (_, i) => i + 1)
    for (const cuts of [[1], [blockCount - 1], everyBlock]) {
      let rows = x
      const ends = [0, ...cuts, blockCount]
      for (let i = 0; i + 1 < ends.length; i++) {
        const part = await backend.loadBlocks(model, { from: ends[i] as number, to: ends[i + 1] as number })
        rows = await runAnew(part, rows, [70], 'tile')
        await part[Symbol.asyncDispose]()
      }
      assertSameBits(shape, rows, expected, `cut at ${cuts.join()}`)
    }
  })

  it('runs a batch of sessions, kernels and single rows as it runs each alone', async ({
    backend,
    runner
  }) => {
    const { shape } = runner
    const plans = [
      { past: 0, rows: 80, kernel: 'tile' },
      { past: 300, rows: 1, kernel: 'vec' },
      { past: 70, rows: 5, kernel: 'tile' },
      { past: 9, rows: 1, kernel: 'vec' },
      { past: 530, rows: 1, kernel: 'vec' }
    ] as const
    const run = async (together: boolean): Promise<Float32Array[]> => {
      const steps = []
      for (const [i, { past, rows, kernel }] of plans.entries()) {
        const x = seededRows(shape, past + rows, `batch ${i}`)
        const session = await runner.open({ maxTokens: past + rows })
        if (past > 0)
          await runStep(runner, { session, past: 0, hidden: rowsOf(shape, x, 0, past), kernel: 'tile' })
        steps.push({ session, past, hidden: rowsOf(shape, x, past, past + rows), kernel })
      }
      const results = together
        ? await runner.forward(steps)
        : (await Promise.all(steps.map((step) => runner.forward([step])))).flat()
      for (const { session } of steps) await runner.close(session)
      return results.map(rowsFrom)
    }
    const any = backend.supports.exactReplay === 'any'
    const expected = await run(!any)
    const actual = await run(true)
    assertEqual(actual.length, plans.length, 'results')
    actual.forEach((rows, i) => assertSameBits(shape, rows, expected[i] as Float32Array, `step ${i}`))
  })

  it('runs three sessions of one row together', async ({ backend, runner }) => {
    const { shape } = runner
    const inputs = [0, 1, 2].map((i) => seededRows(shape, 12, `three ${i}`))
    const run = async (together: boolean): Promise<Float32Array[]> => {
      const sessions = await Promise.all(inputs.map(() => runner.open({ maxTokens: 12 })))
      const out = inputs.map((x) => new Float32Array(x.length))
      for (let row = 0; row < 12; row++) {
        const steps = inputs.map((x, i) => ({
          session: sessions[i] as number,
          past: row,
          hidden: rowsOf(shape, x, row, row + 1),
          kernel: 'vec' as const
        }))
        const results = together
          ? await runner.forward(steps)
          : (await Promise.all(steps.map((step) => runner.forward([step])))).flat()
        results.forEach((result, i) => out[i]?.set(rowsFrom(result), row * shape.hiddenSize))
      }
      return out
    }
    const expected = await run(backend.supports.exactReplay !== 'any')
    for (const [i, rows] of (await run(true)).entries())
      assertSameBits(shape, rows, expected[i] as Float32Array, `session ${i}`)
  })

  it('runs overlapping calls in the order they were made', async ({ runner }) => {
    const { shape } = runner
    const x = seededRows(shape, 30, 'overlap')
    const expected = await runAnew(runner, x, [10], 'vec')
    const session = await runner.open({ maxTokens: 30 })
    const calls = [0, 10, 20].map((past) =>
      runStep(runner, { session, past, hidden: rowsOf(shape, x, past, past + 10), kernel: 'vec' })
    )
    const closing = runner.close(session)
    for (const [i, rows] of (await Promise.all(calls)).entries())
      assertSameBits(shape, rows, rowsOf(shape, expected, i * 10, i * 10 + 10), `call ${i}`)
    await closing
  })

  it('returns nothing for no steps', async ({ runner }) => {
    assertEqual(await runner.forward([]), [], 'results')
  })
}
