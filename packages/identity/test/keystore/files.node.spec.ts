import {
  chmod,
  link,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rm,
  stat,
  symlink,
  writeFile
} from 'node:fs/promises'
import { execFileSync } from 'node:child_process'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createSeededRandom, keyStoreSuite } from '@kwaai/testing'
import type { KeyStore } from '@kwaai/interface'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { createFileKeyStore, createIndexedDbKeyStore } from '../../src/keystore/index.ts'
import { Killed, killedAt } from './node-files.ts'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'kwaai-keystore-'))
})
afterEach(() => rm(folder, { recursive: true, force: true }))

const bytes = (...values: number[]): Uint8Array => Uint8Array.from(values)
const modeOf = async (path: string): Promise<number> => (await stat(path)).mode & 0o777
const unusable = { code: 'ERR_IDENTITY_KEYSTORE_UNUSABLE' }

describe('in files', () => {
  let made = 0
  const folderOf = new WeakMap<KeyStore, string>()
  keyStoreSuite(test, {
    create: async () => {
      const own = join(folder, String(made++), 'keys')
      const store = createFileKeyStore({ folder: own })
      folderOf.set(store, own)
      return store
    },
    again: async (store) => createFileKeyStore({ folder: folderOf.get(store) as string })
  })
})

describe('a folder of keys', () => {
  test('is its owner’s alone, and so is each file', async () => {
    const own = join(folder, 'a', 'b')
    const store = createFileKeyStore({ folder: own })
    expect(await store.get('identity')).toBeUndefined()
    await store.delete('identity')
    await expect(stat(own)).rejects.toThrow('ENOENT')
    const before = process.umask(0)
    await store.put('identity', bytes(1)).finally(() => process.umask(before))
    expect([await modeOf(own), await modeOf(join(own, 'identity.key'))]).toEqual([0o700, 0o600])
    expect(await readdir(own)).toEqual(['identity.key'])
  })

  test('is closed to others who may write there, and refused where all may', async () => {
    const store = createFileKeyStore({ folder })
    await store.put('a', bytes(1))
    await chmod(folder, 0o777)
    await chmod(join(folder, 'a.key'), 0o644)
    expect(await store.get('a')).toEqual(bytes(1))
    expect([await modeOf(folder), await modeOf(join(folder, 'a.key'))]).toEqual([0o700, 0o600])
    await chmod(folder, 0o755)
    expect(await store.list()).toEqual(['a'])
    expect(await modeOf(folder)).toBe(0o755)
    await chmod(folder, 0o1777)
    await expect(store.put('b', bytes(1))).rejects.toMatchObject(unusable)
    await expect(store.get('a')).rejects.toMatchObject(unusable)
    await writeFile(join(folder, 'file'), '')
    await expect(createFileKeyStore({ folder: join(folder, 'file') }).list()).rejects.toMatchObject(unusable)
    await expect(
      createFileKeyStore({ folder: join(folder, 'file', 'x') }).put('a', bytes(1))
    ).rejects.toMatchObject(unusable)
  })

  test('holds no symbolic link, pipe, folder, or file too large in place of a key', async () => {
    const elsewhere = join(folder, 'elsewhere')
    await writeFile(elsewhere, 'theirs')
    const store = createFileKeyStore({ folder: join(folder, 'keys') })
    const path = join(folder, 'keys', 'a.key')
    await store.put('b', bytes(1))
    await symlink(elsewhere, path)
    await expect(store.get('a')).rejects.toMatchObject({
      ...unusable,
      message: expect.stringContaining('link')
    })
    await expect(store.put('a', bytes(1))).rejects.toMatchObject({ code: 'ERR_IDENTITY_KEY_EXISTS' })
    await store.put('a', bytes(2), { replace: true })
    expect(await store.get('a')).toEqual(bytes(2))
    expect(await readFile(elsewhere, 'utf8')).toBe('theirs')
    await store.delete('a')
    // A link to nowhere is no place to write through.
    await symlink(join(folder, 'nowhere'), path)
    await expect(store.put('a', bytes(1))).rejects.toMatchObject({ code: 'ERR_IDENTITY_KEY_EXISTS' })
    await store.delete('a')
    expect(await readdir(folder)).toEqual(['elsewhere', 'keys'])
    expect(await readFile(elsewhere, 'utf8')).toBe('theirs')
    execFileSync('sh', ['-c', 'mkfifo "$0"', path])
    await expect(store.get('a')).rejects.toMatchObject(unusable)
    await rm(path)
    await mkdir(path)
    await expect(store.get('a')).rejects.toMatchObject(unusable)
    await rm(path, { recursive: true })
    await writeFile(path, new Uint8Array(65_537))
    await expect(store.get('a')).rejects.toMatchObject(unusable)
    await writeFile(path, '')
    await expect(store.get('a')).rejects.toMatchObject({ code: 'ERR_IDENTITY_SECRET_DAMAGED' })
    expect(await store.list()).toEqual(['a', 'b'])
  })

  test('keeps no old bytes, but leaves the copy somebody keeps beside them', async () => {
    const store = createFileKeyStore({ folder })
    const path = join(folder, 'a.key')
    await store.put('a', bytes(1, 2, 3))
    await link(path, join(folder, 'copy'))
    await store.put('a', bytes(4), { replace: true })
    expect([...(await readFile(join(folder, 'copy')))]).toEqual([1, 2, 3])
    // A handle to the file sees what becomes of it when its last name goes.
    for (const act of [() => store.put('a', bytes(5, 5), { replace: true }), () => store.delete('a')]) {
      const { open } = await import('node:fs/promises')
      const handle = await open(path)
      const size = (await handle.stat()).size
      await act()
      expect([...(await handle.readFile())]).toEqual(Array.from({ length: size }, () => 0))
      await handle.close()
    }
    expect(await readdir(folder)).toEqual(['copy'])
  })

  test('holds nothing of a call that is given up on its way', async () => {
    const { keyFileSystem } = await import('../../src/platform.ts')
    const files = await keyFileSystem()
    const ending = new AbortController()
    const store = createFileKeyStore(
      { folder },
      {
        files: {
          ...files,
          open: async (path, use) => {
            const handle = await files.open(path, use)
            if (use === 'create') ending.abort(new Error('enough'))
            return handle
          }
        }
      }
    )
    await expect(store.put('a', bytes(1), { signal: ending.signal })).rejects.toThrow('enough')
    expect(await readdir(folder)).toEqual([])
    await store.put('a', bytes(1))
    expect(await readdir(folder)).toEqual(['a.key'])
  })

  test('is not the browser’s', async () => {
    await expect(createIndexedDbKeyStore().list()).rejects.toMatchObject(unusable)
  })
})

