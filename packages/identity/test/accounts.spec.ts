import { keyValueStoreSuite } from '@kwaai/testing'
import { createMemoryStore } from '@kwaai/interface/memory'
import { base64url } from 'multiformats/bases/base64'
import { describe, expect, test } from 'vitest'
import { open, parseJson, type Identity, type JsonObject } from '../src/index.ts'
import { createGrant, createInvocation, verifyInvocation } from '../src/grant/index.ts'
import { createIdentity } from '../src/index.ts'
import { createMemoryKeyStore } from '../src/keystore/index.ts'
import {
  ADDRESS_CONTEXT,
  createLinkStatement,
  createUnlinkStatement,
  LINK_CONTEXT,
  PROOF_CONTEXT,
  type OpenAccount
} from '../src/passkey/index.ts'
import { prefixedStore } from '../src/passkey/prefixed-store.ts'
import {
  addProof,
  eddsaJcs2022,
  issue,
  networkCredential,
  present,
  verify,
  type Credential
} from '../src/vc/index.ts'
import { someone } from './grant-kit.ts'
import { createService, keyAnswer, type Answer, type Service } from './ladder-kit.ts'
import { createSoftAuthenticator } from './soft-authenticator.ts'

const origin = 'https://example.org'
const [alice, mallory, controller, issuer] = [someone(2), someone(5), someone(6), someone(1)] as const
const address = 'alice@example.com'

/** Comes in, or fails the test. */
async function into(service: Service, ...args: Parameters<Service['enter']>): Promise<OpenAccount> {
  const entered = await service.enter(...args)
  if (typeof entered === 'string') throw new Error(entered)
  return entered
}

/** The DID of a controller answers, and shows that it stands behind a key. */
function controllerAnswer(service: Service, by: Identity, of: Identity, signers = [by, of]): Answer {
  return async (challenge) => {
    const now = service.clock.now()
    let binding: Credential = networkCredential({
      type: 'BindingCredential',
      issuer: by.did,
      subject: of.did,
      claims: { boundTo: by.did, bindingRole: 'owner' },
      validFrom: now
    })
    for (const signer of signers) {
      binding = (await addProof(binding, { signer, suite: eddsaJcs2022, created: now })) as Credential
    }
    const ask = challenge.ask as { challenge: string }
    const presentation = await present([binding], by, {
      challenge: ask.challenge,
      domain: service.audience,
      now
    })
    return { ...((await keyAnswer(by)(challenge)) as object), presentation }
  }
}

