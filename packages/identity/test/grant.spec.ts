import { describe, expect, test } from 'vitest'
import { canonicalizeJson, seal } from '../src/index.ts'
import { decodeBundle, encodeBundle, envelopeId } from '../src/grant/bundle.ts'
import {
  coversCommand,
  createGrant,
  createInvocation,
  createRevocation,
  createReplayGuard,
  delegateGrant,
  GRANT_CONTEXT,
  grantFromText,
  grantToText,
  INVOCATION_CONTEXT,
  isCommand,
  MAX_GRANT_CHAIN,
  readGrant,
  type Grant
} from '../src/grant/index.ts'
import { createMemoryStore } from '@kwaai/interface/memory'
import { createOwner, random, someone } from './grant-kit.ts'

const owner = createOwner()
const { clock } = owner
const node = owner.identity
const [alice, bob, carol, mallory] = [someone(2), someone(3), someone(4), someone(5)] as const
const exp = owner.now() + 3600
const components = { clock, random }
const invalid = expect.objectContaining({ code: 'ERR_IDENTITY_INVALID_GRANT' })

const toAlice = await createGrant(node, { aud: alice.did, cmd: '/shard', exp }, { random })
const toBob = await delegateGrant(
  alice,
  toAlice,
  { aud: bob.did, cmd: '/shard/open', policy: [['<=', '.maxTokens', 100]] },
  { random }
)
const ask = (
  grant: Grant,
  signer = bob,
  args: Record<string, number> = { maxTokens: 64 }
): Promise<Uint8Array> =>
  createInvocation(signer, { grant, aud: node.did, cmd: '/shard/open', args }, components)

/** The bundle with its last envelope made anew from changed claims, by the signer. */
async function forged(
  bytes: Uint8Array,
  kind: 'grant' | 'invocation',
  signer: typeof node,
  change: (claims: Record<string, unknown>) => unknown
): Promise<Uint8Array> {
  const envelopes = decodeBundle(kind, bytes) as Uint8Array[]
  const claims = structuredClone(
    kind === 'grant'
      ? ((await readGrant(bytes)) as { grant: Grant }).grant.claims
      : (await owner.verify(bytes, { replays: 'unchecked' })).claims
  ) as unknown as Record<string, unknown>
  const changed = change(claims)
  const text = typeof changed === 'string' ? changed : canonicalizeJson(changed)
  const context = kind === 'grant' ? GRANT_CONTEXT : INVOCATION_CONTEXT
  envelopes[envelopes.length - 1] = await seal(signer, context, new TextEncoder().encode(text))
  return encodeBundle(kind, envelopes)
}

