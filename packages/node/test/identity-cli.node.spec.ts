import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createIdentity, seedToMultibase, seedToProtobuf } from '@kwaai/identity'
import { openSecret, readSealedFacts } from '@kwaai/identity/keystore'
import { identityFromPhrase } from '@kwaai/identity/phrase'
import { verifyRotation } from '@kwaai/identity/vc'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { openAudit } from '../src/audit.ts'
import { keepCredential, ownCredentials } from '../src/cli/identity-credentials.ts'
import { claimDataDir } from '../src/data-dir.ts'
import { loadIdentity } from '../src/node-key.ts'
import { rotateKey } from '../src/own-credentials.ts'
import { runMain, type MainResult } from './run-main.ts'

let folder: string
let dataDir: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'kwaai-identity-'))
  dataDir = join(folder, 'node')
})
afterEach(() => rm(folder, { recursive: true, force: true }))

const passphrase = 'correct horse'
type Options = NonNullable<Parameters<typeof runMain>[1]>

const run = (args: string[], options: Options = {}): Promise<MainResult> =>
  runMain(['identity', ...args, '--data-dir', dataDir], { ...options, env: { HOME: folder, ...options.env } })

type Facts = Record<string, unknown> & { did: string; peerId: string; words: string }

async function json(args: string[], options: Options = {}): Promise<Facts> {
  const result = await run([...args, '--json'], options)
  expect(result.status, result.stderr).toBe(0)
  return JSON.parse(result.stdout) as Facts
}

/** One sentence on standard error, nothing on standard output. */
async function refused(
  args: string[],
  words: string | RegExp,
  options: Options & { status?: number } = {}
): Promise<void> {
  const { status = 1, ...rest } = options
  const result = await run(args, rest)
  expect(result.stderr).toMatch(words)
  expect(result.stderr).toMatch(/^kwaai: [^\n]+\n$/)
  expect([result.status, result.stdout]).toEqual([status, ''])
}

const env = { KWAAI_PASSPHRASE: passphrase }
const key = (): Promise<Buffer> => readFile(join(dataDir, 'identity.key'))

describe('kwaai identity show', () => {
  test('tells who a node is, of an encrypted key without its passphrase too', async () => {
    await refused(['show'], /there is no key in .*kwaai up/)
    await loadIdentity(dataDir)
    const plain = await json(['show'])
    const path = join(dataDir, 'identity.key')
    expect(plain).toEqual({
      did: plain.did,
      peerId: plain.peerId,
      publicKeyMultibase: plain.did.slice('did:key:'.length),
      encrypted: false,
      proven: true,
      path,
      controller: null,
      bound: false,
      credentials: 0
    })
    await loadIdentity(dataDir, { passphrase })
    expect(await json(['show'])).toEqual({ ...plain, encrypted: true, proven: false })
    expect(await json([], { env })).toEqual({ ...plain, encrypted: true, proven: true })
    await refused(['show'], 'not its passphrase', { env: { KWAAI_PASSPHRASE: 'wrong' } })
    const text = await run(['show'])
    expect(text.stdout).toContain(`Peer id      ${plain.peerId}\n`)
    expect(text.stdout).toContain('(encrypted, not opened)')
  })
})

