import type { ByteSource, ModelShape } from '@kwaai/interface'
import { KwaaiError } from '@kwaai/interface'
import { assert, assertEqual, assertRejects, assertRejectsWith } from '../assert.ts'
import { assertSameBits, runAnew, seededRows, type BackendTest } from './harness.ts'

/** Loading, the two ends of a model, the end. */
export function loadingTests(it: BackendTest): void {
  it('says what it is and what it holds', async ({ backend, model, shape, runner }) => {
    assertEqual<string>(backend.specification, 'kwaai.block-backend/1', 'specification')
    assert(backend.name.length > 0, 'it has no name')
    assert(backend.supports.residuals.includes('f32'), 'it does not do f32 residuals')
    const numericsClass = await backend.numericsClass()
    assert(numericsClass.length > 0, 'it has no numerics class')
    assertEqual(await backend.numericsClass(), numericsClass, 'numerics class, asked again')
    const facts = Object.keys(shape) as (keyof ModelShape)[]
    for (const fact of facts) assertEqual(runner.shape[fact], shape[fact], fact)
    assertEqual([runner.from, runner.to], [0, shape.blockCount], 'range')
    const part = await backend.loadBlocks(model, { from: 1, to: 2 })
    assertEqual([part.from, part.to], [1, 2], 'range of a part')
    assert(part.weightBytes > 0 && part.weightBytes < runner.weightBytes, 'weights of a part')
    assertEqual(part.kvBytesPerToken * shape.blockCount, runner.kvBytesPerToken, 'cache of a part')
  })

  it('refuses blocks the model does not have', async ({ backend, model, shape }) => {
    const { blockCount } = shape
    const ranges = [
      [-1, 1],
      [0, 0],
      [1, 0],
      [0, blockCount + 1],
      [blockCount, blockCount + 1],
      [0.5, 1],
      [0, 1.5]
    ]
    for (const [from, to] of ranges as [number, number][])
      await assertRejectsWith(
        backend.loadBlocks(model, { from, to }),
        'ERR_BACKEND_INVALID_RANGE',
        `blocks ${from} to ${to}`
      )
  })

  it('refuses a file that is no model', async ({ backend, model }) => {
    const cut = (size: number): ByteSource => ({ size, read: (at, length, o) => model.read(at, length, o) })
    const zeros: ByteSource = { size: 1000, read: async (_, length) => new Uint8Array(length) }
    for (const source of [zeros, cut(0), cut(100), cut(model.size - 1000)]) {
      for (const call of [backend.loadBlocks(source, { from: 0, to: 1 }), backend.loadHead(source)]) {
        const error = await assertRejects(call, `a file of ${source.size} bytes`)
        assert(
          KwaaiError.is(error) && error.code.startsWith('ERR_GGUF_'),
          `no ERR_GGUF_ but ${String(error)}`
        )
      }
    }
  })

  it('embeds tokens and makes logits', async ({ backend, model, shape, runner }) => {
    const head = await backend.loadHead(model)
    assertEqual(head.shape.vocabularySize, shape.vocabularySize, 'vocabulary')
    const last = shape.vocabularySize - 1
    const rows = await head.embed([0, last, 0])
    assertEqual(rows.length, 3 * shape.hiddenSize, 'values of three tokens')
    const [a, b, c] = [0, 1, 2].map((i) => rows.slice(i * shape.hiddenSize, (i + 1) * shape.hiddenSize))
    assertSameBits(shape, c as Float32Array, a as Float32Array, 'the same token')
    assertSameBits(shape, await head.embed(Int32Array.of(last)), b as Float32Array, 'a token alone')
    assert(!(a as Float32Array).every((v, i) => v === b?.[i]), 'two tokens have one embedding')
    assertEqual((await head.embed([])).length, 0, 'values of no tokens')
    for (const id of [-1, shape.vocabularySize, 0.5, Number.NaN])
      await assertRejectsWith(head.embed([0, id]), 'ERR_BACKEND_INVALID_TOKEN', `the token ${id}`)

    const out = await runAnew(runner, rows, [3], 'vec')
    const row = out.slice(2 * shape.hiddenSize)
    const logits = await head.logits(row)
    assertEqual(logits.length, shape.vocabularySize, 'logits')
    assert(
      logits.every((value) => Number.isFinite(value)),
      'a logit is not finite'
    )
    assertSameBits(shape, await head.logits(row), logits, 'logits made again')
    const into = new Float32Array(shape.vocabularySize)
    assert((await head.logits(row, { into })) === into, 'logits were not written to the memory offered')
    assertSameBits(shape, into, logits, 'logits in memory of the caller')
    await assertRejectsWith(
      head.logits(row, { into: into.subarray(1) }),
      'ERR_BACKEND_INVALID_STEP',
      'memory of another size'
    )
    // A backend may know beforehand what is asked next; it has to be what it would be otherwise.
    const likeliest = logits.indexOf(Math.max(...logits))
    const ahead = await head.embed([likeliest])
    const both = await head.embed([likeliest, 0])
    assertSameBits(shape, ahead, both.slice(0, shape.hiddenSize), 'the likeliest token')
    ahead.fill(0)
    const again = await head.embed([likeliest])
    assertSameBits(shape, again, both.slice(0, shape.hiddenSize), 'the likeliest token, asked again')
    for (const wrong of [out, row.slice(1), new Float32Array(0)])
      await assertRejectsWith(
        head.logits(wrong),
        'ERR_BACKEND_INVALID_STEP',
        `a row of ${wrong.length} values`
      )
    for (const value of [Number.NaN, Infinity, 1e9]) {
      const bad = row.slice()
      bad[1] = value
      await assertRejectsWith(head.logits(bad), 'ERR_BACKEND_NOT_FINITE', `a row with ${value}`)
    }
    await head[Symbol.asyncDispose]()
    await assertRejectsWith(head.embed([0]), 'ERR_BACKEND_CLOSED', 'a closed head')
  })

  it('ends, twice, and says so afterwards', async ({ backend, model, shape, runner }) => {
    const other = await backend.loadBlocks(model, { from: 0, to: 1 })
    const session = await runner.open({ maxTokens: 2 })
    await runner[Symbol.asyncDispose]()
    await runner[Symbol.asyncDispose]()
    const hidden = seededRows(shape, 1, 'end')
    const code = 'ERR_BACKEND_CLOSED'
    const step = { session, past: 0, hidden, kernel: 'vec' } as const
    await assertRejectsWith(runner.forward([step]), code, 'a step of a closed runner')
    await assertRejectsWith(runner.open({ maxTokens: 2 }), code, 'a session of a closed runner')
    await runAnew(other, hidden, [1], 'vec')
    await backend[Symbol.asyncDispose]()
    await backend[Symbol.asyncDispose]()
    await assertRejectsWith(other.open({ maxTokens: 2 }), code, 'a runner of a closed backend')
    await assertRejectsWith(backend.loadBlocks(model, { from: 0, to: 1 }), code, 'blocks of a closed backend')
    await assertRejectsWith(backend.loadHead(model), code, 'the head of a closed backend')
  })
}
