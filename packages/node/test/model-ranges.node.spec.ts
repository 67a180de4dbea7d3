import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { loadModel } from '../src/loaded-model.ts'
import { findKnownModel, type ModelEntry } from '../src/model/known-models.ts'
import { openModel } from '../src/model-store.ts'
import { serveBytes } from './model-server.ts'

test('a node that holds a third of the model fetches a third of the file, once', async () => {
  const bytes = await readFile(process.env['KWAAI_MODEL_PATH'] as string)
  const folder = await mkdtemp(join(tmpdir(), 'kwaai-ranges-'))
  try {
    await using server = await serveBytes(bytes)
    const { ipfs: _, ...known } = findKnownModel('default') as ModelEntry
    const catalog = [
      { ...known, sources: [{ kind: 'http', label: 'the test server', url: server.url } as const] }
    ]
    const load = async (env: Record<string, string>): Promise<void> => {
      const opened = await openModel({ model: 'default', catalog, cacheDir: folder, env }, true)
      const loaded = await loadModel(opened, { blocks: [0, 10] })
      expect(loaded.runner).toMatchObject({ from: 0, to: 10 })
      await loaded.dispose()
    }
    await load({})
    const fetched = server.requests.map((request) => {
      const [, from, to] = /bytes=(\d+)-(\d+)$/.exec(request) as RegExpExecArray
      return Number(to) + 1 - Number(from)
    })
    // Ten blocks of 2.2 MB and the header of 1.8 MB, in whole mebibytes; the embedding's 30 MB are not among them.
    const sum = fetched.reduce((total, length) => total + length, 0)
    expect(sum).toBeGreaterThan(23_900_000)
    expect(sum).toBeLessThan(32_000_000)
    const before = server.requests.length
    await load({ KWAAI_OFFLINE: '1' })
    expect(server.requests.length).toBe(before)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}, 60_000)
