import { spawn, type ChildProcess } from 'node:child_process'
import diagnostics from 'node:diagnostics_channel'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { KwaaiError, type BlockRunner, type BlockStep, type Clock } from '@kwaai/interface'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createGgmlBackend } from '../src/ggml/index.ts'
import { bytesSource } from '../src/gguf/index.ts'
import { bits } from './ggml-kit.ts'
import { toyModel } from './toy-model.ts'

const bytes = toyModel({ type: 'Q4_0' })
const model = bytesSource(bytes)
const width = 64

// Node.js announces every child process here: the backend itself shows none.
let children: ChildProcess[] = []
const remember = (message: unknown): void => {
  children.push((message as { process: ChildProcess }).process)
}
beforeEach(() => {
  children = []
  diagnostics.subscribe('child_process', remember)
})
afterEach(() => {
  diagnostics.unsubscribe('child_process', remember)
  for (const child of children) expect(child.exitCode !== null || child.signalCode !== null).toBe(true)
})

const rows = (count: number): Float32Array =>
  Float32Array.from({ length: count * width }, (_, i) => Math.sin(i))
const step = (session: number, past: number, count: number): BlockStep => ({
  session,
  past,
  kernel: 'vec',
  hidden: rows(count)
})
const code = (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => 'no error',
    (error: unknown) => (KwaaiError.is(error) ? error.code : String(error))
  )

/** Kills a child process and waits until everybody knows. */
async function kill(child: ChildProcess): Promise<void> {
  const closed = once(child, 'close')
  child.kill('SIGKILL')
  await closed
}

async function withRunner(
  init: Parameters<typeof createGgmlBackend>[0],
  run: (
    runner: BlockRunner,
    child: ChildProcess,
    backend: ReturnType<typeof createGgmlBackend>
  ) => Promise<void>
): Promise<void> {
  await using backend = createGgmlBackend(init)
  const runner = await backend.loadBlocks(model, { from: 0, to: 3 })
  await run(runner, children[0] as ChildProcess, backend)
}

describe('when the child process dies', () => {
  it.each(['SIGKILL', 'SIGSEGV', 'SIGABRT'] as const)(
    'rejects what waits (%s); the next call starts another process with the same blocks',
    async (signal) => {
      await withRunner({}, async (runner, child) => {
        const session = await runner.open({ maxTokens: 600 })
        const [expected] = await runner.forward([step(session, 0, 5)])
        const busy = [0, 1, 2].map(() => code(runner.forward([step(session, 0, 600)])))
        child.kill(signal)
        expect(await Promise.all(busy)).toEqual(Array(3).fill('ERR_BACKEND_CRASHED'))
        expect(await code(runner.close(session))).toBe('no error')
        expect(children).toHaveLength(1)

        // Calls that come together wait for one start and run in their order.
        const again = runner.open({ maxTokens: 600 })
        expect(await code(runner.forward([step(session, 0, 1)]))).toBe('ERR_BACKEND_UNKNOWN_SESSION')
        expect(await code(runner.trim(session, 0))).toBe('ERR_BACKEND_UNKNOWN_SESSION')
        expect(await code(runner.close(session))).toBe('no error')
        const [result] = await runner.forward([step(await again, 0, 5)])
        expect(bits(result as Float32Array)).toEqual(bits(expected as Float32Array))
        expect(await again).not.toBe(session)
        expect(children).toHaveLength(2)
      })
    }
  )

  it('brings back every part a backend had, each when it is needed', async () => {
    await withRunner({}, async (runner, child, backend) => {
      const head = await backend.loadHead(model)
      const other = await backend.loadBlocks(model, { from: 1, to: 2 })
      const run = async (): Promise<Buffer[]> => {
        const hidden = await head.embed([3, 4, 5])
        const own = { session: await runner.open({ maxTokens: 8 }), past: 0, kernel: 'vec', hidden } as const
        const part = { ...own, session: await other.open({ maxTokens: 8 }) }
        const [[rows], [some]] = await Promise.all([runner.forward([own]), other.forward([part])])
        const logits = await head.logits((rows as Float32Array).slice(-width))
        return [rows, some, logits].map((values) => bits(values as Float32Array))
      }
      const expected = await run()
      await kill(child)
      expect(await run()).toEqual(expected)
      expect(children).toHaveLength(2)
    })
  })

  it('starts five others within ten minutes, and more when these are over', async () => {
    let now = 0
    const clock: Clock = { now: () => now, monotonic: () => now, sleep: () => new Promise(() => undefined) }
    await using backend = createGgmlBackend({}, { clock })
    const runner = await backend.loadBlocks(model, { from: 0, to: 1 })
    for (let i = 0; i < 5; i++) {
      await kill(children[i] as ChildProcess)
      now += 100_000
      expect(await code(runner.open({ maxTokens: 8 }))).toBe('no error')
    }
    await kill(children[5] as ChildProcess)
    for (let i = 0; i < 3; i++) expect(await code(runner.open({ maxTokens: 8 }))).toBe('ERR_BACKEND_CRASHED')
    expect(await code(backend.loadHead(model))).toBe('ERR_BACKEND_CRASHED')
    expect(children).toHaveLength(6)
    // The first was found dead at 100 000.
    now = 700_000
    expect(await code(runner.open({ maxTokens: 8 }))).toBe('no error')
    expect(children).toHaveLength(7)
  })

  it('says so where the source has nothing more to give', async () => {
    let open = true
    const source = {
      size: model.size,
      read: (offset: number, length: number) =>
        open ? model.read(offset, length) : Promise.reject(new Error('the file was closed'))
    }
    await using backend = createGgmlBackend()
    const runner = await backend.loadBlocks(source, { from: 0, to: 1 })
    open = false
    await kill(children[0] as ChildProcess)
    const error: unknown = await runner.open({ maxTokens: 8 }).catch((reason: unknown) => reason)
    expect(KwaaiError.is(error, 'ERR_BACKEND_CRASHED')).toBe(true)
    expect(String(error)).toContain('cannot be loaded again: the file was closed')
    open = true
    expect(await code(runner.open({ maxTokens: 8 }))).toBe('no error')
  })

  it('says what native code wrote last', async () => {
    await withRunner({}, async (runner, child) => {
      await runner.open({ maxTokens: 8 })
      child.kill('SIGABRT')
      const error: unknown = await runner.open({ maxTokens: 8 }).catch((reason: unknown) => reason)
      expect(KwaaiError.is(error, 'ERR_BACKEND_CRASHED')).toBe(true)
      expect(String(error)).toContain('SIGABRT')
    })
  })
})

