import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createIdentity, type Identity } from '@kwaai/identity'
import {
  createGrant,
  createGrantAuthorizer,
  createGrantCapabilities,
  createReplayGuard,
  createRevocation,
  createRevocations,
  type Grant,
  type Policy
} from '@kwaai/identity/grant'
import type { CapabilitySource, Network } from '@kwaai/interface'
import { createMemoryHub, createMemoryNetwork, createMemoryStore } from '@kwaai/interface/memory'
import { createBlockServer, openChain } from '@kwaai/shard/session'
import { createFakeClock, createSeededRandom } from '@kwaai/testing'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { openGrants } from '../src/grants/grant-folder.ts'
import { createNodeGrants, type NodeGrants } from '../src/grants/node-grants.ts'
import { createFakeRunner, hiddenSize, modelHash, rowsOf } from '../../shard/test/session-kit.ts'

const undo: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const step of undo.splice(0).toReversed()) await step()
})

/** Two servers of one model that ask for grants, each for its own, and two peers that want sessions. */
// oxlint-disable-next-line typescript/explicit-function-return-type
async function scene() {
  const clock = createFakeClock()
  const hub = createMemoryHub({ clock })
  const join = async (
    seed: number
  ): Promise<{ identity: ReturnType<typeof createIdentity>; network: Network }> => {
    const identity = createIdentity({ seed: new Uint8Array(32).fill(seed) })
    const network = createMemoryNetwork(hub, { peerId: identity.peerId })
    await network.start()
    undo.push(() => network.stop())
    return { identity, network }
  }
  const serve = async (seed: number, from: number, to: number): Promise<Server> => {
    const { identity, network } = await join(seed)
    const store = createMemoryStore()
    const revocations = createRevocations({ subjects: [identity.did] }, { store, clock })
    const replays = createReplayGuard({}, { store, clock })
    const runner = createFakeRunner({ from, to, blockCount: 6 })
    const server = createBlockServer(
      { modelHash, numericsClass: 'fake/1', measure: false },
      {
        network,
        runner,
        clock,
        random: createSeededRandom(seed),
        authorizer: createGrantAuthorizer({ executor: identity.did }, { clock, revocations, replays })
      }
    )
    await server.start()
    undo.push(() => server.stop())
    return { identity, revocations, hop: { peer: identity.peerId, from, to } }
  }
  const servers = [await serve(1, 0, 3), await serve(2, 3, 6)] as const
  const [alice, bob] = [await join(3), await join(4)]
  const exp = Math.floor(clock.now() / 1000) + 600
  const give = (policy: Policy = []): Promise<Grant[]> =>
    Promise.all(
      servers.map(({ identity }) =>
        createGrant(identity, { aud: alice.identity.did, cmd: '/shard', policy, exp })
      )
    )
  const sourceOf = (grants: Grant[], who = alice): CapabilitySource =>
    createGrantCapabilities({ grants: () => grants }, { signer: who.identity, clock })
  /** Opens a chain over both servers and runs rows through it; `ok`, or why not. */
  const run = async (
    authorization: Uint8Array | CapabilitySource | undefined,
    who = alice,
    maxTokens = 64
  ): Promise<string> => {
    try {
      const chain = await openChain(
        { modelHash, blockCount: 6, hops: servers.map(({ hop }) => hop) },
        { network: who.network, clock, random: createSeededRandom('client') },
        { maxTokens, hiddenSize, ...(authorization === undefined ? {} : { authorization }) }
      )
      const rows = await chain.forward({ past: 0, hidden: rowsOf(2, 1), kernel: 'vec', result: 'all' })
      await chain[Symbol.asyncDispose]()
      return rows.length === 2 * hiddenSize ? 'ok' : 'nothing computed'
    } catch (error) {
      return `${(error as { code?: string }).code}: ${(error as Error).message}`
    }
  }
  return { clock, servers, alice, bob, give, sourceOf, run }
}

interface Server {
  identity: ReturnType<typeof createIdentity>
  revocations: ReturnType<typeof createRevocations>
  hop: { peer: string; from: number; to: number }
}

