import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Credential, Presentation } from '@kwaai/identity/vc'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import legacy from '../../identity/test/vectors/kwaai-legacy.json' with { type: 'json' }
import type { KeptCredential } from '../src/credentials/credential-folder.ts'
import { runMain, type MainResult } from './run-main.ts'

const statusUrl = 'https://issuer.example.org'
let root: string
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'kwaai-vc-'))
})
afterEach(() => rm(root, { recursive: true, force: true }))

const vc = (who: string, args: readonly string[], input?: string): Promise<MainResult> =>
  runMain(['vc', ...args, '--data-dir', join(root, who)], input === undefined ? {} : { input })

async function ok<T>(who: string, args: readonly string[], input?: string): Promise<T> {
  const result = await vc(who, [...args, '--json'], input)
  expect(result.status, result.stderr).toBe(0)
  return JSON.parse(result.stdout) as T
}

async function didOf(who: string): Promise<string> {
  // The key is made by whatever needs it first.
  const made = await ok<Credential>(who, ['issue', '-', '--no-status'], JSON.stringify(bare))
  return made.issuer as string
}

const bare = {
  '@context': ['https://www.w3.org/ns/credentials/v2', 'https://www.w3.org/ns/credentials/examples/v2'],
  type: ['VerifiableCredential'],
  credentialSubject: { role: 'librarian' }
}

async function member(subject: string, ...more: string[]): Promise<Credential> {
  const args = [
    'issue',
    '--type',
    'MemberCredential',
    '--subject',
    subject,
    '--claim',
    'memberOf=Kwaai',
    ...more
  ]
  return ok<Credential>('issuer', args)
}

describe('what is issued', () => {
  test('verifies, every check by name, and is kept', async () => {
    const alice = await didOf('alice')
    const credential = await member(alice, '--expires', '30d')
    const text = await vc('alice', ['verify', '-'], JSON.stringify(credential))
    expect(text.status).toBe(0)
    for (const name of ['structure', 'proof', 'controller', 'period', 'status', 'schema', 'issuerPolicy']) {
      expect(text.stdout).toMatch(new RegExp(`^ok +${name}$`, 'm'))
    }
    expect(text.stdout).toContain('memberOf Kwaai')
    const kept = await ok<KeptCredential[]>('issuer', ['list'])
    expect(kept.map((one) => one.credential)).toEqual([credential])
    expect(await ok<Credential>('issuer', ['show', (kept[0] as KeptCredential).id.slice(0, 8)])).toEqual(
      credential
    )
    expect((await vc('issuer', ['list'])).stdout).toContain(`about ${alice}`)
  })

  test('is what the schema of its type allows, and about somebody', async () => {
    const claims = ['--claim', 'interactionCount:=0']
    const bad = await vc('issuer', [
      'issue',
      '--type',
      'PeerEndorsementCredential',
      '--subject',
      legacy.subject,
      ...claims
    ])
    expect(bad).toMatchObject({ status: 1, stdout: '' })
    expect(bad.stderr).toContain('interactionCount')
    for (const args of [
      ['issue'],
      ['issue', '-', '--type', 'MemberCredential'],
      ['issue', '--type', 'MemberCredential', '--subject', 'nobody'],
      ['issue', '--type', 'MemberCredential', '--subject', legacy.subject, '--claim', 'memberOf'],
      ['frame']
    ]) {
      expect((await vc('issuer', args)).status, args.join(' ')).toBe(2)
    }
    expect(await ok<KeptCredential[]>('issuer', ['list'])).toEqual([])
  })

  test('of a file is signed as it stands, or not at all', async () => {
    const made = await ok<Credential>('issuer', ['issue', '-'], JSON.stringify(bare))
    expect(made.credentialSubject).toEqual(bare.credentialSubject)
    const foreign = await vc(
      'issuer',
      ['issue', '-'],
      JSON.stringify({ ...bare, issuer: 'did:key:z6MkOther' })
    )
    expect(foreign.status).toBe(1)
    const twice = await vc('issuer', ['issue', '-'], '{"type":[],"type":[]}')
    expect(twice.status).toBe(1)
    const cut = await vc('issuer', ['issue', '-'], '{"type":')
    expect(cut).toMatchObject({ status: 1, stdout: '' })
    expect(cut.stderr).toMatch(/^kwaai: Cannot read standard input: it is not JSON[^\n]*\n$/)
  })
})

