import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseCheckpoint, parseNote } from '@kwaai/audit'
import { createIdentity } from '@kwaai/identity'
import { createGrant, createRevocation, delegateGrant } from '@kwaai/identity/grant'
import type { Credential } from '@kwaai/identity/vc'
import { systemClock } from '@kwaai/interface/memory'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { answerScopes, appendAudit, openAudit, openSealedFile } from '../src/audit.ts'
import { openCredentials } from '../src/credentials/credential-folder.ts'
import { openGrants } from '../src/grants/grant-folder.ts'
import { createNode, type Node } from '../src/index.ts'
import { createIssuing } from '../src/issuer/issuing.ts'
import { createObservationLog } from '../src/issuer/observations.ts'
import { loadIdentity } from '../src/node-key.ts'
import { createFileStore } from '../src/store/file-store.ts'
import { filesBelow, shapesOf, traces } from './audit-kit.ts'
import { runMain } from './run-main.ts'

let folder: string
let dataDir: string
let node: Node | undefined

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'kwaai-audit-'))
  dataDir = join(folder, 'node')
})
afterAll(async () => {
  await node?.stop()
  await rm(folder, { recursive: true, force: true })
})

async function run(...args: string[]): Promise<string> {
  const { status, stdout, stderr } = await runMain([...args, '--data-dir', dataDir])
  expect(status, stderr).toBe(0)
  return stdout
}
const json = async (...args: string[]): Promise<Record<string, unknown>> =>
  JSON.parse(await run(...args, '--json')) as Record<string, unknown>

const alice = 'did:key:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK'
const bob = 'did:key:z6MknGc3ocHs3zdPiJbnaaqDi58NGb4pk1Sp9WxWufuXSdxf'
/** What the person leaves: each is looked for in every shape, everywhere. */
const name = 'Zoë Quixwold'
const note = 'the reading of her meter is 48151623'
const question = 'Where does the quixotic Zoë of Ümlautgasse keep her 🔑?'
const purpose = 'counting-quixwold-kilowatts'