it('ends with its parent: the child process ends when the channel does', async () => {
  await withRunner({}, async (runner, child) => {
    const session = await runner.open({ maxTokens: 600 })
    const busy = code(runner.forward([step(session, 0, 600)]))
    child.stdio[3]?.destroy()
    expect(await busy).toBe('ERR_BACKEND_CRASHED')
  })
})

/** Whether a process has ended, be it that nobody asked for its status. */
async function ended(pid: number): Promise<boolean> {
  try {
    process.kill(pid, 0)
  } catch {
    return true
  }
  if (process.platform !== 'linux') return false
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => ') Z')
  return /\) [ZX]/.test(stat)
}

it('ends with its parent that is killed, even while it computes', async () => {
  // Where the system tells the child, it does not matter how long the computation would take.
  const rows = process.platform === 'linux' ? 40_000 : 600
  const parent = fileURLToPath(new URL('./ggml-parent.ts', import.meta.url))
  const node = spawn(process.execPath, ['--conditions=kwaai:source', parent, String(rows)])
  const over = once(node, 'exit')
  let said = ''
  for await (const text of node.stdout) {
    said += String(text)
    if (said.endsWith('\n')) node.kill('SIGKILL')
  }
  await over
  const pid = Number(said)
  expect(pid).toBeGreaterThan(0)
  while (!(await ended(pid)));
})

it('takes no notice of signals to the whole group: its parent has to end first', async () => {
  await withRunner({}, async (runner, child) => {
    const session = await runner.open({ maxTokens: 8 })
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) child.kill(signal)
    expect(await code(runner.forward([step(session, 0, 2)]))).toBe('no error')
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) child.kill(signal)
    expect(await code(runner.forward([step(session, 2, 2)]))).toBe('no error')
  })
})

it('rejects what waits when it is disposed while busy, and refuses what comes', async () => {
  await withRunner({}, async (runner, _, backend) => {
    const session = await runner.open({ maxTokens: 600 })
    const busy = [code(runner.forward([step(session, 0, 600)])), code(runner.close(session))]
    await backend[Symbol.asyncDispose]()
    expect(await Promise.all(busy)).toEqual(['ERR_BACKEND_CLOSED', 'ERR_BACKEND_CLOSED'])
    expect(await code(runner.open({ maxTokens: 1 }))).toBe('ERR_BACKEND_CLOSED')
    expect(await code(backend.loadHead(model))).toBe('ERR_BACKEND_CLOSED')
    expect(await code(backend.numericsClass())).toBe('ERR_BACKEND_CLOSED')
  })
})

