import { spawn } from 'node:child_process'
import { copyFile, mkdtemp, readFile, readdir, rm, stat, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import fc from 'fast-check'
import type { BatchOperation, KeyValueStore } from '@kwaai/interface'
import { createMemoryStore } from '@kwaai/interface/memory'
import { keyValueStoreSuite } from '@kwaai/testing'
import { createFileStore, type FileStore } from '../src/store/file-store.ts'

let folder: string
let path: string

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'kwaai-store-'))
  path = join(folder, 'kept', 'a.log')
})
afterEach(() => rm(folder, { recursive: true, force: true }))

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)

async function all(store: KeyValueStore): Promise<[string, string][]> {
  const found: [string, string][] = []
  for await (const [key, value] of store.entries()) found.push([key, new TextDecoder().decode(value)])
  return found
}

describe('compliance', () => {
  keyValueStoreSuite(test, {
    create: async () => createFileStore({ path }),
    destroy: async (store) => (store as FileStore)[Symbol.asyncDispose]()
  })
})

describe('createFileStore', () => {
  test('keeps everything over its end, readable by its owner alone', async () => {
    const store = createFileStore({ path })
    await store.put('a', bytes('1'))
    await store.put('b', bytes('2'))
    await store.delete('a')
    await store[Symbol.asyncDispose]()
    await using again = createFileStore({ path })
    expect(await all(again)).toEqual([['b', '2']])
    expect((await stat(path)).mode & 0o077).toBe(0)
    expect((await stat(join(folder, 'kept'))).mode & 0o077).toBe(0)
    expect(await readdir(join(folder, 'kept'))).toEqual(['a.log'])
    await expect(store.get('b')).rejects.toThrow('it is closed')
  })

  test('makes no file as long as nothing is kept', async () => {
    await using store = createFileStore({ path })
    expect(await store.get('a')).toBeUndefined()
    expect(await all(store)).toEqual([])
    await store.delete('a')
    expect(await readdir(folder)).toEqual([])
  })

  test('shows each of two at one file what the other keeps', async () => {
    await using one = createFileStore({ path })
    await using other = createFileStore({ path })
    await one.put('a', bytes('1'))
    expect(await all(other)).toEqual([['a', '1']])
    await other.put('b', bytes('2'))
    await other.delete('a')
    expect(await all(one)).toEqual([['b', '2']])
    await Promise.all(
      Array.from({ length: 20 }, (_, n) => (n % 2 === 0 ? one : other).put(`c/${n}`, bytes(`${n}`)))
    )
    expect(await all(one)).toEqual(await all(other))
    expect((await all(one)).length).toBe(21)
    await rm(path)
    expect(await all(one)).toEqual([])
    await other.put('d', bytes('4'))
    expect(await all(one)).toEqual([['d', '4']])
  })

  test('writes its file anew when most of it is of no use, under the walks and the others that read it', async () => {
    await using store = createFileStore({ path })
    await using other = createFileStore({ path })
    const value = new Uint8Array(100_000)
    await store.put('first', bytes('1'))
    await other.put('second', bytes('2'))
    const walk = store.entries()[Symbol.asyncIterator]()
    await walk.next()
    for (let n = 0; n < 40; n++) await store.put('again', value.fill(n))
    expect((await stat(path)).size).toBeLessThan(1_500_000)
    expect((await walk.next()).value).toEqual(['second', bytes('2')])
    expect(await other.get('again')).toEqual(new Uint8Array(100_000).fill(39))
    expect(await other.get('first')).toEqual(bytes('1'))
    await other.put('third', bytes('3'))
    expect(await store.get('third')).toEqual(bytes('3'))
  })

  test('refuses more than it may hold, and goes on deleting', async () => {
    await using store = createFileStore({ path, maxBytes: 1_000, maxEntries: 3 })
    const full = expect.objectContaining({ code: 'ERR_NODE_STORE_FULL' })
    await store.put('a', new Uint8Array(500))
    await expect(store.put('b', new Uint8Array(500))).rejects.toEqual(full)
    await store.put('b', new Uint8Array(10))
    await store.put('c', new Uint8Array(10))
    await expect(store.put('d', new Uint8Array(0))).rejects.toEqual(full)
    await store.put('a', new Uint8Array(400))
    await store.batch([
      { type: 'delete', key: 'b' },
      { type: 'put', key: 'd', value: new Uint8Array(10) }
    ])
    await store.delete('a')
    await expect(store.put('x'.repeat(2_000), bytes('1'))).rejects.toThrow('a key')
    await expect(store.put('\ud800', bytes('1'))).rejects.toThrow('a key')
    expect((await all(store)).map(([key]) => key)).toEqual(['c', 'd'])
  })

  test('does what a store in memory does', async () => {
    const key = fc.constantFrom('', 'a', 'b', 'b\u0000', 'é', '\uFF5E', '\u{1F600}')
    const operation: fc.Arbitrary<BatchOperation> = fc.oneof(
      fc.record({ type: fc.constant('put' as const), key, value: fc.uint8Array({ maxLength: 20 }) }),
      fc.record({ type: fc.constant('delete' as const), key })
    )
    let run = 0
    const property = fc.asyncProperty(
      fc.array(fc.array(operation, { maxLength: 5 }), { maxLength: 8 }),
      async (batches) => {
        const memory = createMemoryStore()
        const at = `${path}-${run++}`
        for (const batch of batches) {
          await using store = createFileStore({ path: at })
          await memory.batch(batch)
          await store.batch(batch)
          expect(await all(store)).toEqual(await all(memory))
        }
      }
    )
    await fc.assert(property, { numRuns: 20 })
  })
})

