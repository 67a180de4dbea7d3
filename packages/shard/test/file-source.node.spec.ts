import { mkdtemp, rm, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { fileSource, llamaConfig, readGguf, tensorRanges } from '../src/gguf/index.ts'

let folder = ''
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'kwaai-gguf-'))
})
afterAll(() => rm(folder, { recursive: true }))

test('a file is read by range', async () => {
  const path = join(folder, 'bytes')
  await writeFile(
    path,
    Uint8Array.from({ length: 100 }, (_, i) => i)
  )
  const source = await fileSource(path)
  expect(source.size).toBe(100)
  expect(await source.read(97, 3)).toEqual(Uint8Array.of(97, 98, 99))
  await expect(source.read(97, 4)).rejects.toMatchObject({ code: 'ERR_SOURCE_OUT_OF_BOUNDS' })
  const reason = new Error('enough')
  await expect(source.read(0, 1, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason)
  await truncate(path, 50)
  await expect(source.read(40, 20)).rejects.toMatchObject({ code: 'ERR_SOURCE_CHANGED' })
  await source.close()
  await expect(source.read(0, 1)).rejects.toMatchObject({ code: 'ERR_SOURCE_UNREACHABLE' })
})

test('a file that is not there is a typed error', async () => {
  await expect(fileSource(join(folder, 'none'))).rejects.toMatchObject({ code: 'ERR_SOURCE_UNREACHABLE' })
  await expect(fileSource(folder)).rejects.toMatchObject({ code: 'ERR_SOURCE_UNREACHABLE' })
})

test('the default model is a Llama whose thirds lie in a few ranges', async () => {
  const source = await fileSource(process.env['KWAAI_MODEL_PATH'] as string)
  const file = await readGguf(source, { skipArrays: () => true })
  await source.close()
  expect([file.version, file.alignment, file.dataOffset, file.tensors.size]).toEqual([3, 32, 1_785_664, 272])
  expect(llamaConfig(file)).toMatchObject({
    blockCount: 30,
    hiddenSize: 576,
    headCount: 9,
    kvHeadCount: 3,
    headSize: 64,
    vocabularySize: 49_152,
    contextLength: 8192,
    feedForwardSize: 1536,
    ropeTheta: 100_000,
    tiedHead: true
  })
  const thirds = [0, 10, 20].map((from) => tensorRanges(file, { from, to: from + 10 }))
  expect(thirds.map((ranges) => ranges.reduce((sum, { length }) => sum + length, 0))).toEqual(
    [0, 0, 0].map(() => 22_164_480)
  )
  expect(Math.max(...thirds.map((ranges) => ranges.length))).toBeLessThanOrEqual(3)
})
