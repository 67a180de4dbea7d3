import type { AuditSink } from '@kwaai/interface'
import { assert, assertEqual, assertRejects, type TestFunction } from './assert.ts'

/** What a sink has taken, as its factory reads it back. */
export interface AuditSinkFixture {
  sink: AuditSink
  /** The kinds and the data of all that is kept about a subject (or about nobody), in its order. */
  read(subject?: string): Promise<{ kind: string; data: Uint8Array }[]>
}

/** How a suite gets the sink it tests. */
export interface AuditSinkSuiteFactory {
  /** An empty one. */
  create(): Promise<AuditSinkFixture>
  /** Called after each test. */
  destroy?(fixture: AuditSinkFixture): Promise<void>
}

const alice = 'did:key:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK'
const bob = 'did:key:z6MknGc3ocHs3zdPiJbnaaqDi58NGb4pk1Sp9WxWufuXSdxf'
const bytes = (...values: number[]): Uint8Array => Uint8Array.from(values)

/** What every `AuditSink` has to do. */
export function auditSinkSuite(test: TestFunction, factory: AuditSinkSuiteFactory): void {
  const withSink = (name: string, run: (fixture: AuditSinkFixture) => Promise<void>): void => {
    test(`audit sink: ${name}`, async () => {
      const fixture = await factory.create()
      try {
        await run(fixture)
      } finally {
        await factory.destroy?.(fixture)
      }
    })
  }

  withSink(
    'keeps what was appended when the call resolves, each with its subject',
    async ({ sink, read }) => {
      await sink.append({ kind: 'a/first', subject: alice, data: bytes(1) })
      assertEqual(await read(alice), [{ kind: 'a/first', data: bytes(1) }], 'after one')
      await sink.append({ kind: 'a/second', subject: bob, data: bytes(2) })
      await sink.append({ kind: 'a/third', data: bytes() })
      await sink.append({ kind: 'a/first', subject: alice, data: bytes(3) })
      const hers = [bytes(1), bytes(3)].map((data) => ({ kind: 'a/first', data }))
      assertEqual(await read(alice), hers, 'of one person')
      assertEqual(await read(bob), [{ kind: 'a/second', data: bytes(2) }], 'of another')
      assertEqual(await read(), [{ kind: 'a/third', data: bytes() }], 'of nobody')
    }
  )

  withSink('keeps all of many at once', async ({ sink, read }) => {
    await Promise.all(
      Array.from({ length: 20 }, (_, at) => sink.append({ kind: 'tick', subject: alice, data: bytes(at) }))
    )
    const seen = (await read(alice)).map(({ data }) => data[0] ?? -1).toSorted((a, b) => a - b)
    assertEqual(
      seen,
      Array.from({ length: 20 }, (_, at) => at),
      'all of them'
    )
  })

  withSink('copies the bytes', async ({ sink, read }) => {
    const data = bytes(1, 2)
    const appending = sink.append({ kind: 'tick', subject: alice, data })
    data.fill(9)
    await appending
    assertEqual((await read(alice))[0]?.data, bytes(1, 2), 'data')
  })

  withSink('does nothing under an aborted signal', async ({ sink, read }) => {
    const reason = new Error('enough')
    const options = { signal: AbortSignal.abort(reason) }
    const given = await assertRejects(sink.append({ kind: 'tick', data: bytes(1) }, options), 'append')
    assert(given === reason, 'another reason')
    assertEqual(await read(), [], 'nothing was kept')
  })
}
