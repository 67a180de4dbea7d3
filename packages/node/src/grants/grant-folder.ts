import { join } from 'node:path'
import {
  createReplayGuard,
  createRevocations,
  readGrant,
  type Grant,
  type ReplayGuard,
  type Revocations
} from '@kwaai/identity/grant'
import type { CallOptions, Clock, Did } from '@kwaai/interface'
import { grantScopes, openAudit, openSealedFile, record, type NodeAuditEntry } from '../audit.ts'
import { nodeError } from '../errors.ts'
import { readKey } from '../node-key.ts'
import { createFileStore } from '../store/file-store.ts'

/** The grants of a data folder: those given, those received, and what was revoked. Several processes may use it at once. */
export interface GrantFolder {
  /** Whose resources this folder's node acts on: its own key's, and its controller's. */
  readonly subjects: readonly Did[]
  readonly revocations: Revocations
  /** Which invocations were done. */
  readonly replays: ReplayGuard
  /**
   * Reads both files once, to tell at the start of a node what else each who asks would be told.
   *
   * @throws A KwaaiError `ERR_NODE_STORE_DAMAGED` where one of them was changed by something else.
   */
  check(options?: CallOptions): Promise<void>
  /** All that are kept, those that are over too. */
  list(options?: CallOptions): Promise<Grant[]>
  /**
   * Finds a grant by its id or the beginning of it.
   *
   * @throws A KwaaiError `ERR_NODE_GRANT_UNKNOWN` where there is none, or more than one.
   */
  find(id: string, options?: CallOptions): Promise<Grant>
  /**
   * Keeps a grant. What has been over for a day makes room.
   *
   * @param peers - who honours it besides its owner: the nodes of a controller.
   * @throws A KwaaiError `ERR_NODE_STORE_FULL`.
   */
  keep(grant: Grant, peers?: readonly Did[], options?: CallOptions): Promise<void>
  /** Appends to the audit log of the folder. */
  record(entry: NodeAuditEntry, options?: CallOptions): Promise<void>
  /** Whose grants a peer honours, as far as is known: its own, and those kept for it. */
  subjectsOf(peer: Did, options?: CallOptions): Promise<Did[]>
  close(): Promise<void>
}

const prefix = 'grant/kept/'
const peersPrefix = 'grant/peers/'
const maxKept = 1000
const dayS = 86_400

/** Opens the grants of a data folder. */
export async function openGrants(
  dataDir: string,
  { clock, subjects }: { clock: Clock; subjects?: readonly Did[] },
  options: CallOptions = {}
): Promise<GrantFolder> {
  const owners = subjects ?? (await ownersOf(dataDir, options))
  // Each is encrypted under the key of whom it was given to, and forgotten with that.
  const kept = openSealedFile(dataDir, 'grants.log', grantScopes)
  const used = createFileStore({ path: join(dataDir, 'grants-used.log') })
  const audit = openAudit(dataDir, { clock })
  // What was read once need not be verified again: the id is the hash of what was read.
  const known = new Map<string, Grant>()

  async function list(call: CallOptions = {}): Promise<Grant[]> {
    const grants: Grant[] = []
    for await (const [key, bytes] of kept.entries({ gte: prefix, lt: 'grant/kept0', ...call })) {
      const id = key.slice(prefix.length)
      const before = known.get(id)
      const reading = before === undefined ? await readGrant(bytes) : { ok: true as const, grant: before }
      // The store vouches for its bytes: what cannot be read is of another release.
      if (!reading.ok) continue
      known.set(id, reading.grant)
      grants.push(reading.grant)
    }
    return grants
  }

  return {
    subjects: owners,
    revocations: createRevocations({ subjects: owners }, { store: kept, clock }),
    replays: createReplayGuard({}, { store: used, clock }),
    async check(call) {
      await list(call)
      await used.get('', call)
    },
    list,
    async find(id, call) {
      const found = (await list(call)).filter((grant) => grant.id.startsWith(id))
      if (id.length >= 6 && found.length === 1) return found[0] as Grant
      throw nodeError(
        'ERR_NODE_GRANT_UNKNOWN',
        found.length > 1
          ? `Cannot tell which grant ${id} is: ${found.length} begin so. Give more of its id`
          : `Cannot find the grant ${id}: none that is kept has this id. "kwaai grant list" shows them`
      )
    },
    record: (entry, call) => record(audit, entry, call),
    async subjectsOf(peer, call = {}) {
      // One walk: to find a single entry takes a look under the key of each person that the node knows.
      const ids = new Set<string>()
      for await (const [key, bytes] of kept.entries({ gte: peersPrefix, lt: 'grant/peers0', ...call })) {
        const peers = JSON.parse(new TextDecoder().decode(bytes)) as Did[]
        if (peers.includes(peer)) ids.add(key.slice(peersPrefix.length))
      }
      if (ids.size === 0) return [peer]
      const owners = (await list(call)).filter(({ id }) => ids.has(id)).map(({ claims }) => claims.sub)
      return [...new Set([peer, ...owners])]
    },
    async keep(grant, peers = [], call = {}) {
      const all = await list(call)
      const over = all.filter(({ claims }) => claims.exp + dayS < clock.now() / 1000)
      if (all.length - over.length >= maxKept && !known.has(grant.id)) {
        throw nodeError('ERR_NODE_STORE_FULL', `Cannot keep the grant: ${maxKept} are kept that still hold`)
      }
      await kept.batch(
        [
          ...over.flatMap(({ id }) => [
            { type: 'delete' as const, key: prefix + id },
            { type: 'delete' as const, key: peersPrefix + id }
          ]),
          { type: 'put', key: prefix + grant.id, value: grant.bytes },
          ...(peers.length === 0
            ? []
            : [
                {
                  type: 'put' as const,
                  key: peersPrefix + grant.id,
                  value: new TextEncoder().encode(JSON.stringify(peers))
                }
              ])
        ],
        call
      )
      for (const { id } of over) known.delete(id)
    },
    async close() {
      await kept[Symbol.asyncDispose]()
      await used[Symbol.asyncDispose]()
      await audit[Symbol.asyncDispose]()
    }
  }
}

/** The names of the keys of a data folder, which need not be opened for that. */
async function ownersOf(dataDir: string, options: CallOptions): Promise<Did[]> {
  const keys = await Promise.all([
    readKey(dataDir, 'identity', options),
    readKey(dataDir, 'controller', options)
  ])
  return keys.flatMap((key) => (key?.did === undefined ? [] : [key.did]))
}