describe('kwaai identity phrase', () => {
  test('makes a controller and a node that its words bring back', async () => {
    await refused(['phrase'], /24 words.*--show-words/, { env })
    await refused(['phrase', '--show-words'], /no passphrase.*--passphrase-file/)
    expect(await readdir(folder)).toEqual(['node'])
    const made = await json(['phrase', '--show-words'], { env })
    expect(made.words.split(' ')).toHaveLength(24)
    expect(made).toMatchObject({
      controller: identityFromPhrase(made.words, { purpose: 'controller' }).did,
      did: identityFromPhrase(made.words).did,
      nodeFromPhrase: true
    })
    for (const name of ['controller', 'identity']) {
      const sealed = await readFile(join(dataDir, `${name}.key`))
      expect(readSealedFacts(sealed).name).toBe(name)
    }
    expect(await json(['show'])).toMatchObject({ did: made.did, controller: made['controller'], bound: true })

    const input = `  ${made.words.toUpperCase().replaceAll(' ', '\n')}\n`
    expect(await json(['phrase', '--confirm'], { input })).toMatchObject({ confirmed: true })
    await refused(['phrase', '--confirm'], 'words', { input: made.words.split(' ').slice(1).join(' ') })
    await refused(['phrase', '--confirm'], 'did:key', {
      input: 'abandon '.repeat(23) + 'art'
    })
    await refused(['phrase', '--show-words'], /another key stands.*--replace/, { env })

    // On another machine: the same two keys; with another index another node of the same controller.
    dataDir = join(folder, 'second')
    await refused(['phrase', '--restore'], 'no passphrase', { input })
    const restored = await json(['phrase', '--restore'], { input, env })
    expect(restored).toEqual({
      controller: made['controller'],
      did: made.did,
      peerId: made.peerId,
      nodeFromPhrase: true
    })
    // Damaged keys come back from the words, and what was left of them stays beside.
    for (const name of ['controller', 'identity']) await writeFile(join(dataDir, `${name}.key`), 'damaged')
    await refused(['phrase', '--restore'], /controller\.key cannot be read.*--replace/, { input, env })
    const healed = await json(['phrase', '--restore', '--replace'], { input, env })
    expect(healed).toMatchObject({ controller: made['controller'], did: made.did })
    expect(await readFile(String(healed['aside']), 'utf8')).toBe('damaged')
    expect((await readdir(dataDir)).filter((name) => name.startsWith('identity.key.'))).toHaveLength(1)
    dataDir = join(folder, 'third')
    const third = await json(['phrase', '--restore', '--node-index', '1'], { input, env })
    expect(third).toMatchObject({ controller: made['controller'], nodeFromPhrase: true })
    expect(third.did).not.toBe(made.did)
  })

  test('leaves the key of a node as it is, and binds it to the controller', async () => {
    const { did } = await loadIdentity(dataDir)
    const before = await key()
    const made = await json(['phrase', '--show-words'], { env })
    expect(made).toMatchObject({ did, nodeFromPhrase: false })
    expect(await key()).toEqual(before)
    expect(await json(['show'])).toMatchObject({ did, encrypted: false, bound: true })
    const other = await json(['phrase', '--show-words', '--replace'], { env })
    expect(other['controller']).not.toBe(made['controller'])
    expect(readSealedFacts(await readFile(String(other['aside']))).pub).toBe(made['controller'])
    expect((await run(['phrase', '--show-words', '--replace'], { env })).stdout).toMatch(
      /shown this once[^]*\n {3}1 [a-z]+ +2 [a-z]+ [^]* 24 [a-z]+\n$/
    )
  })
})