describe('a person', () => {
  test(
    'leaves data in all that a node keeps, is erased, and nothing of her is left',
    { timeout: 120_000 },
    async () => {
      const made = (await json('keys', 'create', name)) as { key: { id: string }; secret: string }
      const account = made.key.id
      const other = (await json('keys', 'create', 'somebody else')) as { key: { id: string }; secret: string }
      node = await createNode({ dataDir, api: { port: 0 } })
      const ask = async (secret: string, input: string): Promise<{ status: number; id: string }> => {
        const response = await fetch(`${node?.apiUrl}/v1/responses`, {
          method: 'POST',
          headers: { 'content-type': 'application/json', authorization: `Bearer ${secret}` },
          body: JSON.stringify({
            model: 'smollm2-135m-instruct',
            input,
            temperature: 0,
            max_output_tokens: 3
          })
        })
        const { id } = (await response.json()) as { id: string }
        return { status: response.status, id }
      }
      const get = async (secret: string, path: string): Promise<number> => {
        const headers = { authorization: `Bearer ${secret}` }
        return (await fetch(`${node?.apiUrl}${path}`, { headers })).status
      }
      const hers = await ask(made.secret, question)
      const his = await ask(other.secret, 'Hi')
      expect([hers.status, his.status]).toEqual([200, 200])
      expect(await get(made.secret, `/v1/responses/${hers.id}`)).toBe(200)
      {
        await using audit = openAudit(dataDir)
        const data = new TextEncoder().encode(note)
        await audit.log.append({ kind: 'meter/read', subject: alice, data })
        await audit.log.append({ kind: 'meter/read', subject: bob, data: new TextEncoder().encode('1') })
        await audit.consents.give({
          piiPrincipalId: alice,
          piiControllers: [{ name: 'Example', contact: 'privacy@example.org' }],
          lawfulBasis: 'consent',
          purposes: [{ purpose, piiCategories: ['consumption'], sensitive: false }],
          period: { from: 0 },
          withdrawal: 'by letter',
          jurisdiction: 'AT',
          language: 'de',
          collectionMethod: 'web form'
        })
        expect(await audit.consents.holds(alice, purpose)).toBe(true)
      }
      // A credential about her, a grant to her, and what an issuer has seen of her node.
      const her = createIdentity({ seed: new Uint8Array(32).fill(7) })
      const folderKeys = await loadIdentity(dataDir)
      const member: Credential = {
        '@context': ['https://www.w3.org/ns/credentials/v2', { nick: 'https://example.org/nick' }],
        type: ['VerifiableCredential'],
        issuer: folderKeys.did,
        credentialSubject: { id: her.did, nick: 'Quixi of the Quays' }
      }
      const credentials = openCredentials(dataDir)
      const { id: credentialId } = await credentials.keep(member, 'issued')
      const observations = createObservationLog({}, { store: credentials.notes, clock: systemClock })
      await observations.watch(her.peerId)
      await observations.probed(new Map([[her.peerId, true]]))
      expect((await credentials.find(credentialId)).credential).toEqual(member)
      expect(await observations.peers()).toEqual([her.peerId])
      const issuing = createIssuing(
        { minProbes: 1 },
        {
          signer: folderKeys,
          observations,
          store: credentials.notes,
          registry: async () => undefined,
          allocate: async () => [],
          record: credentials.record,
          clock: systemClock
        }
      )
      expect(await issuing.issue(her.did, 'UptimeCredential')).toHaveProperty('credential')
      await credentials.close()
      const exp = Math.floor(systemClock.now() / 1_000) + 3_600
      const grants = await openGrants(dataDir, { clock: systemClock })
      const given = await createGrant(folderKeys, { aud: her.did, cmd: '/shard', policy: [], exp })
      await grants.keep(given, [her.did])
      expect(await grants.subjectsOf(her.did)).toEqual([her.did, folderKeys.did])
      const claims = { aud: createIdentity().did, cmd: '/shard', policy: [], exp }
      const statement = await createRevocation(her, await delegateGrant(her, given, claims))
      expect(await grants.revocations.add(statement)).toMatchObject({ ok: true })
      expect(await grants.list()).toHaveLength(1)
      await grants.close()
      const hersToo = [her.did, her.peerId, 'Quixi of the Quays']
      const planted = [name, note, question, purpose, alice, account, hers.id, made.secret, ...hersToo]
      // Already now nothing is in the clear, so there is nothing that a file could fail to forget.
      expect(await traces(dataDir, planted)).toEqual([])

      const proofs = join(folder, 'entry.tlog-proof')
      await run('audit', 'prove', '0', '--out', proofs)
      const bundle = join(folder, 'alice.bundle')
      await run('audit', 'export', alice, '--out', bundle)
      const accountBundle = join(folder, 'account.bundle')
      await run('audit', 'export', account, '--out', accountBundle)
      // The bundle does hold her data: what is looked for would be found.
      expect((await readFile(bundle)).includes(shapesOf(purpose)[0] as Buffer)).toBe(false)
      expect((await readFile(accountBundle)).toString()).toContain(hers.id)
      const before = await json('audit', 'verify')
      expect(before).toMatchObject({ valid: true, size: 7 })

      const receipt = join(folder, 'alice.receipt')
      // Nobody is forgotten without the receipt, and no file is written over.
      for (const out of [join(folder, 'nowhere', 'receipt'), bundle]) {
        const refused = await runMain(['audit', 'erase', alice, '--out', out, '--data-dir', dataDir])
        expect([refused.status, refused.stderr]).toEqual([1, expect.stringContaining('Cannot write')])
      }
      expect(await run('audit', 'erase', alice, '--out', receipt)).toContain('What this does not reach')
      const erased = (await json('audit', 'erase', account, her.did, 'key_unknown')) as {
        erased: unknown[]
        unknown: string[]
      }
      expect([erased.erased.length, erased.unknown]).toEqual([2, ['key_unknown']])

      // A node that runs sees it at once.
      expect(await get(made.secret, `/v1/responses/${hers.id}`)).toBe(401)
      expect(await get(other.secret, `/v1/responses/${his.id}`)).toBe(200)
      expect(await traces(dataDir, planted)).toEqual([])
      const list = (await json('keys', 'list')) as unknown as { name: string }[]
      expect(list.map((key) => key.name)).toEqual(['somebody else'])
      expect(
        (await runMain(['audit', 'export', alice, '--out', join(folder, 'x'), '--data-dir', dataDir])).stderr
      ).toContain('nothing is kept here')

      // And all proofs hold: of the log, and of what was handed out before.
      const key = String(before['key'])
      for (const file of [proofs, bundle, accountBundle, receipt])
        expect(await json('audit', 'verify', file, '--key', key)).toMatchObject({ valid: true, key })
      const tiles = join(folder, 'tiles')
      await run('audit', 'export', '--tiles', tiles)
      const after = await json('audit', 'verify', '--tiles', tiles, '--key', key)
      expect(after).toMatchObject({ valid: true, size: 10, origin: before['origin'] })
      expect(await traces(tiles, planted)).toEqual([])
      await node.stop()
      node = undefined
      expect(await traces(dataDir, planted)).toEqual([])
      expect(await json('audit', 'verify')).toMatchObject({ valid: true, size: 10 })
    }
  )
})

