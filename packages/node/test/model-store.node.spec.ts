import { chmod, mkdtemp, readFile, readdir, rm, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { createFakeClock } from '@kwaai/testing'
import { sourceIdleMs } from '../src/model/store-request.ts'
import { ensureModel, openModel } from '../src/model-store.ts'
import { entryOf, hex, modelBytes, serveBytes } from './model-server.ts'

const bytes = modelBytes(300_000)
let folder: string

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'kwaai-store-'))
})
afterEach(() => rm(folder, { recursive: true, force: true }))

const noGateway = { KWAAI_IPFS_GATEWAY: 'http://127.0.0.1:9' }

describe('ensureModel', () => {
  test('downloads once, checks, and needs no network the second time', async () => {
    await using server = await serveBytes(bytes)
    const init = { model: 'toy', catalog: [entryOf(bytes, server.url)], cacheDir: folder, env: noGateway }
    const seen: number[] = []
    const first = await ensureModel({ ...init, onProgress: ({ receivedBytes }) => seen.push(receivedBytes) })
    expect(hex(await readFile(first.path))).toBe(hex(bytes))
    expect(seen.at(-1)).toBe(bytes.length)
    const offline = await ensureModel({ ...init, env: { KWAAI_OFFLINE: '1' } })
    expect(offline).toEqual(first)
    expect(server.requests).toHaveLength(1)
  })

  test('several at once download it once', async () => {
    await using server = await serveBytes(bytes)
    const init = { model: 'toy', catalog: [entryOf(bytes, server.url)], cacheDir: folder, env: noGateway }
    // One process holds one lock file, so the others of this process wait for it like other processes do.
    await Promise.all(Array.from({ length: 4 }, () => ensureModel(init)))
    expect(server.requests).toHaveLength(1)
  })

  test('goes on where a broken download stopped', async () => {
    let half = (): void => undefined
    const when = new Promise<void>((resolve) => (half = resolve))
    await using server = await serveBytes(bytes, { cut: { after: 100_000, when } })
    const init = { model: 'toy', catalog: [entryOf(bytes, server.url)], cacheDir: folder, env: noGateway }
    const onProgress = ({ receivedBytes }: { receivedBytes: number }): void => {
      if (receivedBytes === 100_000) half()
    }
    await expect(ensureModel({ ...init, onProgress })).rejects.toMatchObject({
      code: 'ERR_NODE_MODEL_NO_SOURCE'
    })
    const kept = (await readFile(join(folder, 'toy.gguf.part'))).length
    expect(kept).toBe(100_000)
    const model = await ensureModel(init)
    expect(hex(await readFile(model.path))).toBe(hex(bytes))
    expect(server.requests[1]).toBe(`GET /toy.gguf bytes=${kept}-`)
  })

  test('passes over sources that fail, and lists them all when none is left', async () => {
    await using gone = await serveBytes(bytes, { status: 404 })
    await using other = await serveBytes(modelBytes(299_999))
    await using good = await serveBytes(bytes)
    const entry = entryOf(bytes, gone.url)
    const sources = [gone, other].map(({ url }) => ({ kind: 'http', label: url, url }) as const)
    const notes: string[] = []
    const init = {
      model: 'toy',
      cacheDir: folder,
      env: noGateway,
      onNote: (text: string) => notes.push(text)
    }
    await expect(ensureModel({ ...init, catalog: [{ ...entry, sources }] })).rejects.toMatchObject({
      code: 'ERR_NODE_MODEL_NO_SOURCE',
      message: expect.stringMatching(/Tried: the cache .*answered 404.*offers 299999 bytes.*KWAAI_MODEL_PATH/)
    })
    const last = { kind: 'http', label: 'the good one', url: good.url } as const
    await ensureModel({ ...init, catalog: [{ ...entry, sources: [...sources, last] }] })
    expect(notes).toHaveLength(4)
  })

  test('never keeps bytes with another SHA-256', async () => {
    const wrong = bytes.slice()
    wrong[1234] = (wrong[1234] as number) ^ 1
    await using server = await serveBytes(wrong)
    const init = { model: 'toy', catalog: [entryOf(bytes, server.url)], cacheDir: folder, env: noGateway }
    await expect(ensureModel(init)).rejects.toMatchObject({ message: expect.stringContaining('SHA-256') })
    expect(await readdir(folder)).toEqual([])
  })

  test('passes over a source that gives no byte in its time', async () => {
    await using silent = await serveBytes(bytes, { silent: true })
    const clock = createFakeClock()
    const result = ensureModel({
      model: 'toy',
      catalog: [entryOf(bytes, silent.url)],
      cacheDir: folder,
      env: noGateway,
      clock,
      fetch: async (input, options) => {
        const response = await fetch(input, options)
        // The headers are here and nothing follows: time passes.
        queueMicrotask(() => void clock.advance(sourceIdleMs + 1))
        return response
      }
    })
    await expect(result).rejects.toMatchObject({ message: expect.stringContaining('gave no byte for 10 s') })
  })

  test('refuses a damaged copy in the cache instead of using or replacing it', async () => {
    await using server = await serveBytes(bytes)
    const init = { model: 'toy', catalog: [entryOf(bytes, server.url)], cacheDir: folder, env: noGateway }
    const { path } = await ensureModel(init)
    await truncate(path, 1000)
    await expect(ensureModel(init)).rejects.toMatchObject({ code: 'ERR_NODE_MODEL_MISMATCH' })
    await writeFile(path, modelBytes(300_000).toReversed())
    await expect(ensureModel(init)).rejects.toMatchObject({
      code: 'ERR_NODE_MODEL_MISMATCH',
      message: expect.stringContaining('Delete the file')
    })
  })

  test('takes the address of a file, and checks it against the digest in it', async () => {
    await using server = await serveBytes(bytes)
    const init = { cacheDir: folder, env: {} }
    const model = await ensureModel({ ...init, model: `${server.url}#sha256=${hex(bytes)}` })
    expect(model).toMatchObject({ sha256: hex(bytes), size: bytes.length })
    await expect(
      ensureModel({ ...init, model: `${server.url}#sha256=${hex(bytes).replace(/./g, '0')}` })
    ).rejects.toMatchObject({ code: 'ERR_NODE_MODEL_MISMATCH' })
  })

  test('takes a path, and says what is wrong with one that is none', async () => {
    const path = join(folder, 'my model.gguf')
    await writeFile(path, bytes)
    await chmod(path, 0o400)
    expect(await ensureModel({ model: path })).toMatchObject({ id: 'my model', path, sha256: hex(bytes) })
    await expect(ensureModel({ model: join(folder, 'none.gguf') })).rejects.toMatchObject({
      code: 'ERR_NODE_MODEL_UNKNOWN',
      message: expect.stringContaining('smollm2-135m-instruct')
    })
  })

  test('stops when it is asked to', async () => {
    await using silent = await serveBytes(bytes, { silent: true })
    const ending = new AbortController()
    const result = ensureModel({
      model: 'toy',
      catalog: [entryOf(bytes, silent.url)],
      cacheDir: folder,
      env: noGateway,
      signal: ending.signal,
      fetch: async (input, options) => {
        const response = await fetch(input, options)
        queueMicrotask(() => ending.abort(new Error('enough')))
        return response
      }
    })
    await expect(result).rejects.toThrow('enough')
  })
})

