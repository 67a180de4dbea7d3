import { createMemoryStore } from '@kwaai/interface/memory'
import { authorizerSuite, createFakeClock } from '@kwaai/testing'
import { describe, expect, test } from 'vitest'
import {
  createGrant,
  createGrantAuthorizer,
  createGrantCapabilities,
  createInvocation,
  createReplayGuard,
  createRevocation,
  createRevocations,
  delegateGrant,
  readGrant,
  verifyInvocation,
  type Grant,
  type GrantInit
} from '../src/grant/index.ts'
import { random, someone } from './grant-kit.ts'

const [node, alice, bob, controller] = [someone(1), someone(2), someone(3), someone(6)] as const

// oxlint-disable-next-line typescript/explicit-function-return-type
function gate(init: { subjects?: string[] } = {}) {
  const clock = createFakeClock()
  const store = createMemoryStore()
  const subjects = init.subjects ?? [node.did]
  const revocations = createRevocations({ subjects }, { store, clock })
  const replays = createReplayGuard({}, { store, clock })
  const authorizer = createGrantAuthorizer({ executor: node.did, ...init }, { clock, revocations, replays })
  const give = (more: Partial<GrantInit> = {}, signer = node): Promise<Grant> =>
    createGrant(signer, {
      aud: alice.did,
      cmd: '/shard',
      exp: Math.floor(clock.now() / 1000) + 600,
      ...more
    })
  const sourceOf = (...grants: Grant[]): ReturnType<typeof createGrantCapabilities> =>
    createGrantCapabilities({ grants: () => grants }, { signer: alice, clock, random })
  return { clock, revocations, authorizer, give, sourceOf }
}

authorizerSuite(test, {
  async create() {
    const { clock, authorizer, give } = gate()
    const grant = await give()
    return {
      authorizer,
      stranger: bob.peerId,
      allowed: async () => ({
        peer: alice.peerId,
        command: 'shard/open',
        capability: await createInvocation(
          alice,
          { grant, aud: node.did, cmd: '/shard/open' },
          { clock, random }
        )
      })
    }
  }
})

describe('an authorizer of grants', () => {
  const request = { peer: node.peerId, command: 'shard/open', arguments: { maxTokens: 100, from: 0 } }
  const at = { peer: alice.peerId, command: 'shard/open', arguments: request.arguments }

  test('holds policies to what the room knows, not to what is claimed', async () => {
    const { clock, authorizer, give, sourceOf } = gate()
    const grant = await give({ policy: [['<=', '.maxTokens', 100]] })
    const capability = await sourceOf(grant).capability(request)
    await authorizer.authorize({ ...at, capability })
    // Nothing is shown where the policy does not allow it.
    const more = { maxTokens: 101, from: 0 }
    expect(await sourceOf(grant).capability({ ...request, arguments: more })).toEqual(new Uint8Array(0))
    const shown = (args: Record<string, number>): Promise<Uint8Array> =>
      createInvocation(alice, { grant, aud: node.did, cmd: '/shard/open', args }, { clock })
    const refused = (args: object, told?: object): Promise<void> =>
      expect(
        shown(args as Record<string, number>).then((bytes) =>
          authorizer.authorize({ ...at, ...told, capability: bytes })
        )
      ).rejects.toMatchObject({ code: 'ERR_UNAUTHORIZED' })
    await refused({ maxTokens: 100 }, { arguments: more })
    await refused({}, { arguments: more })
    await refused({ maxTokens: 100, price: 0 })
    // Where the room tells nothing, a policy about something is not satisfied.
    const { arguments: _known, ...untold } = at
    await expect(
      authorizer.authorize({ ...untold, capability: await shown({ maxTokens: 1 }) })
    ).rejects.toMatchObject({ code: 'ERR_UNAUTHORIZED' })
    await refused({}, { arguments: { maxTokens: 1n } })
  })

  test('says what is missing', async () => {
    const { clock, revocations, authorizer, give, sourceOf } = gate()
    const grant = await give({ exp: Math.floor(clock.now() / 1000) + 30 })
    const source = sourceOf(grant)
    const why = async (capability: Uint8Array, peer = alice.peerId): Promise<string> =>
      authorizer.authorize({ ...at, peer, capability }).then(
        () => 'ok',
        (error: Error) => error.message
      )
    expect(await why(new Uint8Array(0))).toBe('no grant was shown; /shard/open asks for one')
    expect(await why(await source.capability(request), bob.peerId)).toContain('another peer')
    expect(await why(await source.capability(request))).toBe('ok')
    const late = await source.capability(request)
    await clock.advance(31_000)
    expect(await why(late)).toContain('its time is over')
    expect(await source.capability(request)).toEqual(new Uint8Array(0))
    const next = await give()
    await revocations.add(await createRevocation(node, next))
    expect(await why(await sourceOf(next).capability(request))).toContain('it was revoked')
  })

  // Programs without types hand over what a header or the JSON of a body had.
  test.each<[string, unknown]>([
    ['nothing', undefined],
    ['null', null],
    ['a number', 5],
    ['an empty text', ''],
    ['a text that is none', 'no grant!'],
    ['an object', {}],
    ['a list', [2, 0, 1, 7]],
    ['an object that looks like bytes', { 0: 2, 1: 0, 2: 1, 3: 7, length: 4 }],
    ['more bytes than any has', new Uint8Array(2 ** 16)]
  ])('turns away who shows %s, and never stumbles', async (_, shown) => {
    const { clock, revocations, authorizer } = gate()
    const capability = shown as Uint8Array
    await expect(authorizer.authorize({ ...at, capability })).rejects.toMatchObject({
      code: 'ERR_UNAUTHORIZED'
    })
    const held = { executor: node.did, now: clock.now(), revocations, replays: 'unchecked' } as const
    const { ok, checks } = await verifyInvocation(capability, held)
    expect([ok, checks[0]?.code]).toEqual([false, 'STRUCTURE_INVALID'])
    expect(await readGrant(capability)).toMatchObject({ ok: false, fault: { kind: 'structure' } })
    expect(await revocations.add(capability)).toMatchObject({ ok: false, code: 'STRUCTURE_INVALID' })
  })

  test('honours a controller where it is told to, and delegated grants', async () => {
    const { authorizer, give, clock } = gate({ subjects: [node.did, controller.did] })
    const grant = await give({ aud: bob.did }, controller)
    const cut = await delegateGrant(bob, grant, { aud: alice.did, cmd: '/shard/open' })
    const plain = createGrantCapabilities({ grants: () => [cut] }, { signer: alice, clock })
    expect(await plain.capability(request)).toEqual(new Uint8Array(0))
    const source = createGrantCapabilities(
      { grants: () => [cut], subjectsOf: (peer) => [peer, controller.did] },
      { signer: alice, clock }
    )
    await authorizer.authorize({ ...at, capability: await source.capability(request) })
    // A peer whose name is no key is shown nothing.
    expect(await source.capability({ ...request, peer: 'QmQ2' })).toEqual(new Uint8Array(0))
    // The owner needs no grant.
    const own = createGrantCapabilities({ grants: () => [] }, { signer: node, clock })
    await authorizer.authorize({ ...at, peer: node.peerId, capability: await own.capability(request) })
  })
})