test('the search finds a text in every shape', async () => {
  const place = join(folder, 'planted')
  for (const shape of shapesOf(name)) {
    await writeFile(place, Buffer.concat([Buffer.from('before '), shape, Buffer.from(' after')]))
    expect(await traces(folder, [name])).toContain(`planted: ${name}`)
  }
  for (const around of ['', 'a', 'ab', 'abc']) {
    await writeFile(place, Buffer.from(`${around}${name}${around}`).toString('base64'))
    expect(await traces(folder, [name])).toContain(`planted: ${name}`)
  }
  await rm(place)
})

test('who is known by several spellings is one, and what was kept in the clear goes too', async () => {
  const dir = join(folder, 'names')
  const { did, peerId } = createIdentity({ seed: new Uint8Array(32).fill(9) })
  await appendAudit(dir, { kind: 'meter/read', subject: `did:peer:${peerId}`, data: { note } })
  await appendAudit(dir, { kind: 'meter/read', subject: `${did}#key`, data: { note } })
  const old = createFileStore({ path: join(dir, 'issuer.log') })
  await old.put(`given/UptimeCredential/${did}`, new TextEncoder().encode(JSON.stringify({ did })))
  await old[Symbol.asyncDispose]()
  // And what was deleted by a process that was killed before it wrote the file anew.
  const killed = createFileStore({ path: join(dir, 'answers.log') })
  await killed.put('old', new TextEncoder().encode(note))
  await killed.delete('old')
  await killed[Symbol.asyncDispose]()
  const { status, stdout } = await runMain(['audit', 'erase', peerId, '--json', '--data-dir', dir])
  expect([status, JSON.parse(stdout)]).toMatchObject([0, { erased: [{ subject: did, entries: 2 }] }])
  expect(await traces(dir, [did, peerId, note])).toEqual([])
})

test('what is about several is given to each of them, and goes with each', async () => {
  const dir = join(folder, 'several')
  const about = (...ids: string[]): Credential => ({
    '@context': ['https://www.w3.org/ns/credentials/v2', { nick: 'https://example.org/nick' }],
    type: ['VerifiableCredential'],
    issuer: alice,
    credentialSubject: ids.map((id) => ({ id, nick: `nick of ${id}` }))
  })
  const credentials = openCredentials(dir)
  for (const ids of [
    ['AdaQuixwold', 'BeaQuixwold', 'AdaQuixwold'],
    ['BeaQuixwold', 'CaiQuixwold'],
    ['AdaQuixwold'],
    ['kwaai:log', 'CaiQuixwold']
  ])
    await credentials.keep(about(...ids), 'imported')
  const left = async (): Promise<string[]> =>
    (await credentials.list())
      .map(({ credential }) => [credential.credentialSubject].flat() as { id: string }[])
      .map((subjects) => subjects.map(({ id }) => id).join())
      .toSorted()
  const forget = async (...names: string[]): Promise<string[]> => {
    const args = ['audit', 'erase', ...names, '--json', '--data-dir', dir]
    const { status, stdout, stderr } = await runMain(args)
    expect(status, stderr).toBe(0)
    expect(JSON.parse(stdout)).toMatchObject({ erased: names.map((subject) => ({ subject })) })
    return left()
  }
  const out = join(folder, 'of BeaQuixwold')
  expect((await runMain(['audit', 'export', 'BeaQuixwold', '--out', out, '--data-dir', dir])).status).toBe(0)
  const bundle = (await readFile(out)).toString()
  expect(bundle.match(/nick of (Ada|Cai)/g)?.toSorted()).toEqual([
    'nick of Ada',
    'nick of Ada',
    'nick of Cai'
  ])
  expect(await forget('BeaQuixwold')).toEqual(['AdaQuixwold', 'kwaai:log,CaiQuixwold'])
  expect(await forget('CaiQuixwold', 'AdaQuixwold')).toEqual([])
  expect(await traces(dir, ['AdaQuixwold', 'BeaQuixwold', 'CaiQuixwold', 'nick of'])).toEqual([])
  await credentials.close()
})

