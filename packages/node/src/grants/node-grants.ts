import type { Identity } from '@kwaai/identity'
import { KwaaiError, type Authorizer, type CapabilitySource, type Clock, type Random } from '@kwaai/interface'
import { createMemoryStore } from '@kwaai/interface/memory'
import type { GrantFolder } from './grant-folder.ts'

/** The two sides of grants at a node. */
export interface NodeGrants {
  /** Asked whenever somebody opens a session; none where everybody may. */
  authorizer?: Authorizer
  /** What is shown where the node opens sessions at others. */
  capabilities: CapabilitySource
}

/** What {@link createNodeGrants} works with. */
export interface NodeGrantsComponents {
  identity: Identity
  clock: Clock
  random: Random
  /** Gives things back at the end, the latest first. */
  undo: (step: () => Promise<unknown>) => void
  /** One plain sentence for people: no grants can be shown. */
  onNote?: (text: string) => void
}

/** Makes both sides of grants: what is kept in the data folder is shown, and where it is wanted asked for. */
export async function createNodeGrants(
  init: { dataDir?: string; askForGrants?: boolean },
  components: NodeGrantsComponents
): Promise<NodeGrants> {
  const { identity, clock, random, undo, onNote } = components
  const { dataDir } = init
  let folder: Promise<GrantFolder> | undefined
  // Loaded when it is first needed: most of a process's start is reading modules.
  const opened = async (): Promise<GrantFolder | undefined> => {
    if (dataDir === undefined) return undefined
    folder ??= import('./grant-folder.ts').then(({ openGrants }) => openGrants(dataDir, { clock }))
    // A failed look may be tried again.
    folder.catch(() => (folder = undefined))
    return folder
  }
  undo(async () => (await folder)?.close())
  let source: Promise<CapabilitySource> | undefined
  let told = ''
  const makeSource = async (): Promise<CapabilitySource> => {
    const { createGrantCapabilities } = await import('@kwaai/identity/grant')
    const kept = await opened()
    return createGrantCapabilities(
      {
        grants: () => kept?.list() ?? [],
        subjectsOf: (peer) => kept?.subjectsOf(peer) ?? [peer]
      },
      { signer: identity, clock, random }
    )
  }
  const capabilities: CapabilitySource = {
    specification: 'kwaai.capability-source/1',
    async capability(request, options) {
      source ??= makeSource()
      try {
        return await (await source).capability(request, options)
      } catch (error) {
        source = undefined
        options?.signal?.throwIfAborted()
        if (!(error instanceof KwaaiError) || !error.code.startsWith('ERR_NODE_')) throw error
        // Nothing is shown then: who asks for no grants serves this node all the same, and nobody else is to blame.
        if (told !== error.message) onNote?.(`No grants are shown. ${error.message}`)
        told = error.message
        return new Uint8Array(0)
      }
    }
  }
  if (init.askForGrants !== true) return { capabilities }
  const { createGrantAuthorizer, createReplayGuard, createRevocations } =
    await import('@kwaai/identity/grant')
  const kept = await opened()
  // A file of revocations or of what was used that cannot be read is told now, and not to each who asks.
  await kept?.check()
  const subjects = kept?.subjects ?? [identity.did]
  const store = createMemoryStore()
  const authorizer = createGrantAuthorizer(
    { executor: identity.did, subjects },
    {
      clock,
      revocations: kept?.revocations ?? createRevocations({ subjects }, { store, clock }),
      replays: kept?.replays ?? createReplayGuard({}, { store, clock })
    }
  )
  return { authorizer, capabilities }
}