describe('killed at any step', () => {
  // Nobody has this process id.
  const pid = 4_999_999_999
  const path = (): string => join(folder, 'a.key')
  const acts: [string, (store: KeyStore) => Promise<void>, number[] | undefined][] = [
    ['put', (store) => store.put('b', bytes(2, 2, 2, 2)), [2, 2, 2, 2]],
    ['replace', (store) => store.put('a', bytes(2, 2, 2, 2), { replace: true }), [2, 2, 2, 2]],
    ['delete', (store) => store.delete('a'), undefined]
  ]

  test.each(acts)(
    '%s leaves the old or the new, and the next process sweeps the rest',
    async (what, act, after) => {
      const name = what === 'put' ? 'b' : 'a'
      const before = what === 'put' ? undefined : [1, 1, 1, 1]
      let kills = 0
      const seen = new Set<string>()
      for (; ; kills++) {
        await rm(path(), { force: true })
        await rm(join(folder, 'b.key'), { force: true })
        await createFileKeyStore({ folder }).put('a', bytes(1, 1, 1, 1))
        const files = await killedAt(kills, pid)
        const outcome = await act(
          createFileKeyStore({ folder }, { files, random: createSeededRandom(kills) })
        ).then(
          () => 'done',
          (error: unknown) => error
        )
        if (outcome !== 'done') expect(outcome).toBeInstanceOf(Killed)
        const next = createFileKeyStore({ folder })
        const found = await next.get(name)
        const text = JSON.stringify(found === undefined ? undefined : [...found])
        seen.add(text ?? 'none')
        expect([JSON.stringify(before), JSON.stringify(after)], `killed at ${kills}`).toContain(text)
        // What others keep is not touched, and nothing else is left.
        expect((await readdir(folder)).filter((entry) => !/^[ab]\.key$/.test(entry))).toEqual([])
        if (name === 'b') expect(await next.get('a')).toEqual(bytes(1, 1, 1, 1))
        if (outcome === 'done' && files.calls() < kills) break
      }
      expect(kills).toBeGreaterThan(4)
      expect(seen.size).toBe(2)
    }
  )

  test('leftovers of a process that lives are not touched, those of an earlier one with our id are', async () => {
    await createFileKeyStore({ folder }).put('a', bytes(1))
    const token = 'f'.repeat(16)
    const living = `.a.key.${process.ppid}-${token}.new`
    const former = `.a.key.${process.pid}-${token}.new`
    const dead = `.a.key.${pid}-${token}.old`
    const strange = `.a.key.${pid}-${token}.tmp`
    for (const entry of [living, former, dead, strange]) await writeFile(join(folder, entry), 'secret')
    // As after a crash between the two names of one file: the key itself must not be overwritten.
    await link(path(), join(folder, `.a.key.${pid}-${'e'.repeat(16)}.old`))
    expect(await createFileKeyStore({ folder }).get('a')).toEqual(bytes(1))
    expect((await readdir(folder)).toSorted()).toEqual([living, strange, 'a.key'].toSorted())
  })

  test('a file swept by another process meanwhile is written again', async () => {
    const { keyFileSystem } = await import('../../src/platform.ts')
    const files = await keyFileSystem()
    let thefts = 0
    const store = createFileKeyStore(
      { folder },
      {
        files: {
          ...files,
          link: async (from, to) => {
            if (thefts++ < 2) await rm(from)
            return files.link(from, to)
          }
        }
      }
    )
    await store.put('a', bytes(1))
    expect(await store.get('a')).toEqual(bytes(1))
    expect(thefts).toBe(3)
  })
})