test('whoever is forgotten gets a receipt, also where it is asked for in no file and another name fails', async () => {
  const dir = join(folder, 'receipts')
  const names = ['AdaQuixwold', 'BeaQuixwold', 'CaiQuixwold', 'DanQuixwold']
  for (const subject of names) await appendAudit(dir, { kind: 'meter/read', subject, data: { note } })
  const key = String(
    (JSON.parse((await runMain(['audit', '--json', '--data-dir', dir])).stdout) as { key: string }).key
  )
  const told = async (...args: string[]): Promise<[number, string[]]> => {
    const { status, stdout, stderr } = await runMain(['audit', 'erase', ...args, '--data-dir', dir])
    const receipts = [...`${stdout}${stderr}`.matchAll(/^The receipt of (\w+) .* ([\w+/]+=*)$/gm)]
    for (const [, , text] of receipts) {
      const file = join(folder, 'receipt')
      await writeFile(file, Buffer.from(text as string, 'base64'))
      expect(await json('audit', 'verify', file, '--key', key)).toMatchObject({ valid: true })
    }
    return [status, receipts.map(([, subject]) => subject as string)]
  }
  expect(await told('AdaQuixwold')).toEqual([0, ['AdaQuixwold']])
  // The log's own name is nobody's, and too long a one is none; BeaQuixwold is forgotten by then.
  expect(await told('BeaQuixwold', 'kwaai:log')).toEqual([1, ['BeaQuixwold']])
  expect(await told('CaiQuixwold', 'x'.repeat(600))).toEqual([1, ['CaiQuixwold']])
  // Nor is it lost where one file cannot be written anew; the others are all the same.
  for (const name of ['answers.log', 'issuer.log']) {
    await using store = createFileStore({ path: join(dir, name) })
    await store.put('old', new TextEncoder().encode(note))
    await store.delete('old')
  }
  await mkdir(join(dir, 'answers.log.new'))
  expect(await told('DanQuixwold')).toEqual([1, ['DanQuixwold']])
  expect(await traces(dir, [...names, note])).toEqual([`answers.log: ${note}`])
  await rm(join(dir, 'answers.log.new'), { recursive: true })
  expect(await told('DanQuixwold')).toEqual([1, []])
  expect(await traces(dir, [...names, note])).toEqual([])
})

test('what is done with keys, grants and credentials is told to the log', async () => {
  const dir = join(folder, 'told')
  const issue = ['vc', 'issue', '--type', 'MemberCredential', '--subject', alice, '--claim', 'memberOf=x']
  const commands = [['grant', 'create', bob], ['identity', 'export'], issue]
  for (const args of commands) expect((await runMain([...args, '--json', '--data-dir', dir])).status).toBe(0)
  const listed = await runMain(['vc', 'list', '--json', '--data-dir', dir])
  const [{ id }] = JSON.parse(listed.stdout) as [{ id: string }]
  const [given] = JSON.parse((await runMain(['grant', 'list', '--json', '--data-dir', dir])).stdout) as [
    { id: string }
  ]
  const shown = ['--challenge', 'c', '--domain', 'example.org', '--for-others']
  for (const args of [
    ['vc', 'present', id, ...shown],
    ['grant', 'show', given.id, '--keep']
  ])
    expect((await runMain([...args, '--json', '--data-dir', dir])).status).toBe(0)
  await using audit = openAudit(dir)
  const kinds = await Promise.all([0, 1, 2, 3, 4].map(async (at) => (await audit.log.entry(at)).record.kind))
  const [made, exported, issued, presented, received] = kinds
  expect([made, received]).toEqual(['grant/made', 'grant/received'])
  expect([exported, issued, presented]).toEqual([
    'identity/exported',
    'credential/issued',
    'credential/presented'
  ])
})