describe('what is brought from elsewhere', () => {
  test('is kept where it holds, and not where it does not', async () => {
    const alice = await didOf('alice')
    const before = await ok<KeptCredential[]>('alice', ['list'])
    const credential = await member(alice)
    const changed = { ...credential, credentialSubject: { id: alice, memberOf: 'Everything' } }
    const refused = await vc('alice', ['import', '-'], JSON.stringify(changed))
    expect(refused).toMatchObject({ status: 1, stdout: '' })
    expect(refused.stderr).toContain('PROOF_INVALID_SIGNATURE')
    expect(await ok<KeptCredential[]>('alice', ['list'])).toEqual(before)
    const file = join(root, 'credential.json')
    await writeFile(file, JSON.stringify(credential))
    const believed = await vc('alice', ['import', file, '--issuer', alice])
    expect(believed.stderr).toContain('ISSUER_NOT_AUTHORIZED')
    const kept = await ok<KeptCredential>('alice', ['import', file, '--issuer', credential.issuer as string])
    expect(kept).toMatchObject({ origin: 'imported', credential })
    expect(await ok<KeptCredential[]>('alice', ['list'])).toEqual([...before, kept])
  })

  test('is told as legacy where it is of the existing network', async () => {
    const result = await vc('alice', ['verify', '-', '--json'], legacy.reordered)
    expect(JSON.parse(result.stdout)).toMatchObject({ kind: 'legacy', assurance: 'legacy', ok: true })
    expect((await vc('alice', ['import', '-'], legacy.signedByAnother)).stderr).toContain(
      'PROOF_INVALID_SIGNATURE'
    )
  })

  test('lies in files that their user alone can read', async () => {
    await member(legacy.subject)
    const folder = join(root, 'issuer')
    const files = (await readdir(folder)).filter((name) => name.endsWith('.log'))
    expect(files).toContain('credentials.log')
    const { stat } = await import('node:fs/promises')
    for (const name of files) expect((await stat(join(folder, name))).mode & 0o077, name).toBe(0)
    expect((await readFile(join(folder, 'credentials.log'))).length).toBeGreaterThan(0)
  })
})

test('a presentation is for one occasion, and of what is about its holder', async () => {
  const alice = await didOf('alice')
  const about = await member(alice)
  const { id } = await ok<KeptCredential>('alice', ['import', '-'], JSON.stringify(about))
  expect((await vc('alice', ['present', id])).status).toBe(2)
  const occasion = ['--challenge', 'c-1', '--domain', 'example.org']
  const shown = await ok<Presentation>('alice', ['present', id, ...occasion])
  const verified = await vc('bob', ['verify', '-', ...occasion], JSON.stringify(shown))
  expect(verified.status, verified.stdout).toBe(0)
  expect(verified.stdout).toContain(`Holder   ${alice}`)
  const elsewhere = ['verify', '-', '--challenge', 'c-2', '--domain', 'example.org']
  const replayed = await vc('bob', elsewhere, JSON.stringify(shown))
  expect(replayed.status).toBe(1)
  expect(replayed.stdout).toContain('PROOF_WRONG_CHALLENGE')
  const [issued] = await ok<KeptCredential[]>('issuer', ['list'])
  const foreign = await vc('issuer', ['present', (issued as KeptCredential).id, ...occasion])
  expect(foreign.stderr).toContain('--for-others')
})

