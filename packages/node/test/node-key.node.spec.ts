import { chmod, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createIdentity, seedToProtobuf } from '@kwaai/identity'
import { openSecret, readSealedFacts, sealSecret } from '@kwaai/identity/keystore'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { createNode } from '../src/index.ts'
import { keysOf, loadIdentity, withKeyLock } from '../src/node-key.ts'
import { runCli, startCli } from './run-cli.ts'

let folder: string
let path: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'kwaai-node-key-'))
  path = join(folder, 'identity.key')
})
afterEach(() => rm(folder, { recursive: true, force: true }))

const passphrase = 'correct horse'
const read = async (): Promise<Uint8Array> => new Uint8Array(await readFile(path))

describe("the node's key", () => {
  test('is made once, without a passphrase in a file of mode 0600', async () => {
    const first = await loadIdentity(folder)
    expect(await read()).toEqual(seedToProtobuf(first.exportSeed()))
    expect((await stat(path)).mode & 0o777).toBe(0o600)
    expect((await loadIdentity(folder)).peerId).toBe(first.peerId)
  })

  test('that stands from before is taken over, as KwaaiNet writes it: 68 bytes that others may read', async () => {
    const before = createIdentity()
    await writeFile(path, seedToProtobuf(before.exportSeed()), { mode: 0o644 })
    await chmod(path, 0o644)
    expect((await loadIdentity(folder)).peerId).toBe(before.peerId)
    expect((await stat(path)).mode & 0o777).toBe(0o600)
  })

  test('is encrypted once a passphrase is given, is the same key, and leaves nothing of the plain one', async () => {
    const before = await loadIdentity(folder)
    const plain = await readFile(path)
    const notes: string[] = []
    const onNote = (text: string): void => void notes.push(text)
    expect((await loadIdentity(folder, { passphrase, onNote })).did).toBe(before.did)
    expect(notes).toEqual([expect.stringContaining('encrypted from now on')])
    const sealed = await readFile(path)
    expect(sealed.includes(plain.subarray(4, 36))).toBe(false)
    expect(readSealedFacts(sealed)).toMatchObject({ name: 'identity', pub: before.did })
    expect(await readdir(folder)).toEqual(['identity.key'])
    expect((await stat(path)).mode & 0o777).toBe(0o600)
    expect((await loadIdentity(folder, { passphrase, onNote })).did).toBe(before.did)
    expect(await readFile(path)).toEqual(sealed)
    expect(notes).toHaveLength(1)
  })

  test('that is encrypted opens with its passphrase alone, and is never overwritten', async () => {
    const before = await loadIdentity(folder, { passphrase })
    const sealed = await read()
    await expect(loadIdentity(folder)).rejects.toMatchObject({
      code: 'ERR_NODE_PASSPHRASE_NEEDED',
      message: expect.stringMatching(/identity\.key.*--passphrase-file.*KWAAI_PASSPHRASE/)
    })
    await expect(loadIdentity(folder, { passphrase: 'wrong' })).rejects.toMatchObject({
      code: 'ERR_IDENTITY_WRONG_PASSPHRASE',
      message: expect.stringContaining(path)
    })
    // A person may try three times, and is asked for nothing where nobody sits.
    const words = ['a', 'b', passphrase]
    const asked: string[] = []
    const askPassphrase = async (question: string): Promise<string | undefined> => {
      asked.push(question)
      return words[asked.length - 1]
    }
    expect((await loadIdentity(folder, { askPassphrase })).did).toBe(before.did)
    expect(asked).toEqual([1, 2, 3].map(() => `Passphrase of ${path}: `))
    words[2] = 'c'
    asked.length = 0
    await expect(loadIdentity(folder, { askPassphrase })).rejects.toMatchObject({
      code: 'ERR_IDENTITY_WRONG_PASSPHRASE'
    })
    expect(asked).toHaveLength(3)
    expect(await read()).toEqual(sealed)
  })

  test('that is damaged or not a key is refused, whatever is given, and stays as it is', async () => {
    await loadIdentity(folder, { passphrase })
    const sealed = await read()
    const plain = seedToProtobuf(createIdentity().exportSeed())
    const swapped = plain.slice()
    swapped.set(seedToProtobuf(createIdentity().exportSeed()).subarray(36), 36)
    const cases: Uint8Array[] = [
      new Uint8Array(),
      sealed.subarray(0, 100),
      sealed.map((byte, index) => (index === 60 ? byte ^ 1 : byte)),
      plain.subarray(0, 67),
      Uint8Array.of(...plain, 0),
      swapped,
      new TextEncoder().encode('{}')
    ]
    for (const bytes of cases) {
      await writeFile(path, bytes)
      for (const given of [{}, { passphrase }]) {
        await expect(loadIdentity(folder, given)).rejects.toMatchObject({ code: 'ERR_NODE_KEY_UNREADABLE' })
      }
      expect(await read()).toEqual(new Uint8Array(bytes))
    }
    // Another sealed key, and one that says it were another.
    const { did } = createIdentity()
    for (const facts of [{ name: 'controller' }, { name: 'identity', pub: did }]) {
      const bytes = await sealSecret(passphrase, plain, facts)
      await writeFile(path, bytes)
      await expect(loadIdentity(folder, { passphrase })).rejects.toMatchObject({
        code: 'ERR_NODE_KEY_UNREADABLE'
      })
      expect(await read()).toEqual(bytes)
    }
    await rm(path)
    await writeFile(join(folder, 'theirs'), plain)
    await symlink(join(folder, 'theirs'), path)
    await expect(loadIdentity(folder)).rejects.toMatchObject({
      message: expect.stringContaining('symbolic link')
    })
  })

  test('that several make at once is one, and so is one that several encrypt', async () => {
    for (const given of [{}, { passphrase }]) {
      const all = await Promise.all([1, 2, 3].map(() => loadIdentity(folder, given)))
      expect(new Set(all.map(({ peerId }) => peerId)).size).toBe(1)
    }
    expect(await readdir(folder)).toEqual(['identity.key'])
  })

  test('that came in between is not lost to one that encrypts the key from before', async () => {
    await loadIdentity(folder)
    const next = createIdentity()
    let begun: Promise<unknown> | undefined
    await withKeyLock(folder, async () => {
      // It has read the old key and waits for its turn.
      begun = loadIdentity(folder, { passphrase })
      await keysOf(folder).put('identity', seedToProtobuf(next.exportSeed()), { replace: true })
    })
    expect(await begun).toMatchObject({ did: next.did })
    expect((await loadIdentity(folder, { passphrase })).did).toBe(next.did)
  })
})