describe('kwaai identity export and import', () => {
  test('carry a key over in every format', async () => {
    const { did } = await loadIdentity(dataDir)
    const files: string[] = []
    for (const format of ['libp2p', 'multikey', 'jwk', 'encrypted']) {
      const out = join(folder, format)
      files.push(out)
      const options = format === 'encrypted' ? { env } : {}
      expect(await json(['export', '--format', format, '--out', out], options)).toEqual({
        did,
        format,
        path: out
      })
      expect((await stat(out)).mode & 0o777).toBe(0o600)
      await refused(['export', '--format', format, '--out', out], /nothing is overwritten|no passphrase/)
      if (format === 'encrypted') continue
      // To a pipe it may go; libp2p's bytes as base64.
      const piped = join(folder, `${format}.piped`)
      await writeFile(piped, (await run(['export', '--format', format])).stdout)
      files.push(piped)
    }
    expect(await readFile(join(folder, 'libp2p'))).toEqual(await key())
    const bare = join(folder, 'bare')
    await writeFile(
      bare,
      seedToMultibase(createIdentity({ seed: new Uint8Array(await key()).slice(4, 36) }).exportSeed())
    )
    for (const [index, file] of [...files, bare].entries()) {
      dataDir = join(folder, `import-${index}`)
      const sealed = file.endsWith('encrypted')
      if (sealed) await refused(['import', '--file', file], /encrypted.*--passphrase-file/)
      const imported = await json(['import', '--file', file], sealed ? { env } : {})
      expect(imported, file).toMatchObject({ did, changed: true, encrypted: sealed })
      expect((await stat(join(dataDir, 'identity.key'))).mode & 0o777).toBe(0o600)
      expect((await loadIdentity(dataDir, sealed ? { passphrase } : {})).did).toBe(did)
    }
  })

  test('an export is told to the log where there is one, and leaves no file where it cannot be told', async () => {
    await loadIdentity(dataDir)
    const out = join(folder, 'out')
    await json(['export', '--out', out])
    await refused(['export', '--out', out], 'nothing is overwritten')
    await refused(['export', '--out', join(folder, 'none', 'out')], 'a folder that can be written')
    {
      await using audit = openAudit(dataDir)
      expect(await audit.log.size()).toBe(1)
    }
    await writeFile(join(dataDir, 'audit.log'), 'damaged')
    await refused(['export', '--out', join(folder, 'other')], 'audit.log')
    expect((await readdir(folder)).toSorted()).toEqual(['node', 'out'])
  })

  test('a key of KwaaiNet is found, told of, and taken over', async () => {
    const theirs = createIdentity()
    const file = join(folder, 'identity.key')
    await writeFile(file, seedToProtobuf(theirs.exportSeed()), { mode: 0o644 })
    await refused(['show'], `identity import --file ${file}`, { env: { KWAAINET_HOME: folder } })
    expect(await json(['import', '--file', file])).toMatchObject({ did: theirs.did, peerId: theirs.peerId })
    expect((await loadIdentity(dataDir)).peerId).toBe(theirs.peerId)
    // A passphrase encrypts what stands there plain.
    expect(await json(['import', '--file', file], { env })).toMatchObject({ changed: true, encrypted: true })
    expect(await json(['import', '--file', file], { env })).toMatchObject({ changed: false, encrypted: true })
    expect((await loadIdentity(dataDir, { passphrase })).peerId).toBe(theirs.peerId)
  })

  test('another key is kept beside the new one, and nothing is lost without a word', async () => {
    const before = await loadIdentity(dataDir)
    const other = createIdentity()
    const file = join(folder, 'other')
    await writeFile(file, seedToProtobuf(other.exportSeed()))
    await refused(['import', '--file', file], /another one stands.*--replace/)
    const replaced = await json(['import', '--file', file, '--replace'])
    expect(replaced).toMatchObject({ did: other.did, changed: true })
    expect(await readFile(String(replaced['aside']))).toEqual(
      Buffer.from(seedToProtobuf(before.exportSeed()))
    )
    expect((await stat(String(replaced['aside']))).mode & 0o777).toBe(0o600)
    expect(await json(['import', '--file', file])).toMatchObject({ did: other.did, changed: false })
    // What is encrypted does not become plain by an import.
    await loadIdentity(dataDir, { passphrase })
    const third = join(folder, 'third')
    await writeFile(third, seedToProtobuf(createIdentity().exportSeed()))
    await refused(['import', '--file', third, '--replace'], 'no passphrase')
    expect(await json(['import', '--file', third, '--replace'], { env })).toMatchObject({ encrypted: true })
    // A damaged key is another one for all we know.
    await writeFile(join(dataDir, 'identity.key'), 'damaged')
    await refused(['import', '--file', file], '--replace')
    const healed = await json(['import', '--file', file, '--replace'])
    expect(await readFile(String(healed['aside']), 'utf8')).toBe('damaged')
  })

  test('refuse what is no key, and options that make no sense', async () => {
    const file = join(folder, 'file')
    const texts = [
      '',
      'hello',
      '{}',
      '{"kty":"OKP"}',
      'z6Mk',
      '{"v":1,"kdf":{}}',
      'x'.repeat(100_000),
      '\u0008\u0001'
    ]
    for (const text of texts) {
      await writeFile(file, text)
      await refused(['import', '--file', file], /^kwaai: Cannot/, { env })
    }
    await refused(['import', '--file', join(folder, 'none')], 'none')
    const lines: [string[], string][] = [
      [['import'], '--file'],
      [['fly'], 'fly'],
      [['show', '--replace'], '--replace'],
      [['export', '--format', 'pem'], 'pem'],
      [['rotate', '--reason', 'boredom'], 'boredom'],
      [['phrase', '--restore', '--confirm'], '--confirm'],
      [['passphrase', '--remove', '--new-passphrase-file', file], '--remove'],
      [['passphrase', '--new-passphrase-file', join(folder, 'none')], '--new-passphrase-file'],
      [['rotate', '--remove'], '--remove'],
      [['phrase', '--restore', '--node-index', '-1'], 'node-index']
    ]
    await loadIdentity(dataDir)
    for (const [args, words] of lines)
      await refused(args, words, { status: 2, env, input: `${'abandon '.repeat(23)}art` })
    const unknown = await runMain(['fly', '--json'])
    expect([unknown.status, JSON.parse(unknown.stdout)]).toMatchObject([
      2,
      { code: 'ERR_NODE_INVALID_OPTION', message: expect.stringContaining("'fly'") }
    ])
  })

  test("a controller's key leaves encrypted, or is asked for twice", async () => {
    const { words, controller } = await json(['phrase', '--show-words'], { env })
    await refused(['export', '--controller', '--format', 'jwk'], /--yes/, { env })
    const out = join(folder, 'controller')
    await json(['export', '--controller', '--out', out])
    const plain = await openSecret(passphrase, new Uint8Array(await readFile(out)), { name: 'controller' })
    const { exportSeed } = identityFromPhrase(words, { purpose: 'controller' })
    expect(plain).toEqual(seedToProtobuf(exportSeed()))
    const jwk = await json(['export', '--controller', '--format', 'jwk', '--yes'], { env })
    // One that somebody puts there in the clear is not used.
    const path = join(dataDir, 'controller.key')
    const sealed = await readFile(path)
    await writeFile(path, plain)
    await refused(['rotate'], /controller\.key.*not encrypted/, { env })
    await writeFile(path, sealed)
    dataDir = join(folder, 'other')
    const input = String(jwk['key'])
    await refused(['import', '--controller', '--file', '-'], 'no passphrase', { input })
    const back = await json(['import', '--controller', '--file', '-'], { input, env })
    expect(back).toMatchObject({ did: controller, encrypted: true })
  })
})