describe('who is held to an occasion or a holder', () => {
  const occasion = ['--challenge', 'c-1', '--domain', 'example.org']

  test('is no answer with a bare credential, which everybody who saw it has', async () => {
    const about = JSON.stringify(await member(await didOf('alice')))
    for (const document of [about, legacy.reordered])
      for (const asked of [occasion.slice(0, 2), occasion.slice(2), occasion]) {
        const { status, stderr } = await vc('bob', ['verify', '-', ...asked], document)
        expect([status, stderr]).toEqual([1, expect.stringContaining('it is no presentation')])
      }
  })

  test('is the one who was named, whatever is shown', async () => {
    const [alice, carol] = [await didOf('alice'), await didOf('carol')]
    const about = await member(alice)
    const { id } = await ok<KeptCredential>('alice', ['import', '-'], JSON.stringify(about))
    const shown = await ok<Presentation>('alice', ['present', id, ...occasion])
    const cases: [document: string, more: string[], holder: string, code: string][] = [
      [JSON.stringify(about), [], alice, 'SUBJECT_NOT_HOLDER'],
      [JSON.stringify(shown), occasion, alice, 'HOLDER_NOT_SIGNER'],
      [legacy.reordered, [], legacy.subject, 'SUBJECT_NOT_HOLDER']
    ]
    for (const [document, more, holder, code] of cases) {
      const own = await vc('bob', ['verify', '-', ...more, '--holder', holder], document)
      expect(own.status, own.stdout + own.stderr).toBe(0)
      const other = await vc('bob', ['verify', '-', ...more, '--holder', carol], document)
      expect([other.status, other.stdout]).toEqual([1, expect.stringContaining(code)])
    }
  })
})

describe('what was issued with a status', () => {
  test('is suspended, stands again, and is revoked; the signed list says so at once', async () => {
    const credential = await member(legacy.subject, '--status-url', statusUrl)
    const [entry] = credential.credentialStatus as unknown as { statusListIndex: string }[]
    const index = Number(entry?.statusListIndex)
    const [{ id }] = (await ok<KeptCredential[]>('issuer', ['list'])) as [KeptCredential]
    const listed = async (purpose: string): Promise<number> => {
      const { readStatusList } = await import('@kwaai/identity/status')
      const list = await ok<Credential>('issuer', ['status-list', purpose])
      expect(list.id).toBe(`${statusUrl}/status/${purpose}`)
      return (await readStatusList((list.credentialSubject as { encodedList: string }).encodedList)).get(
        index
      )
    }
    expect(await listed('suspension')).toBe(0)
    expect(await ok('issuer', ['revoke', id, '--suspend'])).toMatchObject({
      index,
      purpose: 'suspension',
      value: true
    })
    expect(await listed('suspension')).toBe(1)
    await ok('issuer', ['revoke', id, '--resume'])
    expect(await listed('suspension')).toBe(0)
    expect(await listed('revocation')).toBe(0)
    await ok('issuer', ['revoke', id])
    expect(await listed('revocation')).toBe(1)
    // Nobody publishes it here, and what cannot be asked does not stand.
    const verified = await vc('alice', ['verify', '-', '--offline'], JSON.stringify(credential))
    expect(verified.stdout).toContain('STATUS_UNAVAILABLE')
    expect(verified.status).toBe(1)
  })

  test('names the place of the list, which does not change; without one it cannot be revoked', async () => {
    await member(legacy.subject)
    const [{ id }] = (await ok<KeptCredential[]>('issuer', ['list'])) as [KeptCredential]
    expect((await vc('issuer', ['revoke', id])).stderr).toContain('on no status list')
    expect((await vc('issuer', ['revoke', 'ffffffff'])).stderr).toContain('vc list')
    await member(legacy.subject, '--status-url', `${statusUrl}/`)
    const other = ['--type', 'MemberCredential', '--subject', legacy.subject, '--claim', 'memberOf=Kwaai']
    const moved = await vc('issuer', ['issue', ...other, '--status-url', 'https://elsewhere.example.org'])
    expect(moved).toMatchObject({ status: 2, stdout: '' })
    expect((await ok<Credential>('issuer', ['issue', ...other])).credentialStatus).toHaveLength(2)
  })
})

test('what two have to sign is signed by the second one', async () => {
  const controller = await didOf('controller')
  const node = await didOf('node')
  const args = [
    '--type',
    'BindingCredential',
    '--subject',
    node,
    '--claim',
    `boundTo=${controller}`,
    '--no-status'
  ]
  const half = await ok<Credential>('controller', ['issue', ...args])
  const both = await ok<Credential>('node', ['cosign', '-'], JSON.stringify(half))
  expect(both.proof).toHaveLength(2)
  const { verifyBinding } = await import('@kwaai/identity/vc')
  expect(await verifyBinding(both)).toMatchObject({ ok: true, controller, node })
  expect((await vc('controller', ['cosign', '-'], JSON.stringify(half))).stderr).toContain('not about')
})
