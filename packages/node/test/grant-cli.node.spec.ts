import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { GrantClaims } from '@kwaai/identity/grant'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { runMain, type MainResult } from './run-main.ts'

let root: string
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'kwaai-grant-'))
})
afterAll(() => rm(root, { recursive: true, force: true }))

interface Made {
  id: string
  claims: GrantClaims
  grant: string
}
type Row = { id: string; state: string; origin: string; claims: GrantClaims }

const run = (who: string, ...args: string[]): Promise<MainResult> =>
  runMain(['grant', ...args, '--data-dir', join(root, who)])
async function ok<T>(who: string, ...args: string[]): Promise<T> {
  const { status, stdout, stderr } = await run(who, ...args, '--json')
  expect(status, stderr).toBe(0)
  return JSON.parse(stdout) as T
}
const states = async (who: string): Promise<Record<string, string>> =>
  Object.fromEntries(
    (await ok<Row[]>(who, 'list')).map(({ id, state, origin }) => [id, `${origin} ${state}`])
  )
/** Whoever is given something for the first time makes a key by giving something to themselves. */
const didOf = async (who: string): Promise<string> => {
  const nobody = 'did:key:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK'
  return (await ok<Made>(who, 'create', nobody, '--expires', '1h')).claims.iss
}

describe('kwaai grant', () => {
  test('gives, hands on, shows, lists and takes back', async () => {
    const [alice, bob] = [await didOf('alice'), await didOf('bob')]
    const policy = [['<=', '.maxTokens', 4096]]
    const given = await ok<Made>(
      'node',
      'create',
      alice,
      '--cmd',
      '/shard',
      '--policy',
      JSON.stringify(policy),
      '--expires',
      '2d'
    )
    expect(given.claims).toMatchObject({ aud: alice, cmd: '/shard', policy, prf: [] })
    expect(given.claims.iss).toBe(given.claims.sub)
    expect(await ok('alice', 'show', given.grant, '--keep')).toMatchObject({
      id: given.id,
      state: 'holds',
      origin: 'received'
    })

    const cut = await ok<Made>('alice', 'create', bob, '--from', given.id.slice(0, 12))
    expect(cut.claims).toMatchObject({
      iss: alice,
      aud: bob,
      sub: given.claims.sub,
      exp: given.claims.exp,
      prf: [given.id]
    })
    const wider = await run('alice', 'create', bob, '--from', given.id, '--cmd', '/')
    expect(wider.status).toBe(1)
    expect(wider.stderr).toContain('it does not cover /')
    const text = (await run('bob', 'show', cut.grant)).stdout
    expect(text).toContain(`lets ${bob}`)
    expect(text).toContain('where [["<=",".maxTokens",4096]]')

    // Alice takes back what she gave; the node has to know of it.
    const mine = await ok<{ revoked: boolean; revocation: string }>('alice', 'revoke', cut.id)
    expect(mine.revoked).toBe(false)
    await ok('node', 'show', cut.grant, '--keep')
    expect((await states('node'))[cut.id]).toBe('received holds')
    expect(await ok('node', 'revoke', mine.revocation)).toEqual({ id: cut.id, revoked: true })
    expect(await states('node')).toEqual({ [given.id]: 'given holds', [cut.id]: 'received revoked' })
    expect((await run('node', 'revoke', given.id)).status).toBe(0)
    expect((await states('node'))[given.id]).toBe('given revoked')
    expect((await run('node')).stdout.trim().split('\n')).toHaveLength(2)
  })

  test('refuses what makes no sense, in a sentence', async () => {
    const alice = await didOf('alice')
    const { grant } = await ok<Made>('node', 'create', alice)
    const cases: [string[], number, string][] = [
      [['create'], 2, 'Cannot understand'],
      [['list', 'x'], 2, 'Cannot understand'],
      [['constructor', 'x'], 2, 'Cannot understand'],
      [['create', 'did:web:example.org'], 2, 'no peer id'],
      [['create', alice, '--cmd', 'Shard'], 2, 'lower-case segments'],
      [['create', alice, '--policy', '[["near",".a",1]]'], 2, 'unknown operator'],
      [['create', alice, '--policy', '{'], 2, 'no JSON'],
      [['create', alice, '--expires', '2001-01-01'], 2, 'a date in the future'],
      [['create', alice, '--controller'], 1, 'its key is not in'],
      [['show', 'AAAAAA'], 1, 'none that is kept'],
      [['show', grant.slice(0, -8)], 1, 'Cannot read the grant'],
      [['revoke', `Aw${grant.slice(2)}`], 1, 'Cannot take the revocation']
    ]
    for (const [args, status, words] of cases) {
      const result = await run('node', ...args)
      expect(result.status, args.join(' ')).toBe(status)
      expect(result.stderr).toContain(words)
      expect(result.stderr.trim().split('\n')).toHaveLength(1)
    }
    // Bob did not give it.
    await didOf('bob')
    expect((await run('bob', 'revoke', grant)).stderr).toContain('issued by somebody else')
    expect(
      (await runMain(['grant', 'show', '-', '--data-dir', join(root, 'bob')], { input: `${grant}\n` })).status
    ).toBe(0)
  })
})