describe('moving up', () => {
  test('all four levels open what the first one stored, with its key, credentials and grants', async () => {
    const service = createService(origin)
    const now = service.clock.now()
    const keystore = createMemoryKeyStore()
    await keystore.put('device', alice.exportSeed())
    const first = await into(service, 'anonymous', keyAnswer(alice))
    const { did } = first.record
    expect(did).toBe(alice.did)
    await first.data.put('note', new TextEncoder().encode('written without a name'))
    const credential = await issue(
      networkCredential({
        type: 'MemberCredential',
        issuer: issuer.did,
        subject: did,
        claims: { memberOf: 'Example', memberSince: '2025-12-01' },
        validFrom: now
      }),
      issuer,
      { now }
    )
    const grant = await createGrant(issuer, { aud: did, cmd: '/shard', exp: now / 1000 + 3600 })

    const holds = async (account: OpenAccount): Promise<void> => {
      expect(account.record.did).toBe(did)
      const note = await account.data.get('note')
      expect(new TextDecoder().decode(note)).toBe('written without a name')
      // The key is that of the first level, taken from where it was kept.
      const kept = createIdentity({ seed: (await keystore.get('device')) as Uint8Array })
      expect(kept.did).toBe(account.record.did)
      const shown = await createInvocation(kept, { grant, aud: issuer.did, cmd: '/shard/open' }, service)
      const held = { executor: issuer.did, now, revocations: 'unchecked', replays: 'unchecked' } as const
      expect((await verifyInvocation(shown, held)).ok).toBe(true)
      expect((await verify(credential, { now, holder: account.record.did })).ok).toBe(true)
    }
    await holds(first)

    expect(await service.link(first, alice, 'email', service.token(address), address)).toBe('ok')
    const byEmail = await into(service, 'email', service.token(address), address)
    await holds(byEmail)

    const device = createSoftAuthenticator(7, origin)
    const passkey = await service.register(did, ({ ask }) => device.make(ask))
    const usesDevice: Answer = ({ ask }) => device.use(ask)
    expect(await service.link(byEmail, alice, 'passkey', usesDevice, passkey.id)).toBe('ok')
    const byPasskey = await into(service, 'passkey', usesDevice)
    await holds(byPasskey)

    const byController = controllerAnswer(service, controller, alice)
    expect(await service.link(byPasskey, alice, 'did', byController)).toBe('ok')
    const byDid = await into(service, 'did', byController)
    await holds(byDid)
    await holds(await into(service, 'anonymous', keyAnswer(alice)))

    // Both sides have signed each link: the account's own key, and what was linked.
    expect(byDid.record.links.map(({ level }) => level)).toEqual(['anonymous', 'email', 'passkey', 'did'])
    const contexts = { anonymous: PROOF_CONTEXT, email: ADDRESS_CONTEXT, did: PROOF_CONTEXT }
    const signers = { anonymous: did, email: issuer.did, did: controller.did }
    for (const { level, statement, binding, name } of byDid.record.links) {
      const other = base64url.baseDecode(binding)
      if (level !== 'anonymous') {
        const mine = await open(base64url.baseDecode(statement), { context: LINK_CONTEXT })
        expect(mine.signer).toBe(did)
      }
      if (level === 'passkey') {
        expect(name).toBe(passkey.did)
        expect(parseJson(new TextDecoder().decode(other))).toMatchObject({ id: passkey.id })
        continue
      }
      const opened = await open(other, { context: contexts[level] })
      expect(opened.signer).toBe(signers[level])
      const said = parseJson(new TextDecoder().decode(opened.payload)) as JsonObject
      if (level !== 'anonymous') expect(said['account']).toBe(did)
    }
  })

  test('closes the levels below, but for the own key; where asked it leaves them open', async () => {
    for (const lowerLevels of ['refused', 'allowed'] as const) {
      const service = createService(origin, { lowerLevels })
      const account = await into(service, 'anonymous', keyAnswer(alice))
      await service.link(account, alice, 'email', service.token(address), address)
      expect(await service.enter('email', service.token(address), address)).toBeTypeOf('object')
      await service.link(account, alice, 'did', controllerAnswer(service, controller, alice))
      const again = await service.enter('email', service.token(address), address)
      if (lowerLevels === 'refused') expect(again).toBe('LEVEL_TOO_LOW')
      else expect(again).toBeTypeOf('object')
      expect(await service.enter('anonymous', keyAnswer(alice))).toBeTypeOf('object')
    }
  })
})