it('can be disposed while it starts, and before it starts', async () => {
  const backend = createGgmlBackend()
  const loading = code(backend.loadHead(model))
  await backend[Symbol.asyncDispose]()
  expect(await loading).toBe('ERR_BACKEND_CLOSED')

  const unused = createGgmlBackend()
  await unused[Symbol.asyncDispose]()
  expect(await code(unused.numericsClass())).toBe('ERR_BACKEND_CLOSED')
})

it('takes a bounded number of waiting calls', async () => {
  await withRunner({ maxWaitingCalls: 2 }, async (runner) => {
    const session = await runner.open({ maxTokens: 600 })
    const calls = [1, 2, 3].map(() => code(runner.forward([step(session, 0, 600)])))
    expect(await Promise.all(calls)).toEqual(['no error', 'no error', 'ERR_BACKEND_BUSY'])
    expect(await code(runner.forward([step(session, 0, 1)]))).toBe('no error')
  })
})

it('gives up an aborted call at once and goes on with the others', async () => {
  await withRunner({}, async (runner) => {
    const session = await runner.open({ maxTokens: 600 })
    const [expected] = await runner.forward([step(session, 0, 5)])
    const controller = new AbortController()
    const first = runner.forward([step(session, 0, 600)])
    const second = code(runner.forward([step(session, 0, 300)], { signal: controller.signal }))
    const third = runner.forward([step(session, 0, 5)])
    controller.abort(new Error('no longer wanted'))
    expect(await second).toBe('Error: no longer wanted')
    await first
    expect(bits((await third)[0] as Float32Array)).toEqual(bits(expected as Float32Array))
    expect(await code(runner.forward([], { signal: controller.signal }))).toBe('no error')
    expect(await code(runner.open({ maxTokens: 5 }, { signal: controller.signal }))).toBe(
      'Error: no longer wanted'
    )
  })
})

it('hands garbage to nobody: bad values fail alone, bad steps fail whole', async () => {
  await withRunner({}, async (runner) => {
    const [a, b] = [await runner.open({ maxTokens: 100 }), await runner.open({ maxTokens: 100 })]
    const [expected] = await runner.forward([step(b, 0, 3)])
    for (const [value, failure] of [
      [NaN, 'not-finite'],
      [-Infinity, 'not-finite'],
      [2e8, 'out-of-range']
    ] as const) {
      const bad = step(a, 0, 70)
      bad.hidden[66 * width + 1] = value
      const [first, second] = await runner.forward([bad, step(b, 0, 3)])
      expect(first).toEqual({ failure, row: 66 })
      expect(bits(second as Float32Array)).toEqual(bits(expected as Float32Array))
    }
    const refused: [string, BlockStep][] = [
      ['ERR_BACKEND_INVALID_STEP', { ...step(a, 0, 1), hidden: new Float32Array(width + 1) }],
      ['ERR_BACKEND_INVALID_STEP', { ...step(a, 0, 1), hidden: new Float32Array(0) }],
      ['ERR_BACKEND_INVALID_STEP', { ...step(a, 0, 1), kernel: 'fast' as 'vec' }],
      ['ERR_BACKEND_INVALID_STEP', step(a, 1, 1)],
      ['ERR_BACKEND_INVALID_STEP', step(a, -1, 1)],
      ['ERR_BACKEND_INVALID_STEP', step(a, 0.5, 1)],
      ['ERR_BACKEND_INVALID_STEP', step(a, 0, 101)],
      ['ERR_BACKEND_INVALID_STEP', step(b, 0, 1)],
      ['ERR_BACKEND_UNKNOWN_SESSION', step(99, 0, 1)]
    ]
    for (const [expectedCode, bad] of refused)
      expect(await code(runner.forward([step(b, 3, 1), bad]))).toBe(expectedCode)
    const [result] = await runner.forward([step(b, 0, 3)])
    expect(bits(result as Float32Array)).toEqual(bits(expected as Float32Array))
  })
})

it('erases rows whose results left the range, so that nothing of them is met later', async () => {
  await withRunner({}, async (runner) => {
    const [a, b] = [await runner.open({ maxTokens: 300 }), await runner.open({ maxTokens: 300 })]
    const big = step(a, 2, 5)
    // Finite on the way in; the sum of what the blocks add makes it too large or not.
    big.hidden.fill(9.9e7)
    for (const session of [a, b]) await runner.forward([step(session, 0, 2)])
    await runner.forward([big])
    await runner.trim(a, 2)
    const tile = (session: number): BlockStep => ({ ...step(session, 2, 80), kernel: 'tile' })
    const [first] = await runner.forward([tile(a)])
    const [second] = await runner.forward([tile(b)])
    expect(bits(first as Float32Array)).toEqual(bits(second as Float32Array))
  })
})

