import type { KvRows } from '@kwaai/interface'
import { assert, assertEqual, assertRejects, assertRejectsWith } from '../assert.ts'
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

/** Caches: trimmed, moved, refused, closed. */
export function sessionTests(it: BackendTest): void {
  it('trims and runs rows again, by trim and by a step that begins earlier', async ({ runner }) => {
    const { shape } = runner
    const x = seededRows(shape, 80, 'trim')
    const other = seededRows(shape, 30, 'trimmed')
    const expected = await runAnew(runner, x, [40, 20, 20], 'vec')
    const session = await runner.open({ maxTokens: 80 })
    const run = (from: number, to: number): Promise<Float32Array> =>
      runInSteps(runner, session, from, rowsOf(shape, x, from, to), [40, 20, 20], 'vec')
    await run(0, 40)
    await runStep(runner, { session, past: 40, hidden: other, kernel: 'vec' })
    await runner.trim(session, 40)
    await assertRejectsWith(run(60, 80), 'ERR_BACKEND_INVALID_STEP', 'a step after the trimmed end')
    await runStep(runner, { session, past: 40, hidden: other, kernel: 'tile' })
    const rest = [
      await runStep(runner, { session, past: 40, hidden: rowsOf(shape, x, 40, 60), kernel: 'vec' }),
      await runStep(runner, { session, past: 60, hidden: rowsOf(shape, x, 60, 80), kernel: 'vec' })
    ]
    assertSameBits(shape, rest[0] as Float32Array, rowsOf(shape, expected, 40, 60), 'rows 40 to 60')
    assertSameBits(shape, rest[1] as Float32Array, rowsOf(shape, expected, 60, 80), 'rows 60 to 80')
    await runner.trim(session, 0)
    assertSameBits(shape, await run(0, 40), rowsOf(shape, expected, 0, 40), 'all rows again')
  })

  it('moves a cache to another runner', async ({ backend, model, shape, runner }) => {
    const x = seededRows(shape, 90, 'move')
    const session = await runner.open({ maxTokens: 90 })
    await runStep(runner, { session, past: 0, hidden: rowsOf(shape, x, 0, 70), kernel: 'tile' })
    const parts = [await runner.exportKv(session, 0, 30), await runner.exportKv(session, 30, 70)]
    for (const part of parts)
      assertEqual(part.data.length, (part.to - part.from) * runner.kvBytesPerToken, 'bytes')
    const expected = await runInSteps(runner, session, 70, rowsOf(shape, x, 70, 90), [1], 'vec')

    const standby = await backend.loadBlocks(model, { from: 0, to: shape.blockCount })
    const moved = await standby.open({ maxTokens: 100 })
    for (const part of parts) await standby.importKv(moved, part)
    const actual = await runInSteps(standby, moved, 70, rowsOf(shape, x, 70, 90), [1], 'vec')
    assertSameBits(shape, actual, expected, 'rows after the move')

    // An import ends the cache where its rows end.
    await standby.importKv(moved, parts[0] as KvRows)
    const late = { session: moved, past: 31, hidden: rowsOf(shape, x, 31, 32), kernel: 'vec' } as const
    await assertRejectsWith(
      runStep(standby, late),
      'ERR_BACKEND_INVALID_STEP',
      'a step past the imported rows'
    )
    const again = await standby.exportKv(moved, 0, 30)
    assertEqual(again.data, (parts[0] as KvRows).data, 'rows exported again')
  })

  it('refuses cache rows that do not fit', async ({ shape, runner }) => {
    const x = seededRows(shape, 10, 'kv')
    const session = await runner.open({ maxTokens: 10 })
    const expected = await runStep(runner, { session, past: 0, hidden: x, kernel: 'vec' })
    const rows = await runner.exportKv(session, 0, 5)
    const refused = (what: string, change: Partial<KvRows>): Promise<unknown> =>
      assertRejectsWith(runner.importKv(session, { ...rows, ...change }), 'ERR_BACKEND_INVALID_KV', what)
    await refused('too few bytes', { data: rows.data.slice(1) })
    await refused('more rows than bytes', { to: 6 })
    await refused('rows past the room', { from: 6, to: 11 })
    await refused('rows before the first', { from: -1, to: 4 })
    await refused('rows that end before they begin', { from: 5, to: 0 })
    await refused('half a row', { from: 0.5, to: 5.5 })
    await refused('another format', { format: rows.format === 'f16' ? 'f32' : 'f16' })
    await refused('values that are not finite', { data: new Uint8Array(rows.data.length).fill(255) })
    for (const [from, to] of [
      [0, 11],
      [-1, 2],
      [3, 2],
      [0.5, 2]
    ] as const)
      await assertRejectsWith(
        runner.exportKv(session, from, to),
        'ERR_BACKEND_INVALID_KV',
        `rows ${from} to ${to}`
      )
    await runner.trim(session, 3)
    await refused('rows after a gap', { from: 4, to: 9 })
    await runner.trim(session, 0)
    const again = await runStep(runner, { session, past: 0, hidden: x, kernel: 'vec' })
    assertSameBits(shape, again, expected, 'the session afterwards')
  })

  it('refuses steps that do not fit, and changes nothing', async ({ shape, runner }) => {
    const x = seededRows(shape, 20, 'refuse')
    const expected = await runAnew(runner, x, [10], 'vec')
    const session = await runner.open({ maxTokens: 20 })
    const good = await runner.open({ maxTokens: 20 })
    const first = rowsOf(shape, x, 0, 10)
    await runStep(runner, { session, past: 0, hidden: first, kernel: 'vec' })
    await runStep(runner, { session: good, past: 0, hidden: first, kernel: 'vec' })
    const next = { session: good, past: 10, hidden: rowsOf(shape, x, 10, 20), kernel: 'vec' } as const
    const step = { ...next, session }
    const refused = (what: string, change: object, code = 'ERR_BACKEND_INVALID_STEP'): Promise<unknown> =>
      assertRejectsWith(runner.forward([next, { ...step, ...change }]), code, what)
    await refused('a gap', { past: 11 })
    await refused('a start before the first row', { past: -1 })
    await refused('a start within a row', { past: 9.5 })
    await refused('no rows', { hidden: new Float32Array(0) })
    await refused('a piece of a row', { hidden: x.subarray(0, shape.hiddenSize + 1) })
    await refused('more rows than there is room for', { hidden: rowsOf(shape, x, 0, 11) })
    await refused('an unknown kernel', { kernel: 'none' })
    await refused('two steps of one session', { session: good })
    await refused('an unknown session', { session: 123_456 }, 'ERR_BACKEND_UNKNOWN_SESSION')
    for (const [i, rows] of (await runner.forward([next, step])).entries())
      assertSameBits(shape, rowsFrom(rows), rowsOf(shape, expected, 10, 20), `session ${i} afterwards`)
  })

  it('refuses rows that no model makes, without touching the others of the batch', async ({
    shape,
    runner
  }) => {
    const x = seededRows(shape, 20, 'not finite')
    const expected = await runAnew(runner, x, [10], 'vec')
    const sessions = [await runner.open({ maxTokens: 20 }), await runner.open({ maxTokens: 20 })]
    for (const session of sessions)
      await runStep(runner, { session, past: 0, hidden: rowsOf(shape, x, 0, 10), kernel: 'vec' })
    const values = [Number.NaN, Infinity, -Infinity, 1e9, -3e38]
    for (const value of values) {
      const bad = rowsOf(shape, x, 10, 20).slice()
      bad[3 * shape.hiddenSize + 1] = value
      const steps = [rowsOf(shape, x, 10, 20), bad].map((hidden, i) => ({
        session: sessions[i] as number,
        past: 10,
        hidden,
        kernel: 'vec' as const
      }))
      const [good, failed] = await runner.forward(steps)
      assertSameBits(shape, rowsFrom(good), rowsOf(shape, expected, 10, 20), `the good step beside ${value}`)
      assert(failed !== undefined && 'failure' in failed, `a step with ${value} has a result`)
      assertEqual(failed.row, 3, 'the bad row')
      assertEqual(failed.failure, Number.isFinite(value) ? 'out-of-range' : 'not-finite', 'the failure')
    }
    const redone = { session: sessions[1] as number, past: 10, hidden: rowsOf(shape, x, 10, 20) }
    const rows = await runStep(runner, { ...redone, kernel: 'vec' })
    assertSameBits(shape, rows, rowsOf(shape, expected, 10, 20), 'the failed session afterwards')
  })

  it('knows a closed session no more', async ({ shape, runner }) => {
    const x = seededRows(shape, 4, 'close')
    const session = await runner.open({ maxTokens: 4 })
    const other = await runner.open({ maxTokens: 4 })
    assert(session !== other, 'two sessions have one handle')
    const rows = await runStep(runner, { session, past: 0, hidden: x, kernel: 'vec' })
    const kv = await runner.exportKv(session, 0, 4)
    await runner.close(session)
    const code = 'ERR_BACKEND_UNKNOWN_SESSION'
    await assertRejectsWith(runner.forward([{ session, past: 0, hidden: x, kernel: 'vec' }]), code, 'forward')
    await assertRejectsWith(runner.trim(session, 0), code, 'trim')
    await assertRejectsWith(runner.exportKv(session, 0, 1), code, 'export')
    await assertRejectsWith(runner.importKv(session, kv), code, 'import')
    await runner.close(session)
    const again = await runStep(runner, { session: other, past: 0, hidden: x, kernel: 'vec' })
    assertSameBits(shape, again, rows, 'the other session')
  })

  it('refuses a session it has no room for', async ({ shape, runner }) => {
    await assertRejectsWith(
      runner.open({ maxTokens: 2 ** 44 }),
      'ERR_BACKEND_OUT_OF_MEMORY',
      'a huge session'
    )
    const x = seededRows(shape, 2, 'room')
    await runAnew(runner, x, [2], 'vec')
  })

  it('stops where a signal says so, and goes on afterwards', async ({ backend, model, shape, runner }) => {
    const reason = new Error('enough')
    const signal = AbortSignal.abort(reason)
    const x = seededRows(shape, 70, 'abort')
    const expected = await runAnew(runner, x, [70], 'tile')
    const session = await runner.open({ maxTokens: 70 })
    const step = { session, past: 0, hidden: x, kernel: 'tile' } as const
    const ended = [
      backend.loadBlocks(model, { from: 0, to: 1 }, { signal }),
      backend.loadHead(model, { signal }),
      runner.open({ maxTokens: 1 }, { signal }),
      runner.forward([step], { signal })
    ]
    // All at once: one of them may reject long before another.
    const reasons = await Promise.all(ended.map((call, i) => assertRejects(call, `call ${i}`)))
    reasons.forEach((found, i) => assert(found === reason, `call ${i} has another reason`))

    const controller = new AbortController()
    const first = runner.forward([step])
    const second = runner.forward([{ ...step, past: 0 }], { signal: controller.signal })
    controller.abort(reason)
    assert(
      (await assertRejects(second, 'a call that waits')) === reason,
      'the waiting call has another reason'
    )
    assertSameBits(shape, rowsFrom((await first)[0]), expected, 'the call before')
    assertSameBits(shape, await runStep(runner, step), expected, 'a call afterwards')
  })
}