describe('a grant', () => {
  test('leads from the owner to whoever asks, as bytes and as text', async () => {
    const shown = await ask(toBob)
    const { ok, checks, claims, chain } = await owner.verify(grantToText(shown), { command: '/shard/open' })
    expect(checks.filter((check) => !check.ok)).toEqual([])
    expect(ok).toBe(true)
    expect(checks.map(({ name }) => name)).toEqual([
      'structure',
      'signature',
      'chain',
      'audience',
      'subject',
      'invoker',
      'command',
      'arguments',
      'policy',
      'time',
      'revocation',
      'replay'
    ])
    expect(claims).toMatchObject({ iss: bob.did, aud: node.did, sub: node.did, prf: [toBob.id] })
    expect(chain?.map(({ id }) => id)).toEqual([toAlice.id, toBob.id])
    const text = grantToText(toBob)
    expect(text).toMatch(/^[\w-]+$/)
    expect(grantFromText(text)).toEqual(toBob.bytes)
    expect(await readGrant(` ${text}\n`)).toEqual({ ok: true, grant: toBob })
  })

  test('is not needed by the owner, and of no use to others than its audience', async () => {
    const own = await createInvocation(node, { aud: node.did, cmd: '/shard/open' }, components)
    expect(await owner.judge(own)).toBe('ok')
    await expect(ask(toBob, mallory)).rejects.toEqual(invalid)
    const foreign = await createInvocation(mallory, { aud: node.did, cmd: '/shard/open' }, components)
    expect(await owner.judge(foreign)).toBe('SUBJECT_OTHER')
  })

  test.each<[string, Parameters<typeof createGrant>[1]]>([
    ['a foreign kind of name', { aud: 'did:web:example.org', cmd: '/a', exp }],
    ['a command without slash', { aud: bob.did, cmd: 'shard/open', exp }],
    ['a command with an empty segment', { aud: bob.did, cmd: '/shard//open', exp }],
    ['a command that ends in a slash', { aud: bob.did, cmd: '/shard/', exp }],
    ['a command in capitals', { aud: bob.did, cmd: '/Shard', exp }],
    ['a time with a fraction', { aud: bob.did, cmd: '/a', exp: exp + 0.5 }],
    ['no end', { aud: bob.did, cmd: '/a', exp: null as never }],
    ['a policy that is none', { aud: bob.did, cmd: '/a', exp, policy: [['near', '.a', 1]] as never }]
  ])('is not made with %s', async (_, init) => {
    await expect(createGrant(node, init)).rejects.toEqual(invalid)
  })

  test('that is not made says how it should be', async () => {
    const why = (init: object): Promise<string> =>
      createGrant(node, { aud: bob.did, cmd: '/a', exp, ...init }).then(
        () => 'ok',
        (error: Error) => error.message
      )
    expect(await why({ cmd: 'shard/open' })).toContain('such as /shard/open')
    for (const time of [exp + 0.5, exp * 1000]) {
      expect(await why({ exp: time })).toContain('seconds since 1970 (not milliseconds)')
    }
    expect(await why({ policy: { maxTokens: 1 } })).toContain('a policy is a list of statements')
    expect(await why({ policy: ['==', '.a', 1] })).toContain('a statement is no list, such as')
    expect(await why({ policy: [['==', 'a', 1]] })).toContain('begins with a dot')
  })

  test('hands on no more than it gives', async () => {
    const cut = (init: Partial<Parameters<typeof delegateGrant>[2]>, signer = alice): Promise<Grant> =>
      delegateGrant(signer, toAlice, { aud: bob.did, cmd: '/shard/open', ...init })
    await expect(cut({ cmd: '/' })).rejects.toEqual(invalid)
    await expect(cut({ cmd: '/shards' })).rejects.toEqual(invalid)
    await expect(cut({ exp: exp + 1 })).rejects.toEqual(invalid)
    await expect(cut({}, mallory)).rejects.toEqual(invalid)
    expect((await cut({})).claims.exp).toBe(exp)
  })

  test('has at most so many above it', async () => {
    let grant = await createGrant(node, { aud: node.did, cmd: '/', exp })
    for (let i = 1; i < MAX_GRANT_CHAIN; i++) {
      const signer = someone(20 + i)
      grant = await (i === 1
        ? createGrant(node, { aud: signer.did, cmd: '/', exp })
        : delegateGrant(someone(19 + i), grant, { aud: signer.did, cmd: '/' }))
    }
    grant = await delegateGrant(someone(19 + MAX_GRANT_CHAIN), grant, { aud: bob.did, cmd: '/' })
    expect(grant.chain).toHaveLength(MAX_GRANT_CHAIN)
    expect(await owner.judge(await ask(grant))).toBe('ok')
    await expect(delegateGrant(bob, grant, { aud: carol.did, cmd: '/' })).rejects.toEqual(invalid)
  })
})

test('commands cover whole segments', () => {
  expect(coversCommand('/', '/shard/open')).toBe(true)
  expect(coversCommand('/shard', '/shard')).toBe(true)
  expect(coversCommand('/shard', '/shard/open')).toBe(true)
  expect(coversCommand('/shard', '/shards')).toBe(false)
  expect(coversCommand('/shard/open', '/shard')).toBe(false)
  expect(isCommand('/')).toBe(true)
  expect(isCommand('/a/b-c/d.e_f')).toBe(true)
  for (const text of ['', '//', '/a/', 'a', '/a b', '/é', '/../a', `/${'a'.repeat(200)}`]) {
    expect(isCommand(text)).toBe(false)
  }
})

