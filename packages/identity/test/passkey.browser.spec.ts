import { afterAll, beforeAll, expect, test } from 'vitest'
import { cdp } from 'vitest/browser'
import { makePasskey, usePasskey, type OpenAccount } from '../src/passkey/index.ts'
import { someone } from './grant-kit.ts'
import { createService, keyAnswer, type Answer } from './ladder-kit.ts'

// Chromium's own passkeys, on a virtual authenticator of the DevTools protocol (domain WebAuthn).
interface Session {
  send(method: string, params?: unknown): Promise<Record<string, unknown>>
}
const session = cdp() as unknown as Session
let authenticatorId: string

beforeAll(async () => {
  await session.send('WebAuthn.enable')
  const { authenticatorId: id } = await session.send('WebAuthn.addVirtualAuthenticator', {
    options: {
      protocol: 'ctap2',
      transport: 'internal',
      hasResidentKey: true,
      hasUserVerification: true,
      isUserVerified: true,
      automaticPresenceSimulation: true
    }
  })
  authenticatorId = id as string
})
afterAll(async () => {
  await session.send('WebAuthn.removeVirtualAuthenticator', { authenticatorId })
  await session.send('WebAuthn.disable')
})

const rpId = location.hostname
const alice = someone(2)
const make: Answer = ({ ask }) => makePasskey(ask)
const use: Answer = ({ ask }) => usePasskey(ask)

test('a passkey of Chromium opens what was stored without a name', async () => {
  const service = createService(location.origin, { rpId })
  const account = (await service.enter('anonymous', keyAnswer(alice))) as OpenAccount
  await account.data.put('note', Uint8Array.of(1, 2, 3))
  const passkey = await service.register(alice.did, make)
  expect(passkey.did).toMatch(/^did:key:zDn/)
  expect(await service.link(account, alice, 'passkey', use, passkey.id)).toBe('ok')
  const again = (await service.enter('passkey', use)) as OpenAccount
  expect(again.record.did).toBe(alice.did)
  expect(again.record.links.at(-1)?.name).toBe(passkey.did)
  expect(await again.data.get('note')).toEqual(Uint8Array.of(1, 2, 3))
})

test('it is not accepted for another origin, or where the person was not verified', async () => {
  const other = createService('https://example.org', { rpId })
  await expect(other.register(alice.did, make)).rejects.toThrow('does not hold')
  const service = createService(location.origin, { rpId })
  const account = (await service.enter('anonymous', keyAnswer(alice))) as OpenAccount
  const passkey = await service.register(alice.did, make)
  await session.send('WebAuthn.setUserVerified', { authenticatorId, isUserVerified: false })
  await expect(service.link(account, alice, 'passkey', use, passkey.id)).rejects.toMatchObject({
    code: 'ERR_IDENTITY_PASSKEY_UNAVAILABLE'
  })
  await session.send('WebAuthn.setUserVerified', { authenticatorId, isUserVerified: true })
  expect(await service.link(account, alice, 'passkey', use, passkey.id)).toBe('ok')
  // Chromium itself refuses to use it for another domain.
  const foreign = createService(location.origin, { rpId: 'example.org' })
  await expect(foreign.enter('passkey', use)).rejects.toMatchObject({
    code: 'ERR_IDENTITY_PASSKEY_UNAVAILABLE'
  })
})