describe('openModel', () => {
  test('reads only the pieces that are needed, checks each, and keeps them', async () => {
    await using server = await serveBytes(bytes)
    const entry = entryOf(bytes, server.url, 10_000)
    const init = { model: 'toy', catalog: [entry], cacheDir: folder, env: noGateway }
    const first = await openModel(init, true)
    expect(first.path).toBeUndefined()
    expect(await first.source.read(123_456, 20_000)).toEqual(bytes.slice(123_456, 143_456))
    expect(server.requests).toEqual(['GET /toy.gguf bytes=0-9999', 'GET /toy.gguf bytes=120000-149999'])
    const again = await openModel({ ...init, env: { KWAAI_OFFLINE: '1' } }, true)
    expect(await again.source.read(140_000, 3_000)).toEqual(bytes.slice(140_000, 143_000))
    await expect(again.source.read(200_000, 1)).rejects.toMatchObject({ code: 'ERR_NODE_MODEL_NO_SOURCE' })
  })

  test('refuses a piece with another digest', async () => {
    const wrong = bytes.slice()
    wrong[55_555] = (wrong[55_555] as number) ^ 1
    await using server = await serveBytes(wrong)
    const entry = entryOf(bytes, server.url, 10_000)
    const { source } = await openModel(
      { model: 'toy', catalog: [entry], cacheDir: folder, env: noGateway },
      true
    )
    await expect(source.read(50_000, 10_000)).rejects.toMatchObject({
      code: 'ERR_NODE_MODEL_NO_SOURCE',
      details: { tried: expect.arrayContaining([expect.stringContaining('another SHA-256')]) }
    })
    expect(await source.read(60_000, 10)).toEqual(bytes.slice(60_000, 60_010))
  })

  test('fetches the whole where no source serves ranges', async () => {
    await using server = await serveBytes(bytes, { noRanges: true })
    const entry = entryOf(bytes, server.url, 10_000)
    const opened = await openModel({ model: 'toy', catalog: [entry], cacheDir: folder, env: noGateway }, true)
    expect(opened.path).toBe(join(folder, 'toy.gguf'))
    expect(await opened.source.read(0, 10)).toEqual(bytes.slice(0, 10))
    await opened.source.close?.()
  })
})