describe('a file that was left in the middle of a write', () => {
  /** A log of five batches, and where each of them ends. */
  async function log(): Promise<number[]> {
    const store = createFileStore({ path })
    const ends: number[] = []
    for (let n = 0; n < 5; n++) {
      await store.batch([
        { type: 'put', key: `a/${n}`, value: bytes('x'.repeat(n)) },
        { type: 'put', key: `b/${n}`, value: bytes('y') }
      ])
      ends.push((await stat(path)).size)
    }
    await store[Symbol.asyncDispose]()
    return ends
  }

  test('gives the batches before it, whole, and goes on from there', async () => {
    const ends = await log()
    const copy = `${path}.copy`
    for (let size = ends[3] as number; size < (ends[4] as number); size++) {
      await copyFile(path, copy)
      await truncate(copy, size)
      // Some disks give the length and zeros in place of what was written.
      if (size % 2 === 0) await truncate(copy, ends[4])
      await using store = createFileStore({ path: copy })
      expect((await all(store)).length).toBe(8)
      await store.put('c', bytes('3'))
      await using again = createFileStore({ path: copy })
      expect((await all(again)).length).toBe(9)
    }
  })

  test('is not taken for one that something else has changed', async () => {
    const ends = await log()
    const good = await readFile(path)
    const damaged = expect.objectContaining({ code: 'ERR_NODE_STORE_DAMAGED' })
    for (let at = 0; at < (ends[3] as number); at += 3) {
      const wrong = Uint8Array.from(good)
      wrong[at] = (wrong[at] as number) ^ 0x10
      await writeFile(path, wrong)
      await using store = createFileStore({ path })
      await expect(store.get('a/1')).rejects.toEqual(damaged)
      await expect(store.put('c', bytes('3'))).rejects.toEqual(damaged)
      expect(Uint8Array.from(await readFile(path))).toEqual(wrong)
    }
    await writeFile(path, 'something else')
    await using store = createFileStore({ path })
    await expect(all(store)).rejects.toEqual(damaged)
  })

  test('says so where the folder cannot be used', async () => {
    await writeFile(join(folder, 'file'), '')
    await using store = createFileStore({ path: join(folder, 'file', 'a.log') })
    await expect(store.put('a', bytes('1'))).rejects.toMatchObject({ code: 'ERR_NODE_FOLDER_UNUSABLE' })
  })
})

describe('processes at one file', () => {
  const script = fileURLToPath(new URL('store-writer.ts', import.meta.url))

  /** Starts a writer and kills it once it has said of `killAt` batches that they are kept. */
  function writer(name: string, count: number, killAt?: number): Promise<number> {
    const child = spawn(process.execPath, ['--conditions=kwaai:source', script, path, name, `${count}`], {
      stdio: ['ignore', 'pipe', 'inherit']
    })
    let told = 0
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      told += text.split('\n').length - 1
      if (killAt !== undefined && told >= killAt) child.kill('SIGKILL')
    })
    return new Promise((resolve, reject) => {
      child.once('error', reject)
      child.once('close', (status) =>
        status === 0 || killAt !== undefined ? resolve(told) : reject(new Error(`status ${status}`))
      )
    })
  }

  test('killed at any moment leave what they said is kept, and batches whole', async () => {
    for (const killAt of [1, 7, 40]) {
      await rm(path, { force: true })
      const told = await writer('w', 10_000, killAt)
      await using store = createFileStore({ path })
      const keys = (await all(store)).map(([key]) => key)
      const kept = keys.filter((key) => key.startsWith('w/a/')).length
      expect(kept).toBeGreaterThanOrEqual(told)
      expect(keys.filter((key) => key.startsWith('w/b/'))).toEqual([`w/b/${kept - 1}`])
      expect(await store.get('w/latest')).toEqual(new Uint8Array(5_000).fill(kept - 1))
      await store.put('after', bytes('1'))
    }
  }, 30_000)

  test('lose nothing to each other, though one of them is killed', async () => {
    const [one, two, three] = await Promise.all([
      writer('one', 60),
      writer('two', 60),
      writer('three', 10_000, 30)
    ])
    await using store = createFileStore({ path })
    const keys = (await all(store)).map(([key]) => key)
    const count = (name: string): number => keys.filter((key) => key.startsWith(`${name}/a/`)).length
    expect([count('one'), count('two')]).toEqual([one, two])
    expect(count('three')).toBeGreaterThanOrEqual(three)
    expect([one, two]).toEqual([60, 60])
  }, 30_000)
})