describe('nobody takes an account over', () => {
  test('without its own key, whatever they came in with', async () => {
    const service = createService(origin)
    const account = await into(service, 'anonymous', keyAnswer(alice))
    await service.link(account, alice, 'email', service.token(address), address)
    // Mallory reads the mail: she comes in, and can add no way of hers.
    const inside = await into(service, 'email', service.token(address), address)
    const other = 'mallory@example.com'
    expect(await service.link(inside, mallory, 'email', service.token(other), other)).toBe(
      'STATEMENT_INVALID'
    )
    // Nor with what the account signed for another level, for another service, or long ago.
    const signed = (level: 'email' | 'did', audience: string): Promise<string> =>
      createLinkStatement(alice, audience, level, service)
    const refused = async (statement: string): Promise<void> => {
      expect(await inside.beginLink('email', statement, other)).toMatchObject({ code: 'STATEMENT_INVALID' })
    }
    await refused(await signed('did', service.audience))
    await refused(await signed('email', 'example.com'))
    await refused('AAAA')
    const old = await signed('email', service.audience)
    await service.clock.advance(601_000)
    await refused(old)
    expect(await inside.beginLink('anonymous', old)).toMatchObject({ code: 'LEVEL_UNKNOWN' })
  })

  test('by linking what opens another one', async () => {
    const service = createService(origin)
    const account = await into(service, 'anonymous', keyAnswer(alice))
    await service.link(account, alice, 'email', service.token(address), address)
    const theirs = await into(service, 'anonymous', keyAnswer(mallory))
    expect(await service.link(theirs, mallory, 'email', service.token(address), ' ALICE@example.com')).toBe(
      'LINKED_ELSEWHERE'
    )
    expect((await into(service, 'email', service.token(address), address)).record.did).toBe(alice.did)
    // A passkey of somebody else, and a DID that has not signed, or bound itself to another key.
    const device = createSoftAuthenticator(7, origin)
    const passkey = await service.register(alice.did, ({ ask }) => device.make(ask))
    const uses: Answer = ({ ask }) => device.use(ask)
    expect(await service.link(theirs, mallory, 'passkey', uses, passkey.id)).toBe('PROOF_INVALID')
    expect(await service.link(account, alice, 'passkey', uses, passkey.id)).toBe('ok')
    expect(await service.link(theirs, mallory, 'passkey', uses, passkey.id)).toBe('PROOF_INVALID')
    const bound = controllerAnswer(service, controller, alice)
    expect(await service.link(theirs, mallory, 'did', bound)).toBe('PROOF_INVALID')
    const half = controllerAnswer(service, controller, mallory, [controller])
    expect(await service.link(theirs, mallory, 'did', half)).toBe('PROOF_INVALID')
    expect(theirs.record.links).toHaveLength(1)
  })

  test('by playing a link again, or to another account', async () => {
    const service = createService(origin)
    const account = await into(service, 'anonymous', keyAnswer(alice))
    const theirs = await into(service, 'anonymous', keyAnswer(mallory))
    const statement = await createLinkStatement(alice, service.audience, 'email', service)
    const begun = await account.beginLink('email', statement, address)
    const { ceremony } = (begun as { challenge: { ceremony: string } }).challenge
    const answer = service.mails[0]
    expect(await theirs.link('email', ceremony, answer)).toMatchObject({ code: 'PROOF_INVALID' })
    expect(await account.link('email', ceremony, answer)).toMatchObject({ code: 'CEREMONY_UNKNOWN' })
    const anew = await account.beginLink('email', statement, address)
    const { ceremony: second } = (anew as { challenge: { ceremony: string } }).challenge
    expect(await account.link('email', second, service.mails[1])).toMatchObject({ ok: true })
    // The same statement, once more.
    const third = await account.beginLink('email', statement, 'other@example.com')
    const { ceremony: last } = (third as { challenge: { ceremony: string } }).challenge
    expect(await account.link('email', last, service.mails[2])).toMatchObject({ code: 'STATEMENT_INVALID' })
    expect(account.record.links).toHaveLength(2)
    // A proof for a link opens nothing, and one to come in links nothing.
    const entry = await service.accounts.begin('email', address)
    const { ceremony: forEntry } = (entry as { challenge: { ceremony: string } }).challenge
    expect(await account.link('email', forEntry, service.mails.at(-1))).toMatchObject({
      code: 'PROOF_INVALID'
    })
    const more = await account.beginLink(
      'email',
      await createLinkStatement(alice, service.audience, 'email', service),
      address
    )
    const { ceremony: forLink } = (more as { challenge: { ceremony: string } }).challenge
    expect(await service.accounts.enter('email', forLink, service.mails.at(-1))).toMatchObject({
      code: 'PROOF_INVALID'
    })
  })

  test('by removing what was linked, and what was removed opens nothing', async () => {
    const service = createService(origin, { lowerLevels: 'allowed' })
    const account = await into(service, 'anonymous', keyAnswer(alice))
    await service.link(account, alice, 'email', service.token(address), address)
    const device = createSoftAuthenticator(7, origin)
    const passkey = await service.register(alice.did, ({ ask }) => device.make(ask))
    const uses: Answer = ({ ask }) => device.use(ask)
    await service.link(account, alice, 'passkey', uses, passkey.id)
    const inside = await into(service, 'email', service.token(address), address)
    const link = { level: 'passkey', name: passkey.did } as const
    const unlink = async (
      signer: Identity,
      what: Parameters<typeof createUnlinkStatement>[2] = link
    ): Promise<string> => {
      const statement = await createUnlinkStatement(signer, service.audience, what, service)
      const outcome = await inside.unlink('passkey', passkey.did, statement)
      return outcome.ok ? 'ok' : outcome.code
    }
    expect(await unlink(mallory)).toBe('STATEMENT_INVALID')
    expect(await unlink(alice, { level: 'email', name: passkey.did })).toBe('STATEMENT_INVALID')
    expect(await unlink(alice, { level: 'passkey', name: alice.did })).toBe('STATEMENT_INVALID')
    const plain = await createLinkStatement(alice, service.audience, 'passkey', service)
    expect(await inside.unlink('passkey', passkey.did, plain)).toMatchObject({ code: 'STATEMENT_INVALID' })
    const removing = await createUnlinkStatement(alice, service.audience, link, service)
    expect(await inside.beginLink('passkey', removing, passkey.id)).toMatchObject({
      code: 'STATEMENT_INVALID'
    })
    expect(await service.enter('passkey', uses)).toBeTypeOf('object')
    const { statement: linking } = inside.record.links.find(({ level }) => level === 'passkey') as {
      statement: string
    }
    expect(await inside.unlink('passkey', passkey.did, removing)).toMatchObject({ ok: true })
    expect(await inside.unlink('passkey', passkey.did, removing)).toMatchObject({ code: 'STATEMENT_INVALID' })
    expect(await unlink(alice)).toBe('NOT_LINKED')
    // Its key is gone, so it has to be registered anew.
    expect(await passkeysIn(service)).toEqual([])
    expect(await service.enter('passkey', uses)).toBe('PROOF_INVALID')
    await service.register(alice.did, ({ ask }) => device.make(ask))
    // What linked it, and anybody inside has seen, does not link it again.
    const again = await inside.beginLink('passkey', linking, passkey.id)
    const { ceremony, ask } = (again as { challenge: { ceremony: string; ask: unknown } }).challenge
    expect(await inside.link('passkey', ceremony, device.use(ask))).toMatchObject({
      code: 'STATEMENT_INVALID'
    })
    expect(await service.enter('passkey', uses)).toBe('PROOF_INVALID')
    expect(inside.record.links.map(({ level }) => level)).toEqual(['anonymous', 'email'])
    const first = await createUnlinkStatement(
      alice,
      service.audience,
      { level: 'anonymous', name: alice.did },
      service
    )
    expect(await inside.unlink('anonymous', alice.did, first)).toMatchObject({ code: 'NOT_LINKED' })
  })

  test('by what was never linked, and none is made for it', async () => {
    const service = createService(origin)
    expect(await service.enter('email', service.token(address), address)).toBe('NOT_LINKED')
    expect(await service.enter('did', controllerAnswer(service, controller, alice))).toBe('NOT_LINKED')
    expect(await service.enter('did', keyAnswer(controller))).toBe('PROOF_INVALID')
  })

  test('and there are so many accounts and links', async () => {
    const service = createService(origin, { maxAccounts: 1 })
    const account = await into(service, 'anonymous', keyAnswer(alice))
    expect(await service.enter('anonymous', keyAnswer(mallory))).toBe('FULL')
    expect(await service.enter('anonymous', keyAnswer(alice))).toBeTypeOf('object')
    const codes: string[] = []
    for (let i = 0; i < 16; i++) {
      const name = `alice${i}@example.com`
      codes.push(await service.link(account, alice, 'email', service.token(name), name))
    }
    expect(codes.filter((code) => code === 'ok')).toHaveLength(15)
    expect(codes.at(-1)).toBe('FULL')
  })
})