it('starts no process for a file it refuses', async () => {
  await using backend = createGgmlBackend()
  const cut = bytesSource(bytes.subarray(0, bytes.length - 100))
  const wild = bytes.slice()
  // The first dimension of the first tensor becomes 2^56 elements.
  const name = Buffer.from(wild.buffer).indexOf('token_embd.weight')
  wild[name + 'token_embd.weight'.length + 4 + 7] = 1
  for (const source of [cut, bytesSource(wild), bytesSource(new Uint8Array(10))]) {
    expect(await code(backend.loadBlocks(source, { from: 0, to: 1 }))).toMatch(/^ERR_GGUF_/)
    expect(await code(backend.loadHead(source))).toMatch(/^ERR_GGUF_/)
  }
  for (const [from, to] of [
    [0, 4],
    [-1, 1],
    [2, 2],
    [0.5, 1]
  ] as const)
    expect(await code(backend.loadBlocks(model, { from, to }))).toBe('ERR_BACKEND_INVALID_RANGE')
  expect(children).toHaveLength(0)
})

it('unloads what it could not read whole', async () => {
  await using backend = createGgmlBackend()
  let reads = 0
  const failing = {
    size: model.size,
    read: (offset: number, length: number) =>
      ++reads > 8 ? Promise.reject(new Error('the disk is gone')) : model.read(offset, length)
  }
  expect(await code(backend.loadBlocks(failing, { from: 0, to: 3 }))).toBe('Error: the disk is gone')
  const runner = await backend.loadBlocks(model, { from: 0, to: 3 })
  expect(await code(runner.open({ maxTokens: 4 }))).toBe('no error')
})

it('keeps caches within their bound, and has the room again when they are closed', async () => {
  const perToken = 2 * 3 * 2 * 16 * 2
  await withRunner({ maxKvBytes: 512 * perToken }, async (runner) => {
    expect(runner.kvBytesPerToken).toBe(perToken)
    expect(await code(runner.open({ maxTokens: 513 }))).toBe('ERR_BACKEND_OUT_OF_MEMORY')
    expect(await code(runner.open({ maxTokens: 2 ** 53 - 1 }))).toBe('ERR_BACKEND_OUT_OF_MEMORY')
    const first = await runner.open({ maxTokens: 256 })
    await runner.open({ maxTokens: 256 })
    expect(await code(runner.open({ maxTokens: 1 }))).toBe('ERR_BACKEND_OUT_OF_MEMORY')
    await runner.close(first)
    expect(await code(runner.open({ maxTokens: 1 }))).toBe('no error')
  })
})

it('serves two backends at once, with equal bits', async () => {
  const run = async (): Promise<Buffer> => {
    await using backend = createGgmlBackend()
    const runner = await backend.loadBlocks(model, { from: 0, to: 3 })
    const [result] = await runner.forward([step(await runner.open({ maxTokens: 80 }), 0, 80)])
    return bits(result as Float32Array)
  }
  const [a, b] = await Promise.all([run(), run()])
  expect(a).toEqual(b)
  expect(children).toHaveLength(2)
})

describe('where it is not available', () => {
  let dir: string
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'kwaai-ggml-'))
  })
  afterEach(() => rm(dir, { recursive: true }))

  const why = async (backend: ReturnType<typeof createGgmlBackend>): Promise<string> => {
    const error: unknown = await backend.loadHead(model).catch((reason: unknown) => reason)
    await backend[Symbol.asyncDispose]()
    return KwaaiError.is(error, 'ERR_BACKEND_UNAVAILABLE') ? error.message : String(error)
  }

  it('says so, why, and what to do', async () => {
    const message = await why(createGgmlBackend({ libraryDir: dir }))
    expect(message).toMatch(/^The ggml backend is not available: .* has no library ggml-base/)
    expect(message).toMatch(/install koffi and @node-llama-cpp\/\S+@3\.21\.1/)
    expect(message).toContain('--backend reference')
  })

  it('survives a library that is none', async () => {
    for (const name of ['libggml-base.so', 'libggml.so']) await writeFile(join(dir, name), 'not a library')
    expect(await why(createGgmlBackend({ libraryDir: dir }))).toContain('not available')
  })

  it('refuses an instruction set it has no library for', async () => {
    expect(await why(createGgmlBackend({ variant: 'abacus' }))).toContain('has no library abacus')
  })

  it('waits a bounded time', async () => {
    const clock: Clock = { now: () => 0, monotonic: () => 0, sleep: () => Promise.resolve() }
    expect(await why(createGgmlBackend({ startTimeoutMs: 5 }, { clock }))).toContain('not ready after 5 ms')
  })
})
