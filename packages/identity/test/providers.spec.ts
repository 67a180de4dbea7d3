import type { IdentityProvider } from '@kwaai/interface'
import { createMemoryStore } from '@kwaai/interface/memory'
import { createFakeClock, createSeededRandom, identityProviderSuite, type FakeClock } from '@kwaai/testing'
import { describe, expect, test } from 'vitest'
import {
  answerKeyChallenge,
  createEmailLinkProvider,
  createKeyProvider,
  createPasskeyProvider,
  normalizeAddress,
  type CeremonyComponents,
  type EmailLinkInit,
  type EmailLinkMessage,
  type PasskeyProvider
} from '../src/passkey/index.ts'
import { someone } from './grant-kit.ts'
import { createSoftAuthenticator, type Deviation, type SoftAuthenticator } from './soft-authenticator.ts'

const audience = 'example.org'
const origin = 'https://example.org'
const [alice, bob] = [someone(2), someone(3)] as const

function parts(): CeremonyComponents & { clock: FakeClock } {
  return { store: createMemoryStore(), clock: createFakeClock(), random: createSeededRandom('providers') }
}

describe.each(['anonymous', 'did'] as const)('keys, level %s', (level) => {
  identityProviderSuite(test, {
    async create() {
      const components = parts()
      const person = (
        who: typeof alice
      ): { account: string; answer: (c: { ask: unknown }) => Promise<unknown> } => ({
        account: who.did,
        answer: (challenge) => answerKeyChallenge(who, audience, challenge.ask)
      })
      return {
        provider: createKeyProvider({ level, audience }, components),
        alice: person(alice),
        bob: person(bob),
        advance: (ms) => components.clock.advance(ms)
      }
    }
  })
})

// oxlint-disable-next-line typescript/explicit-function-return-type
function mailer(init: Partial<EmailLinkInit> = {}) {
  const components = parts()
  const mails: EmailLinkMessage[] = []
  const provider = createEmailLinkProvider(
    { audience, ...init },
    {
      ...components,
      secret: new Uint8Array(32).fill(9),
      signer: someone(1),
      send: async (message) => void mails.push(message)
    }
  )
  return { provider, mails, ...components }
}