describe('a node', () => {
  test('opens its encrypted key, by asking where no passphrase was given', async () => {
    const { peerId } = await loadIdentity(folder, { passphrase })
    const init = { dataDir: folder, blocks: 'none', embeddings: false } as const
    await expect(createNode(init)).rejects.toMatchObject({ code: 'ERR_NODE_PASSPHRASE_NEEDED' })
    const node = await createNode(init, { askPassphrase: async () => passphrase })
    expect(node.peerId).toBe(peerId)
    await node.stop()
    const plain = await openSecret(passphrase, await read(), { name: 'identity' })
    expect(plain).toHaveLength(68)
  }, 60_000)

  test('as a process keeps its peer id over a restart, takes the passphrase from a file or the environment, and says what is missing', async () => {
    const up = ['up', '--blocks', 'none', '--no-api', '--no-embeddings', '--json', '--data-dir', folder]
    const { peerId } = await loadIdentity(folder)
    const file = join(folder, 'passphrase')
    await writeFile(file, `${passphrase}\n`, { mode: 0o600 })
    const first = startCli([...up, '--passphrase-file', file])
    expect(JSON.parse(await first.seen(/\n/))).toMatchObject({ peerId })
    first.child.kill('SIGTERM')
    expect(await first.ended).toMatchObject({
      status: 0,
      stderr: expect.stringContaining('encrypted from now on')
    })
    const sealed = await read()
    const [none, wrong] = await Promise.all([
      runCli(up),
      runCli([...up.slice(0, -1), `${folder}/`], { env: { KWAAI_PASSPHRASE: 'wrong horse' } })
    ])
    for (const result of [none, wrong]) {
      expect(result).toMatchObject({
        status: 1,
        stdout: '',
        stderr: expect.stringMatching(/^kwaai: Cannot [^\n]+\n$/)
      })
    }
    expect(await read()).toEqual(sealed)
    const second = startCli(up, { env: { KWAAI_PASSPHRASE: passphrase } })
    expect(JSON.parse(await second.seen(/\n/))).toMatchObject({ peerId })
    second.child.kill('SIGTERM')
    expect(await second.ended).toMatchObject({ status: 0, stderr: '' })
  }, 120_000)
})
