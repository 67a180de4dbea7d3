import { describe, expect, test } from 'vitest'
import { encodeBundle, decodeBundle } from '../src/grant/bundle.ts'
import {
  createGrant,
  createInvocation,
  createRevocation,
  delegateGrant,
  grantToText,
  type Grant
} from '../src/grant/index.ts'
import { createOwner, someone, type Owner } from './grant-kit.ts'

const [alice, bob, carol, mallory] = [someone(2), someone(3), someone(4), someone(5)] as const

async function scene(init: { maxEntries?: number } = {}): Promise<{
  owner: Owner
  toAlice: Grant
  toBob: Grant
  toCarol: Grant
  judge: (signer: typeof alice, grant: Grant) => Promise<string>
}> {
  const owner = createOwner(init)
  const node = owner.identity
  const toAlice = await createGrant(node, { aud: alice.did, cmd: '/', exp: owner.now() + 3600 })
  const toBob = await delegateGrant(alice, toAlice, { aud: bob.did, cmd: '/a', exp: owner.now() + 600 })
  const toCarol = await delegateGrant(bob, toBob, { aud: carol.did, cmd: '/a/b' })
  return {
    owner,
    toAlice,
    toBob,
    toCarol,
    judge: async (signer, grant) =>
      owner.judge(
        await createInvocation(signer, { grant, aud: node.did, cmd: '/a/b' }, { clock: owner.clock })
      )
  }
}

describe('a revocation', () => {
  test('ends a grant and all that was cut from it, and nothing else', async () => {
    const { owner, toAlice, toBob, toCarol, judge } = await scene()
    expect(await judge(carol, toCarol)).toBe('ok')
    const statement = await createRevocation(alice, toBob)
    expect(await owner.revocations.add(grantToText(statement))).toMatchObject({ ok: true })
    expect(await owner.revocations.add(statement)).toMatchObject({ ok: true })
    expect(await judge(carol, toCarol)).toBe('REVOKED')
    expect(await judge(bob, toBob)).toBe('REVOKED')
    expect(await judge(alice, toAlice)).toBe('ok')
    expect(await owner.revocations.list()).toEqual([{ id: toBob.id, exp: owner.now() + 600 }])
  })

  test('is made by the issuers of the chain, and by nobody else', async () => {
    const { owner, toCarol, judge } = await scene()
    const invalid = expect.objectContaining({ code: 'ERR_IDENTITY_INVALID_GRANT' })
    await expect(createRevocation(mallory, toCarol)).rejects.toEqual(invalid)
    await expect(createRevocation(carol, toCarol)).rejects.toEqual(invalid)
    // Signed well, by somebody who gave nothing.
    const grant = { ...toCarol, chain: [{ id: '', claims: { ...toCarol.claims, iss: mallory.did } }] }
    expect(await owner.revocations.add(await createRevocation(mallory, grant))).toMatchObject({
      ok: false,
      code: 'ISSUER_FOREIGN'
    })
    expect(await judge(carol, toCarol)).toBe('ok')
    expect(await owner.revocations.add(await createRevocation(owner.identity, toCarol))).toMatchObject({
      ok: true
    })
    expect(await judge(carol, toCarol)).toBe('REVOKED')
  })

  test('says what is wrong with one that is none', async () => {
    const { owner, toAlice, toBob } = await scene()
    const statement = await createRevocation(alice, toBob)
    const [root, , last] = decodeBundle('revocation', statement) as [Uint8Array, Uint8Array, Uint8Array]
    const code = async (bytes: Uint8Array | string): Promise<string> => {
      const outcome = await owner.revocations.add(bytes)
      return outcome.ok ? 'ok' : outcome.code
    }
    expect(await code('no')).toBe('STRUCTURE_INVALID')
    expect(await code(toAlice.bytes)).toBe('STRUCTURE_INVALID')
    expect(await code(encodeBundle('revocation', [root, last]))).toBe('CHAIN_BROKEN')
    expect(await code(encodeBundle('revocation', [root, root]))).toBe('SIGNATURE_INVALID')
    const foreign = await createGrant(mallory, { aud: bob.did, cmd: '/', exp: owner.now() + 60 })
    expect(await code(await createRevocation(mallory, foreign))).toBe('SUBJECT_FOREIGN')
    expect(await owner.revocations.list()).toEqual([])
  })

  test('is kept as long as its grant would hold; what is full stays open to the owner', async () => {
    const { owner, toBob } = await scene({ maxEntries: 2 })
    const cut = (name: number): Promise<Grant> =>
      delegateGrant(bob, toBob, { aud: someone(name).did, cmd: '/a' })
    const add = async (signer: typeof alice, grant: Grant): Promise<string> => {
      const outcome = await owner.revocations.add(await createRevocation(signer, grant))
      return outcome.ok ? 'ok' : outcome.code
    }
    expect(await add(bob, await cut(30))).toBe('ok')
    expect(await add(bob, await cut(31))).toBe('FULL')
    expect(await add(owner.identity, toBob)).toBe('ok')
    await owner.clock.advance(601_000)
    const later = await createGrant(owner.identity, { aud: alice.did, cmd: '/', exp: owner.now() + 60 })
    const fresh = await delegateGrant(alice, later, { aud: bob.did, cmd: '/' })
    expect(await add(alice, fresh)).toBe('ok')
    expect((await owner.revocations.list()).map(({ id }) => id)).toEqual([fresh.id])
    // What is over by now needs no place.
    expect(await add(bob, await cut(32))).toBe('ok')
  })
})