describe('links by email', () => {
  identityProviderSuite(test, {
    async create() {
      const { provider, mails, clock } = mailer({ maxMails: 8 })
      const person = (
        who: typeof alice,
        address: string
      ): Parameters<typeof identityProviderSuite>[1] extends { create(): Promise<{ alice: infer P }> }
        ? P
        : never => ({
        account: who.did,
        enterName: address,
        linkName: address,
        // Each reads what came last.
        answer: async () => ({ token: mails.findLast(({ to }) => to === address)?.token })
      })
      return {
        provider,
        alice: person(alice, 'alice@example.com'),
        bob: person(bob, 'bob@example.com'),
        advance: (ms) => clock.advance(ms)
      }
    }
  })

  const begin = async (provider: IdentityProvider, name: string): Promise<string> => {
    const begun = await provider.begin({ purpose: 'enter', name })
    return begun.ok ? begun.challenge.ceremony : begun.code
  }

  test('know an address in all its spellings, and keep it nowhere', async () => {
    const { provider, mails, store } = mailer()
    const names: string[] = []
    for (const spelling of ['Alice@Example.COM', ' alice@example.com ']) {
      const outcome = await provider.finish(await begin(provider, spelling), { token: mails.at(-1)?.token })
      names.push(outcome.ok ? outcome.name : outcome.code)
    }
    await begin(provider, 'alice@example.com')
    expect(names[0]).toMatch(/^[\w-]{43}$/)
    expect(names[1]).toBe(names[0])
    expect(mails.map(({ to }) => to)).toEqual(Array.from({ length: 3 }, () => 'alice@example.com'))
    for await (const [key, value] of store.entries()) {
      const kept = `${key} ${new TextDecoder().decode(value)}`
      expect(kept.toLowerCase()).not.toContain('alice')
      for (const { token } of mails) expect(kept).not.toContain(token)
    }
  })

  test('need the ceremony and the token both, and allow few guesses', async () => {
    const { provider, mails } = mailer()
    const ceremony = await begin(provider, 'alice@example.com')
    const { token } = mails[0] as EmailLinkMessage
    expect(await provider.finish('A'.repeat(22), { token })).toMatchObject({ code: 'CEREMONY_UNKNOWN' })
    expect(await provider.finish(ceremony, { token: `A${token.slice(1)}` })).toMatchObject({
      code: 'PROOF_INVALID'
    })
    expect(await provider.finish(ceremony, { token })).toMatchObject({ ok: true })
    const other = await begin(provider, 'alice@example.com')
    for (let i = 0; i < 5; i++) {
      expect(await provider.finish(other, { token })).toMatchObject({ code: 'PROOF_INVALID' })
    }
    expect(await provider.finish(other, { token: mails[1]?.token })).toMatchObject({
      code: 'CEREMONY_UNKNOWN'
    })
  })

  test('are sent so often an hour to one address, and are under way so many at once', async () => {
    const { provider, mails, clock } = mailer({ maxMails: 2 })
    const codes: string[] = []
    for (let i = 0; i < 3; i++) codes.push(await begin(provider, 'alice@example.com'))
    expect(codes[2]).toBe('TOO_MANY')
    expect(await begin(provider, 'alice+more@example.com')).toBe('TOO_MANY')
    expect(mails).toHaveLength(2)
    expect(await begin(provider, 'bob@example.com')).not.toBe('TOO_MANY')
    await clock.advance(3_601_000)
    expect(await begin(provider, 'alice@example.com')).not.toBe('TOO_MANY')
    const full = mailer({ maxCeremonies: 1 })
    await begin(full.provider, 'alice@example.com')
    expect(await begin(full.provider, 'bob@example.com')).toBe('TOO_MANY')
    expect(full.mails).toHaveLength(1)
  })

  test.each([
    ['alice@example.com', 'alice@example.com'],
    ['  ALICE+news@Example.Com ', 'alice+news@example.com'],
    ['alice@münchen.example', 'alice@xn--mnchen-3ya.example'],
    ['Zoe\u0308@example.com', 'zo\u00eb@example.com']
  ])('%j is an address', (given, expected) => expect(normalizeAddress(given)).toBe(expected))

  test.each([
    '',
    'alice',
    '@example.com',
    'alice@',
    'a@b@example.com',
    'alice@localhost',
    'alice@127.0.0.1',
    'alice@127.1',
    'alice@[::1]',
    'alice@example.com/x',
    'alice@example.com:25',
    'a b@example.com',
    '"a"@example.com',
    'a@example.com\r\nBcc: bob@example.com',
    'a\u0000@example.com',
    '.a@example.com',
    'a..b@example.com',
    'a@-example.com',
    'a@example..com',
    'a@%65xample.com',
    `${'a'.repeat(65)}@example.com`,
    `a@${'b'.repeat(250)}.com`,
    '\ud800@example.com',
    7
  ])('%j is none', (given) => expect(normalizeAddress(given)).toBeUndefined())
})

async function register(
  provider: PasskeyProvider,
  device: SoftAuthenticator,
  account: string,
  deviation?: Deviation
): Promise<string> {
  const begun = await provider.beginRegistration({ account, label: 'a key' })
  if (!begun.ok) return begun.code
  const { ceremony, ask } = begun.challenge
  const outcome = await provider.finishRegistration(ceremony, device.make(ask, deviation))
  return outcome.ok ? outcome.did : outcome.code
}