describe('an invocation is refused', () => {
  const judge = owner.judge

  test('for another audience, subject, invoker or command', async () => {
    const shown = await ask(toBob)
    expect(await judge(shown, { executor: carol.did, subjects: [node.did] })).toBe('AUDIENCE_OTHER')
    expect(await judge(shown, { subjects: [carol.did] })).toBe('SUBJECT_OTHER')
    expect(await judge(shown, { invoker: carol.did })).toBe('INVOKER_OTHER')
    expect(await judge(shown, { command: '/shard' })).toBe('COMMAND_NOT_COVERED')
    expect(await judge(shown, { command: '/shard/open/more' })).toBe('COMMAND_NOT_COVERED')
    const wide = await forged(shown, 'invocation', bob, (claims) => ({ ...claims, cmd: '/shard/close' }))
    expect(await judge(wide)).toBe('COMMAND_NOT_COVERED')
  })

  test('where its arguments are not those of the act, or do not satisfy a policy of the chain', async () => {
    expect(await judge(await ask(toBob, bob, { maxTokens: 101 }))).toBe('POLICY_NOT_SATISFIED')
    expect(await judge(await ask(toBob, bob, {}))).toBe('POLICY_NOT_SATISFIED')
    const shown = await ask(toBob)
    expect(await judge(shown, { args: { maxTokens: 65 } })).toBe('ARGUMENTS_DIFFER')
    expect(await judge(shown, { args: {} })).toBe('ARGUMENTS_DIFFER')
    // What is claimed counts for nothing where what is done is known.
    expect(await judge(await ask(toBob, bob, {}), { args: { maxTokens: 200 } })).toBe('POLICY_NOT_SATISFIED')
    expect(await judge(shown, { args: { maxTokens: 64, from: 0 } })).toBe('ok')
    const under = await delegateGrant(bob, toBob, {
      aud: carol.did,
      cmd: '/shard/open',
      policy: [['>', '.maxTokens', 0]]
    })
    expect(await judge(await ask(under, carol, { maxTokens: 500 }))).toBe('POLICY_NOT_SATISFIED')
    expect(await judge(await ask(under, carol, { maxTokens: 1 }))).toBe('ok')
  })

  test('before and after its time, and where it asks for too long', async () => {
    const early = await createGrant(node, { aud: bob.did, cmd: '/', exp, nbf: owner.now() + 10 })
    expect(await judge(await ask(early))).toBe('TIME_NOT_YET')
    const late = await ask(toBob)
    expect(await judge(late, { now: clock.now() + 60_000, replays: 'unchecked' })).toBe('ok')
    expect(await judge(late, { now: clock.now() + 60_001 })).toBe('TIME_OVER')
    expect(await judge(late, { now: Number.NaN })).toBe('TIME_OVER')
    const brief = await createGrant(node, { aud: bob.did, cmd: '/', exp: owner.now() - 1 })
    expect(await judge(await ask(brief))).toBe('TIME_OVER')
    const long = await createInvocation(
      bob,
      { grant: toBob, aud: node.did, cmd: '/shard/open', args: { maxTokens: 1 }, lifeS: 301 },
      components
    )
    expect(await judge(long)).toBe('TIME_TOO_LONG')
    // A grant may name a later end than the one above: the earlier one counts.
    const outliving = await forged(toBob.bytes, 'grant', alice, (claims) => ({ ...claims, exp: exp + 9999 }))
    const read = await readGrant(outliving)
    expect(read.ok && (await judge(await ask(read.grant), { now: (exp + 1) * 1000 }))).toBe('TIME_OVER')
  })

  test('the second time, however it is packed', async () => {
    const shown = await ask(toBob)
    expect(await judge(shown)).toBe('ok')
    expect(await judge(shown)).toBe('REPLAYED')
    const again = await forged(shown, 'invocation', bob, (claims) => ({
      ...claims,
      exp: (claims['exp'] as number) + 9
    }))
    expect(await judge(again)).toBe('REPLAYED')
    const racing = await ask(toBob)
    const outcomes = await Promise.all([judge(racing), judge(racing), judge(racing)])
    expect(outcomes.toSorted()).toEqual(['REPLAYED', 'REPLAYED', 'ok'])
  })

  test('where its chain is broken, whoever signs', async () => {
    const direct = await createGrant(node, { aud: bob.did, cmd: '/shard/open', exp })
    const [root] = decodeBundle('grant', toAlice.bytes) as [Uint8Array]
    const [, second] = decodeBundle('grant', toBob.bytes) as [Uint8Array, Uint8Array]
    const [other] = decodeBundle('grant', direct.bytes) as [Uint8Array]
    const last = (decodeBundle('invocation', await ask(toBob)) as Uint8Array[]).at(-1) as Uint8Array
    const packed = (...parts: Uint8Array[]): Promise<string> => judge(encodeBundle('invocation', parts))
    expect(await packed(root, second, last)).toBe('ok')
    expect(await packed(second, last)).toBe('CHAIN_BROKEN')
    expect(await packed(last)).toBe('CHAIN_BROKEN')
    expect(await packed(root, last)).toBe('CHAIN_BROKEN')
    expect(await packed(other, last)).toBe('CHAIN_BROKEN')
    expect(await packed(other, second, last)).toBe('CHAIN_BROKEN')
    expect(await packed(root, other, last)).toBe('CHAIN_BROKEN')
    // Everything is signed by whom it names, and still leads nowhere.
    const change = async (patch: Record<string, unknown>, signer = alice): Promise<string> => {
      const bytes = await forged(toBob.bytes, 'grant', signer, (claims) => ({ ...claims, ...patch }))
      const envelopes = decodeBundle('grant', bytes) as Uint8Array[]
      const id = envelopeId(envelopes.at(-1) as Uint8Array)
      const shown = await forged(await ask(toBob), 'invocation', bob, (claims) => ({ ...claims, prf: [id] }))
      return judge(
        encodeBundle('invocation', [...envelopes, decodeBundle('invocation', shown)?.at(-1) as Uint8Array])
      )
    }
    expect(await change({})).toBe('ok')
    expect(await change({ cmd: '/' })).toBe('CHAIN_BROKEN')
    expect(await change({ sub: mallory.did })).toBe('CHAIN_BROKEN')
    expect(await change({ aud: carol.did })).toBe('CHAIN_BROKEN')
    expect(await change({ iss: mallory.did }, mallory)).toBe('CHAIN_BROKEN')
    expect(await change({}, mallory)).toBe('SIGNATURE_INVALID')
    expect(await change({ prf: [] })).toBe('STRUCTURE_INVALID')
  })

  test('where a byte is changed, or a signature was made for another purpose', async () => {
    const shown = await ask(toBob)
    for (let at = 0; at < shown.length; at += 7) {
      const bad = shown.slice()
      bad[at] = (bad[at] as number) ^ 1
      expect(await judge(bad)).toMatch(/^(STRUCTURE_INVALID|SIGNATURE_INVALID|CHAIN_BROKEN)$/)
    }
    const envelopes = decodeBundle('invocation', shown) as Uint8Array[]
    expect(
      await judge(encodeBundle('invocation', [...envelopes.slice(0, -1), envelopes[1] as Uint8Array]))
    ).toBe('SIGNATURE_INVALID')
    expect(await judge(toBob.bytes)).toBe('STRUCTURE_INVALID')
    const revoked = await createRevocation(alice, toBob)
    expect(await judge(revoked)).toBe('STRUCTURE_INVALID')
  })

  test.each<[string, (claims: Record<string, unknown>) => unknown]>([
    ['a name twice', (claims) => canonicalizeJson(claims).replace('{', '{"cmd":"/","cmd":"/",')],
    ['__proto__', (claims) => canonicalizeJson(claims).replace('{', '{"__proto__":{},')],
    ['an unknown name', (claims) => ({ ...claims, admin: true })],
    ['a name less', (claims) => ({ ...claims, nonce: undefined })],
    ['a short nonce', (claims) => ({ ...claims, nonce: 'AAAA' })],
    ['arguments that are a list', (claims) => ({ ...claims, args: [] })],
    ['two proofs', (claims) => ({ ...claims, prf: [toBob.id, toAlice.id] })],
    ['no object', () => '[]'],
    ['no JSON', () => 'x'],
    ['a time that is text', (claims) => ({ ...claims, exp: '9' })],
    ['a time out of reach', (claims) => ({ ...claims, exp: 1e15 })]
  ])('with %s in what it says', async (_, change) => {
    expect(await judge(await forged(await ask(toBob), 'invocation', bob, change))).toBe('STRUCTURE_INVALID')
  })

  test('for bytes that are none', async () => {
    for (const bytes of [
      '',
      'AA',
      '!',
      new Uint8Array(0),
      Uint8Array.of(2),
      Uint8Array.of(2, 0, 0),
      Uint8Array.of(2, 0, 9, 1),
      new Uint8Array(100_000).fill(2)
    ]) {
      expect(await judge(bytes)).toBe('STRUCTURE_INVALID')
      expect((await readGrant(bytes)).ok).toBe(false)
    }
  })
})

describe('a guard against replays', () => {
  test('refuses rather than forgets, and forgets what is over', async () => {
    const small = createReplayGuard({ maxEntries: 2 }, { store: createMemoryStore(), clock })
    const judge = async (): Promise<string> => owner.judge(await ask(toBob), { replays: small })
    expect([await judge(), await judge(), await judge()]).toEqual(['ok', 'ok', 'REPLAY_GUARD_FULL'])
    await clock.advance(61_000)
    expect([await judge(), await judge(), await judge()]).toEqual(['ok', 'ok', 'REPLAY_GUARD_FULL'])
  })

  test('remembers what another one over the same store took', async () => {
    const store = createMemoryStore()
    const shown = await ask(toBob)
    const judge = (): Promise<string> =>
      owner.judge(shown, { replays: createReplayGuard({ maxEntries: 2 }, { store, clock }) })
    expect([await judge(), await judge()]).toEqual(['ok', 'REPLAYED'])
  })
})
