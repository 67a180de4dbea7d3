import { describe, expect, test } from 'vitest'
import { createIdentity, type Identity } from '../src/index.ts'
import {
  addProof,
  eddsaJcs2022,
  networkCredential,
  verifyBinding,
  verifyRotation,
  type Credential
} from '../src/vc/index.ts'

const now = Date.parse('2026-11-01T00:00:00Z')
const person = (seed: number): Identity => createIdentity({ seed: new Uint8Array(32).fill(seed) })
const [a, b, c, d] = [person(1), person(2), person(3), person(4)] as [Identity, Identity, Identity, Identity]

async function sign(credential: Credential, ...signers: readonly Identity[]): Promise<Credential> {
  let signed = credential
  for (const signer of signers) {
    signed = (await addProof(signed, { signer, suite: eddsaJcs2022, created: now })) as Credential
  }
  return signed
}

const binding = (controller: Identity, node: Identity, ...signers: Identity[]): Promise<Credential> =>
  sign(
    networkCredential({
      type: 'BindingCredential',
      issuer: controller.did,
      subject: node.did,
      claims: { boundTo: controller.did, bindingRole: 'operator' },
      validFrom: now
    }),
    ...signers
  )

const rotation = (old: Identity, next: Identity, ...signers: Identity[]): Promise<Credential> =>
  sign(
    networkCredential({
      type: 'RotationCredential',
      issuer: old.did,
      subject: next.did,
      claims: { rotatedFrom: old.did },
      validFrom: now
    }),
    ...signers
  )

describe('a binding', () => {
  test('holds when both have signed, whoever did first', async () => {
    for (const signers of [
      [a, b],
      [b, a]
    ] as const) {
      expect(await verifyBinding(await binding(a, b, ...signers), { now })).toMatchObject({
        ok: true,
        controller: a.did,
        node: b.did,
        role: 'operator'
      })
    }
  })

  test('does not with one of them, nor with a third in the place of one', async () => {
    const alone = await verifyBinding(await binding(a, b, a), { now })
    expect(alone).toMatchObject({ ok: false, message: `${b.did} has not signed` })
    const third = await verifyBinding(await binding(a, b, a, c), { now })
    expect(third).toMatchObject({ ok: false, message: `${b.did} has not signed` })
    const nodeAlone = await verifyBinding(await binding(a, b, b), { now })
    expect(nodeAlone).toMatchObject({ ok: false, message: expect.stringContaining('controller') as string })
  })

  test('does not with a second signature that was made for another purpose or another node', async () => {
    const signed = await binding(a, b, a)
    const other = (await addProof(signed, {
      signer: b,
      suite: eddsaJcs2022,
      created: now,
      proofPurpose: 'authentication'
    })) as Credential
    expect((await verifyBinding(other, { now })).ok).toBe(false)
    const elsewhere = await binding(a, c, a, c)
    const swapped = { ...elsewhere, credentialSubject: signed.credentialSubject }
    expect((await verifyBinding(swapped, { now })).ok).toBe(false)
  })

  test('is no rotation', async () => {
    const result = await verifyBinding(await rotation(a, b, a, b), { now })
    expect(result).toMatchObject({
      ok: false,
      message: expect.stringContaining('no BindingCredential') as string
    })
  })
})

describe('a chain of rotations', () => {
  test('leads from the first key to the current one, in whatever order it comes', async () => {
    const chain = [await rotation(b, c, b, c), await rotation(a, b, a, b), await rotation(c, d, c, d)]
    expect(await verifyRotation(chain, { from: a.did, now })).toEqual({
      ok: true,
      current: d.did,
      path: [a.did, b.did, c.did, d.did]
    })
    expect(await verifyRotation([], { from: a.did, now })).toEqual({
      ok: true,
      current: a.did,
      path: [a.did]
    })
  })

  test.each<[string, () => Promise<Credential[]>, string]>([
    ['the old key alone', async () => [await rotation(a, b, a)], 'has not signed'],
    ['the new key alone', async () => [await rotation(a, b, b)], 'controller'],
    ['two successors', async () => [await rotation(a, b, a, b), await rotation(a, c, a, c)], 'twice'],
    ['a circle', async () => [await rotation(a, b, a, b), await rotation(b, a, b, a)], 'circle'],
    ['a gap', async () => [await rotation(a, b, a, b), await rotation(c, d, c, d)], 'Not all'],
    ['a foreign start', async () => [await rotation(b, c, b, c)], 'Not all'],
    ['another type', async () => [await binding(a, b, a, b)], 'no RotationCredential'],
    ['too many', async () => Array<Credential>(17).fill(await rotation(a, b, a, b)), 'more than the 16']
  ])('%s is refused', async (_, make, named) => {
    const result = await verifyRotation(await make(), { from: a.did, now })
    expect(result).toMatchObject({ ok: false, message: expect.stringContaining(named) as string })
  })
})