describe('sessions of servers that ask for grants', () => {
  test('open with a grant of each, as often as they are asked for', async () => {
    const { give, sourceOf, run } = await scene()
    const source = sourceOf(
      await give([
        ['<=', '.maxTokens', 64],
        ['==', '.model', modelHash]
      ])
    )
    expect(await run(source)).toBe('ok')
    expect(await run(source)).toBe('ok')
    expect(await run(source, undefined, 65)).toContain('ERR_SHARD_UNAUTHORIZED')
  })

  test('are refused without one, and with that of another peer', async () => {
    const { bob, give, sourceOf, run } = await scene()
    const grants = await give()
    expect(await run(undefined)).toContain(
      'ERR_SHARD_UNAUTHORIZED: Cannot open the session: no grant was shown'
    )
    expect(await run(sourceOf(grants, bob), bob)).toContain('no grant was shown')
    expect(await run(sourceOf(grants), bob)).toContain('another peer than the one that shows it')
    expect(await run(sourceOf(grants.slice(0, 1)))).toContain('no grant was shown')
  })

  test('are refused once it is over, revoked, or was used', async () => {
    const { clock, servers, give, sourceOf, run } = await scene()
    const grants = await give()
    const source = sourceOf(grants)
    const kept = new Map<string, Uint8Array>()
    const recorded: CapabilitySource = {
      ...source,
      async capability(request, options) {
        const shown = kept.get(request.peer) ?? (await source.capability(request, options))
        kept.set(request.peer, shown)
        return shown
      }
    }
    expect(await run(recorded)).toBe('ok')
    expect(await run(recorded)).toContain('it was used before')
    const fresh = await give()
    const [, second] = servers
    await second.revocations.add(await createRevocation(second.identity, fresh[1] as Grant))
    expect(await run(sourceOf(fresh))).toContain('it was revoked')
    // The grants hold no more by the time they are shown.
    const stale = await give()
    kept.clear()
    for (const { hop } of servers) {
      const { peer, from, to } = hop
      const request = {
        peer,
        command: 'shard/open',
        arguments: { model: modelHash, from, to, maxTokens: 64 }
      }
      kept.set(peer, await sourceOf(stale).capability(request))
    }
    await clock.advance(601_000)
    expect(await run(recorded)).toContain('its time is over')
  })
})

describe('the grants of a data folder', () => {
  const clock = createFakeClock()
  const exp = Math.floor(clock.now() / 1000) + 600
  let dataDir: string
  beforeEach(async () => {
    dataDir = await mkdtemp(join(tmpdir(), 'kwaai-grants-'))
    undo.push(() => rm(dataDir, { recursive: true, force: true }))
  })

  test('are shown to those who honour them', async () => {
    const [me, owner, node, stranger] = Array.from({ length: 4 }, () => createIdentity()) as [
      Identity,
      Identity,
      Identity,
      Identity
    ]
    const folder = await openGrants(dataDir, { clock, subjects: [me.did] })
    undo.push(() => folder.close())
    const claims = { aud: me.did, cmd: '/shard', exp }
    await folder.keep(await createGrant(owner, claims), [node.did, stranger.did])
    await folder.keep(await createGrant(stranger, claims), [node.did])
    await folder.keep(await createGrant(owner, claims))
    expect((await folder.subjectsOf(node.did)).toSorted()).toEqual(
      [node.did, owner.did, stranger.did].toSorted()
    )
    expect(await folder.subjectsOf(stranger.did)).toEqual([stranger.did, owner.did])
    expect(await folder.subjectsOf(me.did)).toEqual([me.did])
  })

  test('that cannot be read keep a node from asking for them, and say so at once', async () => {
    const identity = createIdentity()
    const random = createSeededRandom(1)
    const notes: string[] = []
    const make = (askForGrants: boolean): Promise<NodeGrants> =>
      createNodeGrants(
        { dataDir, askForGrants },
        {
          identity,
          clock,
          random,
          undo: (step) => void undo.push(step),
          onNote: (text) => void notes.push(text)
        }
      )
    const folder = await openGrants(dataDir, { clock, subjects: [identity.did] })
    const grant = await createGrant(identity, { aud: createIdentity().did, cmd: '/shard', exp })
    await folder.revocations.add(await createRevocation(identity, grant))
    await folder.keep(grant)
    for (const nonce of ['one', 'another'])
      await folder.replays.take({ ...grant.claims, args: {}, nonce }, {})
    await folder.close()
    expect(await make(true)).toHaveProperty('authorizer')
    for (const name of ['grants.log', 'grants-used.log']) {
      const path = join(dataDir, name)
      const bytes = await readFile(path)
      const changed = Buffer.from(bytes)
      // In the first record: behind it stands another, so no end of a process left that.
      changed[60] = (bytes[60] as number) ^ 1
      await writeFile(path, changed)
      await expect(make(true), name).rejects.toMatchObject({ code: 'ERR_NODE_STORE_DAMAGED' })
      expect(await make(false)).not.toHaveProperty('authorizer')
      await writeFile(path, bytes)
    }
    // Who asks nobody for grants goes on without them, is told why once, and again has them once they can be read.
    const path = join(dataDir, 'grants.log')
    const bytes = await readFile(path)
    const received = await openGrants(dataDir, { clock, subjects: [identity.did] })
    const owner = createIdentity()
    await received.keep(await createGrant(owner, { aud: identity.did, cmd: '/shard', exp }))
    await received.close()
    const whole = await readFile(path)
    const changed = Buffer.from(whole)
    changed[60] = (bytes[60] as number) ^ 1
    await writeFile(path, changed)
    const { capabilities } = await make(false)
    const shown = async (): Promise<boolean> =>
      (await capabilities.capability({ peer: owner.peerId, command: 'shard/open' })).length > 0
    expect([await shown(), await shown(), notes.length]).toEqual([false, false, 1])
    expect(notes[0]).toContain('Cannot read')
    await writeFile(path, whole)
    expect([await shown(), notes.length]).toEqual([true, 1])
  })
})