describe('passkeys', () => {
  const provide = (components: CeremonyComponents = parts()): PasskeyProvider =>
    createPasskeyProvider({ rpId: audience, rpName: 'Example', origins: [origin] }, components)

  identityProviderSuite(test, {
    async create() {
      const components = parts()
      const provider = provide(components)
      const person = async (
        who: typeof alice,
        seed: number
      ): Promise<{
        account: string
        linkName: string
        answer: (c: { ask: unknown }) => Promise<unknown>
      }> => {
        const device = createSoftAuthenticator(seed, origin)
        await register(provider, device, who.did)
        const link = await provider.begin({
          purpose: 'link',
          name: device.id,
          account: who.did,
          statement: new Uint8Array(32)
        })
        if (link.ok) await provider.finish(link.challenge.ceremony, device.use(link.challenge.ask))
        return { account: who.did, linkName: device.id, answer: async ({ ask }) => device.use(ask) }
      }
      return {
        provider,
        alice: await person(alice, 7),
        bob: await person(bob, 8),
        advance: (ms) => components.clock.advance(ms)
      }
    }
  })

  test('have a did:key of P-256, and are registered once', async () => {
    const provider = provide()
    const device = createSoftAuthenticator(7, origin)
    expect(await register(provider, device, alice.did)).toMatch(/^did:key:zDn/)
    expect(await register(provider, device, bob.did)).toBe('PROOF_INVALID')
  })

  test('that are not linked are forgotten', async () => {
    const components = parts()
    const provider = provide(components)
    const device = createSoftAuthenticator(7, origin)
    await register(provider, device, alice.did)
    const enter = async (): Promise<unknown> => {
      const begun = await provider.begin({ purpose: 'enter' })
      const { ceremony, ask } = (begun as { challenge: { ceremony: string; ask: unknown } }).challenge
      return provider.finish(ceremony, device.use(ask))
    }
    // To have come in with one does not make it stay.
    expect(await enter()).toMatchObject({ ok: true })
    await components.clock.advance(601_000)
    // What is over makes room when something comes.
    await register(provider, createSoftAuthenticator(8, origin), alice.did)
    expect(await enter()).toMatchObject({ code: 'PROOF_INVALID' })
  })

  test.each<[string, Deviation]>([
    ['another origin', { origin: 'https://example.com' }],
    ['an origin below', { origin: 'https://a.example.org' }],
    ['another relying party', { rpId: 'example.com' }],
    ['another challenge', { challenge: 'AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA' }],
    ['another kind of answer', { type: 'webauthn.attest' }],
    ['nobody present', { flags: 0x44 }],
    ['nobody verified', { flags: 0x41 }]
  ])('are not accepted with %s, when made and when used', async (_, deviation) => {
    const provider = provide()
    const device = createSoftAuthenticator(7, origin)
    expect(await register(provider, device, alice.did, deviation)).toBe('PROOF_INVALID')
    expect(await register(provider, device, alice.did)).toMatch(/^did:key:/)
    const linking = {
      purpose: 'link',
      name: device.id,
      account: alice.did,
      statement: new Uint8Array(32)
    } as const
    const use = async (
      how: Deviation,
      request: Parameters<typeof provider.begin>[0] = { purpose: 'enter' }
    ): Promise<unknown> => {
      const begun = await provider.begin(request)
      const { ceremony, ask } = (begun as { challenge: { ceremony: string; ask: unknown } }).challenge
      const outcome = await provider.finish(ceremony, device.use(ask, how))
      return outcome.ok ? 'ok' : outcome.code
    }
    const { flags, ...rest } = deviation
    expect(await use({ ...rest, ...(flags === undefined ? {} : { flags: flags & 0x05 }) })).toBe(
      'PROOF_INVALID'
    )
    expect(await use({}, linking)).toBe('ok')
    // A counter that goes back is a copy of the key.
    expect(await use({ counter: 1 })).toBe('PROOF_INVALID')
    expect(await use({ counter: 900 })).toBe('ok')
    expect(await use({ counter: 900 })).toBe('PROOF_INVALID')
  })

  test('are linked to the account that registered them alone', async () => {
    const provider = provide()
    const device = createSoftAuthenticator(7, origin)
    const other = createSoftAuthenticator(8, origin)
    await register(provider, device, alice.did)
    await register(provider, other, alice.did)
    const link = async (account: string, with_: SoftAuthenticator): Promise<string> => {
      const begun = await provider.begin({
        purpose: 'link',
        name: device.id,
        account,
        statement: new Uint8Array(32)
      })
      if (!begun.ok) return begun.code
      const outcome = await provider.finish(begun.challenge.ceremony, with_.use(begun.challenge.ask))
      return outcome.ok ? 'ok' : outcome.code
    }
    expect(await link(bob.did, device)).toBe('PROOF_INVALID')
    expect(await link(alice.did, other)).toBe('PROOF_INVALID')
    expect(await link(alice.did, device)).toBe('ok')
  })
})