describe('kwaai identity passphrase', () => {
  const next = 'battery staple'
  const nextEnv = { KWAAI_NEW_PASSPHRASE: next }
  const both = { ...env, ...nextEnv }

  test('sets, changes and removes it, and the key stays the same', async () => {
    await refused(['passphrase'], 'there is no key', { env: nextEnv })
    await refused(['passphrase', '--controller'], /no controller's key.*kwaai identity phrase/, { env })
    expect(await readdir(folder)).toEqual([])
    const { did, peerId } = await loadIdentity(dataDir)
    const path = join(dataDir, 'identity.key')
    const facts = { did, peerId, path }
    const step = async (
      args: string[],
      options: Options,
      expected: { changed: boolean; encrypted: boolean }
    ): Promise<void> => {
      expect(await json(['passphrase', ...args], options)).toEqual({ ...facts, ...expected })
      expect((await stat(path)).mode & 0o777).toBe(0o600)
      expect((await readdir(dataDir)).filter((name) => /^\.|identity/.test(name))).toEqual(['identity.key'])
    }
    const [old, fresh] = [join(folder, 'old'), join(folder, 'fresh')]
    await writeFile(old, `${passphrase}\n`, { mode: 0o600 })
    await writeFile(fresh, `${next}\n`, { mode: 0o600 })
    // Nobody takes the passphrase of the key for the new one.
    await refused(['passphrase'], /no new passphrase.*--new-passphrase-file.*KWAAI_NEW_PASSPHRASE/, { env })
    await step(['--remove'], {}, { changed: false, encrypted: false })
    await step(['--new-passphrase-file', old], {}, { changed: true, encrypted: true })
    const args = ['--passphrase-file', old, '--new-passphrase-file', fresh]
    await step(args, {}, { changed: true, encrypted: true })
    expect(readSealedFacts(new Uint8Array(await key()))).toMatchObject({ name: 'identity', pub: did })
    expect((await loadIdentity(dataDir, { passphrase: next })).did).toBe(did)
    const sealed = await key()
    await refused(['passphrase', ...args], /not its passphrase\. Nothing was changed/)
    await refused(['passphrase', '--remove'], 'not its passphrase', { env })
    await refused(['passphrase', '--remove'], 'no terminal to ask')
    await step([], { env: { ...nextEnv, KWAAI_PASSPHRASE: next } }, { changed: false, encrypted: true })
    expect(await key()).toEqual(sealed)
    const removing = await run(['passphrase', '--remove'], { env: { KWAAI_PASSPHRASE: next } })
    expect(removing).toMatchObject({ status: 0, stdout: expect.stringContaining('not encrypted any more') })
    const { exportSeed } = await loadIdentity(dataDir)
    expect(new Uint8Array(await key())).toEqual(seedToProtobuf(exportSeed()))
    expect(await json(['show'])).toMatchObject({ did, encrypted: false })
    // Each change is told to the log, as is which one.
    await using audit = openAudit(dataDir)
    const told: unknown[] = []
    for await (const { data, record } of audit.log.entriesOf())
      told.push([record.kind, JSON.parse(new TextDecoder().decode(data))])
    expect(told).toEqual(
      [true, true, false].map((encrypted) => [
        'identity/passphrase-changed',
        { name: 'identity', did, encrypted }
      ])
    )
  })

  test("a controller's is changed, and never removed", async () => {
    const { controller } = await json(['phrase', '--show-words'], { env })
    const path = join(dataDir, 'controller.key')
    const before = await readFile(path)
    await refused(['passphrase', '--controller', '--remove'], 'always encrypted', { env, status: 2 })
    await refused(['passphrase', '--controller'], 'not its passphrase', {
      env: { ...nextEnv, KWAAI_PASSPHRASE: 'wrong' }
    })
    await refused(['passphrase', '--controller'], 'from 1 to 1024', {
      env: { ...env, KWAAI_NEW_PASSPHRASE: 'x'.repeat(1025) }
    })
    expect(await readFile(path)).toEqual(before)
    {
      await using audit = openAudit(dataDir)
      for (let at = (await audit.log.size()) - 1; at >= 0; at--)
        expect((await audit.log.entry(at)).record.kind).not.toContain('passphrase')
    }
    const changed = await json(['passphrase', '--controller'], { env: both })
    expect(changed).toMatchObject({ did: controller, changed: true, encrypted: true, path })
    const sealed = new Uint8Array(await readFile(path))
    expect((await openSecret(next, sealed, { name: 'controller' })).length).toBe(68)
    // The node's is another key, under the passphrase it had.
    expect((await loadIdentity(dataDir, { passphrase })).did).not.toBe(controller)
  })

  test('goes on beside a node that runs, waits for another change, and not in a rotation', async () => {
    const { did } = await loadIdentity(dataDir)
    const release = await claimDataDir(dataDir)
    try {
      expect(await json(['passphrase'], { env: nextEnv })).toMatchObject({ did, changed: true })
    } finally {
      await release()
    }
    const sealed = await key()
    await writeFile(join(dataDir, 'identity-next.key'), seedToProtobuf(createIdentity().exportSeed()))
    const change = { env: { KWAAI_PASSPHRASE: next, KWAAI_NEW_PASSPHRASE: passphrase } }
    await refused(['passphrase'], /rotation has begun.*kwaai identity rotate/, change)
    expect(await key()).toEqual(sealed)
    await json(['rotate'], { env: { KWAAI_PASSPHRASE: next } })
    // Two at once: one of them comes second, and its old passphrase is none any more.
    const [one, two] = await Promise.all([run(['passphrase'], change), run(['passphrase'], change)])
    expect([one.status, two.status].toSorted()).toEqual([0, 1])
    expect(`${one.stderr}${two.stderr}`).toMatch(/^kwaai: [^\n]*not its passphrase[^\n]*\n$/)
    expect(await json(['show'], { env })).toMatchObject({ encrypted: true, proven: true })
  })
})

describe('kwaai identity rotate', () => {
  test('makes a new key that old and new have signed for, and keeps the old one', async () => {
    await refused(['rotate'], 'no key')
    const before = await loadIdentity(dataDir)
    const { controller } = await json(['phrase', '--show-words'], { env })
    await refused(['rotate'], /controller\.key.*encrypted/)
    expect((await loadIdentity(dataDir)).did).toBe(before.did)
    const rotated = await json(['rotate', '--reason', 'scheduled'], { env })
    expect(rotated).toMatchObject({ rotatedFrom: before.did, controller, encrypted: true })
    expect(rotated.did).not.toBe(before.did)
    expect(await readFile(String(rotated['aside']))).toEqual(Buffer.from(seedToProtobuf(before.exportSeed())))
    expect((await loadIdentity(dataDir, { passphrase })).peerId).toBe(rotated.peerId)
    expect(await json(['show'])).toMatchObject({ did: rotated.did, bound: true })
    const again = await json(['rotate'], { env })
    const { own } = await ownCredentials(dataDir)
    expect(await verifyRotation(own.RotationCredential, { from: before.did })).toMatchObject({
      ok: true,
      path: [before.did, rotated.did, again.did]
    })
    expect((await run(['rotate'], { env })).stdout).toMatch(/peer id is another one/)
  })

  test('goes on where it was cut off, with the same key', async () => {
    const before = await loadIdentity(dataDir)
    const next = createIdentity()
    await writeFile(join(dataDir, 'identity-next.key'), seedToProtobuf(next.exportSeed()))
    expect(await json(['rotate'])).toMatchObject({ rotatedFrom: before.did, did: next.did })
    expect(await readdir(dataDir)).not.toContain('identity-next.key')
    // Cut off after its last step but one.
    await writeFile(join(dataDir, 'identity-next.key'), seedToProtobuf(next.exportSeed()))
    expect(await json(['rotate'])).toMatchObject({ rotatedFrom: null, did: next.did })
    expect(await readdir(dataDir)).not.toContain('identity-next.key')
    // Cut off between the signing and the change of keys.
    const { did } = await loadIdentity(dataDir)
    const last = createIdentity()
    await writeFile(join(dataDir, 'identity-next.key'), seedToProtobuf(last.exportSeed()))
    const signed = await rotateKey(await loadIdentity(dataDir), last, Date.parse('2026-11-01T00:00:00Z'))
    await keepCredential(dataDir, signed)
    expect(await json(['rotate'])).toMatchObject({ rotatedFrom: did, did: last.did })
    const { own } = await ownCredentials(dataDir)
    expect(await verifyRotation(own.RotationCredential, { from: before.did })).toMatchObject({
      ok: true,
      path: [before.did, next.did, last.did]
    })
  })

  test('waits for no node that runs: a key is not changed under it', async () => {
    await loadIdentity(dataDir)
    const release = await claimDataDir(dataDir)
    try {
      await refused(['rotate'], /already runs one.*End that one first/)
      await refused(['phrase', '--show-words'], 'already runs one', { env })
    } finally {
      await release()
    }
    await json(['rotate'])
  })
})
