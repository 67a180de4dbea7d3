import { mkdtemp, open, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { encodeSubjectKey } from '@kwaai/audit'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { createFileVault } from '../src/store/key-vault.ts'
import { collect } from './audit-kit.ts'

let folder: string
beforeEach(async () => {
  folder = join(await mkdtemp(join(tmpdir(), 'kwaai-vault-')), 'keys')
})
afterEach(() => rm(join(folder, '..'), { recursive: true, force: true }))

const alice = 'did:key:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK'
const keyFiles = async (): Promise<string[]> =>
  (await readdir(folder)).filter((name) => name !== 'names.secret')

test('a key is one file of its owner alone, the same in every process that opens the folder', async () => {
  const [one, other] = [createFileVault({ folder }), createFileVault({ folder })]
  const made = await Promise.all([one, other, one, other].map((vault) => vault.make(alice)))
  for (const key of made) expect(key).toEqual(made[0])
  const [name, ...more] = await keyFiles()
  expect(more).toEqual([])
  expect(name).toMatch(/^[0-9a-f]{64}$/)
  expect((await stat(join(folder, name as string))).mode & 0o777).toBe(0o600)
  expect((await stat(join(folder, 'names.secret'))).mode & 0o777).toBe(0o600)
  expect(await collect(one.keys())).toEqual([made[0]])
})

test('to destroy a key overwrites its bytes before the name goes', async () => {
  const vault = createFileVault({ folder })
  const key = await vault.make(alice)
  const [name] = await keyFiles()
  // Whoever has the file open sees what its bytes become.
  const file = await open(join(folder, name as string), 'r')
  try {
    expect(await vault.destroy(alice)).toBe(true)
    const left = Buffer.alloc(48)
    await file.read(left, 0, 48, 0)
    expect(left.includes(Buffer.from(key.secret))).toBe(false)
    expect(left.equals(Buffer.from(encodeSubjectKey(key)))).toBe(false)
  } finally {
    await file.close()
  }
  expect(await keyFiles()).toEqual([])
  expect(await vault.get(alice)).toBeUndefined()
  expect(await vault.destroy(alice)).toBe(false)
  expect((await createFileVault({ folder }).make(alice)).secret).not.toEqual(key.secret)
})

test('what a process left that ended while it destroyed is finished by the next', async () => {
  const key = await createFileVault({ folder }).make(alice)
  const [name] = await keyFiles()
  await writeFile(join(folder, `${name}.gone`), encodeSubjectKey(key))
  await rm(join(folder, name as string))
  expect(await createFileVault({ folder }).get(alice)).toBeUndefined()
  expect(await keyFiles()).toEqual([])
})

test('keys are not filed under another secret than they were', async () => {
  await createFileVault({ folder }).make(alice)
  const path = join(folder, 'names.secret')
  const secret = await readFile(path)
  const damaged = expect.objectContaining({ code: 'ERR_NODE_STORE_DAMAGED' })
  for (const bytes of [
    undefined,
    new Uint8Array(0),
    secret.subarray(0, 20),
    Buffer.from(secret).fill(1, 0, 2)
  ]) {
    await (bytes === undefined ? rm(path) : writeFile(path, bytes))
    await expect(createFileVault({ folder }).get(alice)).rejects.toEqual(damaged)
    await expect(createFileVault({ folder }).make(alice)).rejects.toEqual(damaged)
  }
  expect(await keyFiles()).toHaveLength(1)
  await writeFile(path, secret)
  expect(await createFileVault({ folder }).get(alice)).toBeDefined()
})

test('a file that is no key opens nothing and is not overwritten', async () => {
  const vault = createFileVault({ folder })
  await vault.make(alice)
  const [name] = await keyFiles()
  const path = join(folder, name as string)
  const other = (await readFile(path)).fill(0, 20, 24)
  for (const bytes of [Buffer.from('short'), other, Buffer.alloc(0)]) {
    await writeFile(path, bytes)
    await expect(vault.get(alice)).rejects.toThrow('something else than a key')
    await expect(vault.make(alice)).rejects.toThrow('something else than a key')
    // Nor is what it opened taken for forgotten.
    await expect(collect(vault.keys())).rejects.toThrow('something else than a key')
    expect(await readFile(path)).toEqual(bytes)
  }
})