/** The ids of the passkeys that are kept for good. */
async function passkeysIn({ store }: Service): Promise<string[]> {
  const ids: string[] = []
  const prefix = 'identity/passkey/kept/'
  for await (const [key] of store.entries({ gte: prefix, lt: 'identity/passkey/kept0' }))
    ids.push(key.slice(prefix.length))
  return ids
}

describe('the key of a passkey', () => {
  const linked = async (): Promise<{
    service: Service
    account: OpenAccount
    uses: Answer
    passkey: { id: string; did: string }
    unlink(): Promise<void>
  }> => {
    const service = createService(origin)
    const account = await into(service, 'anonymous', keyAnswer(alice))
    const device = createSoftAuthenticator(7, origin)
    const passkey = await service.register(alice.did, ({ ask }) => device.make(ask))
    const uses: Answer = ({ ask }) => device.use(ask)
    expect(await service.link(account, alice, 'passkey', uses, passkey.id)).toBe('ok')
    return {
      service,
      account,
      uses,
      passkey,
      async unlink() {
        const link = { level: 'passkey', name: passkey.did } as const
        const statement = await createUnlinkStatement(alice, service.audience, link, service)
        expect(await account.unlink('passkey', passkey.did, statement)).toMatchObject({ ok: true })
      }
    }
  }

  test('goes with its link, and the other of the account stays', async () => {
    const { service, account, passkey, uses, unlink } = await linked()
    const second = createSoftAuthenticator(8, origin)
    const other = await service.register(alice.did, ({ ask }) => second.make(ask))
    const usesOther: Answer = ({ ask }) => second.use(ask)
    expect(await service.link(account, alice, 'passkey', usesOther, other.id)).toBe('ok')
    expect(await passkeysIn(service)).toEqual([passkey.id, other.id].toSorted())
    await unlink()
    expect(await passkeysIn(service)).toEqual([other.id])
    expect(await service.enter('passkey', uses)).toBe('PROOF_INVALID')
    expect(await service.enter('passkey', usesOther)).toBeTypeOf('object')
  })

  test('is never missing where a link refers to it, nor kept where none does, whatever comes between', async () => {
    for (const purpose of ['link', 'enter'] as const) {
      const { service, account, passkey, uses, unlink } = await linked()
      const { finish } = service.passkeys
      service.passkeys.finish = async (...args) => {
        const proof = await finish(...args)
        await unlink()
        return proof
      }
      const outcome =
        purpose === 'link'
          ? await service.link(account, alice, 'passkey', uses, passkey.id)
          : await service.enter('passkey', uses)
      expect(outcome).toBe(purpose === 'link' ? 'PROOF_INVALID' : 'NOT_LINKED')
      expect([account.record.links.length, await passkeysIn(service)]).toEqual([1, []])
    }
    const { service, uses, unlink } = await linked()
    await Promise.all([service.enter('passkey', uses), unlink()])
    expect(await passkeysIn(service)).toEqual([])
  })

  test('stays where a second link of the same fails, and goes where the first does', async () => {
    const { service, account, passkey, uses } = await linked()
    const { statement } = account.record.links[1] as { statement: string }
    const begun = await account.beginLink('passkey', statement, passkey.id)
    if (!begun.ok) throw new Error(begun.message)
    expect(await account.link('passkey', begun.challenge.ceremony, uses(begun.challenge))).toMatchObject({
      code: 'STATEMENT_INVALID'
    })
    expect(await passkeysIn(service)).toEqual([passkey.id])
    expect(await service.enter('passkey', uses)).toBeTypeOf('object')
    for (let i = account.record.links.length; i < 16; i++) {
      const name = `alice${i}@example.com`
      expect(await service.link(account, alice, 'email', service.token(name), name)).toBe('ok')
    }
    const device = createSoftAuthenticator(8, origin)
    const { id } = await service.register(alice.did, ({ ask }) => device.make(ask))
    expect(await service.link(account, alice, 'passkey', ({ ask }) => device.use(ask), id)).toBe('FULL')
    expect(await passkeysIn(service)).toEqual([passkey.id])
  })
})

describe('the data of an account', () => {
  keyValueStoreSuite(test, {
    async create() {
      const store = createMemoryStore()
      // What stands before and behind is not seen.
      for (const key of ['a', 'data/', 'data/did', 'data/did0', 'z']) await store.put(key, Uint8Array.of(1))
      return prefixedStore(store, 'data/did/')
    }
  })
})