describe('kwaai audit', () => {
  test('sees a log that was exported and then changed', async () => {
    const key = String((await json('audit', 'verify'))['key'])
    const tiles = join(folder, 'changed')
    await run('audit', 'export', '--tiles', tiles)
    const [first] = [...(await filesBelow(tiles))].filter(([path]) => path.includes('entries'))
    const [path, bytes] = first as [string, Buffer]
    const at = bytes.indexOf('"kind":"') + 8
    // Another letter: the record is one still, and not the one that was signed.
    bytes[at] = bytes[at] === 0x61 ? 0x62 : 0x61
    await writeFile(join(tiles, path), bytes)
    const args = ['audit', 'verify', '--tiles', tiles, '--key', key, '--data-dir', dataDir]
    const told = await runMain(args)
    expect([told.status, told.stderr]).toEqual([1, expect.stringContaining('not of its entries')])
    const { status, stdout } = await runMain([...args, '--json'])
    expect([status, JSON.parse(stdout)]).toMatchObject([1, { valid: false, code: 'ERR_AUDIT_NOT_INCLUDED' }])
  })

  test('holds a log against a checkpoint from before', async () => {
    const seen = join(folder, 'seen')
    const tiles = join(folder, 'earlier')
    await run('audit', 'export', '--tiles', tiles)
    await writeFile(seen, await readFile(join(tiles, 'checkpoint')))
    const { size } = parseCheckpoint(parseNote(await readFile(seen)).text)
    expect(await json('audit', 'verify', '--seen', seen)).toMatchObject({ valid: true, size })
    expect(await json('keys', 'create', 'one more')).toBeDefined()
    expect(await json('audit', 'verify', '--seen', seen)).toMatchObject({ valid: true, size: size + 1 })
  })

  test('refuses what makes no sense, in a sentence', async () => {
    const cases: [string[], string][] = [
      [['forget'], 'Cannot understand'],
      [['prove'], 'name the place'],
      [['prove', 'first'], 'a whole number'],
      [['export'], 'name either'],
      [['export', alice], 'give --out'],
      [['erase'], 'Cannot erase nobody']
    ]
    for (const [args, words] of cases) {
      const { status, stderr } = await runMain(['audit', ...args, '--data-dir', dataDir])
      expect([status, stderr]).toEqual([2, expect.stringContaining(words)])
    }
    const missing = await runMain(['audit', 'erase', 'nobody', '--json', '--data-dir', dataDir])
    expect([missing.status, missing.stderr]).toEqual([1, expect.stringContaining('nothing is kept here')])
    const told = { code: 'ERR_AUDIT_NOT_FOUND', message: expect.stringContaining('nothing is kept here') }
    expect(JSON.parse(missing.stdout)).toEqual(told)
    // A file without an end is not read to its end.
    const endless = await runMain(['audit', 'verify', '/dev/zero', '--data-dir', dataDir])
    expect([endless.status, endless.stderr]).toEqual([1, expect.stringContaining('it is above')])
  })
})

test('answers that an older version kept in the clear are sealed, and the clear ones are gone', async () => {
  const dir = join(folder, 'older')
  const old = createFileStore({ path: join(dir, 'answers.log') })
  const key = `api/responses/value/${Buffer.from('key_1').toString('hex')}/resp_1`
  await old.put(key, new TextEncoder().encode(question))
  await old[Symbol.asyncDispose]()
  expect(await traces(dir, [question])).toHaveLength(1)
  await using sealed = openSealedFile(dir, 'answers.log', answerScopes)
  await sealed.takeOver()
  expect(await traces(dir, [question, 'key_1'])).toEqual([])
  expect(Buffer.from((await sealed.get(key)) ?? []).toString()).toBe(question)
})
