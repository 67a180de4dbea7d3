import type { PeerId } from '@kwaai/interface'
import { MAX_FAILURES } from './constants.ts'
import { commonPrefixLength, compareDistance, idOfPeer, type DhtId } from './id.ts'

interface Contact {
  readonly peer: PeerId
  readonly id: DhtId
  /** Requests in a row it did not answer. */
  failures: number
}

interface Bucket {
  /** Longest unseen first. At most k. */
  readonly contacts: Contact[]
  /** Answered too, but found the bucket full; longest unseen first. At most k. */
  readonly replacements: Contact[]
}

/** The peers a node knows: many near its own point, few far away (Kademlia, section 2.2). */
export interface RoutingTable {
  readonly size: number
  has(peer: PeerId): boolean
  /** True for a contact and for a replacement that waits. */
  knows(peer: PeerId): boolean
  /** Every contact. */
  peers(): PeerId[]
  /** The contacts closest to a point, closest first. */
  closest(target: DhtId, count: number): PeerId[]
  /**
   * A peer has answered. Old contacts are worth more than new ones, so a full bucket keeps them and remembers the
   * newcomer as their replacement.
   *
   * @returns the contact of a full bucket that has been silent for longest: ask whether it still lives.
   */
  seen(peer: PeerId): PeerId | undefined
  /** A peer has not answered: it leaves when a replacement waits, else after two failures in a row. */
  failed(peer: PeerId): void
  /** A peer does not speak the protocol. */
  remove(peer: PeerId): void
  /** The bucket of the closest contact, or -1: buckets 0 to this one are worth refreshing. */
  deepest(): number
}

/** Makes the routing table of a peer, with buckets of `k`. Pure: no clock, no network. */
export function createRoutingTable(init: { self: PeerId; k: number }): RoutingTable {
  const { self, k } = init
  const own = idOfPeer(self)
  // Bucket i holds the peers that share exactly i leading bits with the own point. Kademlia's tree of splitting
  // buckets ends in the same buckets; a map of those in use needs no splitting.
  const buckets = new Map<number, Bucket>()
  const contacts = new Map<PeerId, Contact>()

  const bucketOf = (id: DhtId): Bucket => {
    const index = commonPrefixLength(own, id)
    let bucket = buckets.get(index)
    if (bucket === undefined) {
      bucket = { contacts: [], replacements: [] }
      buckets.set(index, bucket)
    }
    return bucket
  }
  const take = (list: Contact[], peer: PeerId): Contact | undefined => {
    const at = list.findIndex((contact) => contact.peer === peer)
    return at < 0 ? undefined : list.splice(at, 1)[0]
  }
  const drop = (bucket: Bucket, peer: PeerId): void => {
    take(bucket.contacts, peer)
    contacts.delete(peer)
    const replacement = bucket.replacements.pop()
    if (replacement === undefined) return
    bucket.contacts.push(replacement)
    contacts.set(replacement.peer, replacement)
  }

  return {
    get size() {
      return contacts.size
    },
    has: (peer) => contacts.has(peer),
    knows: (peer) =>
      contacts.has(peer) || bucketOf(idOfPeer(peer)).replacements.some((waiting) => waiting.peer === peer),
    peers: () => [...contacts.keys()],
    closest: (target, count) =>
      [...contacts.values()]
        .toSorted((a, b) => compareDistance(target, a.id, b.id))
        .slice(0, count)
        .map(({ peer }) => peer),
    seen: (peer) => {
      if (peer === self) return undefined
      const id = contacts.get(peer)?.id ?? idOfPeer(peer)
      const bucket = bucketOf(id)
      const known = take(bucket.contacts, peer)
      if (known !== undefined || bucket.contacts.length < k) {
        const contact = { peer, id, failures: 0 }
        take(bucket.replacements, peer)
        bucket.contacts.push(contact)
        contacts.set(peer, contact)
        return undefined
      }
      take(bucket.replacements, peer)
      bucket.replacements.push({ peer, id, failures: 0 })
      if (bucket.replacements.length > k) bucket.replacements.shift()
      return bucket.contacts[0]?.peer
    },
    failed: (peer) => {
      const bucket = bucketOf(contacts.get(peer)?.id ?? idOfPeer(peer))
      take(bucket.replacements, peer)
      const contact = contacts.get(peer)
      if (contact === undefined) return
      contact.failures += 1
      if (contact.failures >= MAX_FAILURES || bucket.replacements.length > 0) drop(bucket, peer)
    },
    remove: (peer) => {
      const bucket = bucketOf(contacts.get(peer)?.id ?? idOfPeer(peer))
      take(bucket.replacements, peer)
      if (contacts.has(peer)) drop(bucket, peer)
    },
    deepest: () =>
      [...buckets].reduce(
        (most, [index, { contacts }]) => (contacts.length > 0 ? Math.max(most, index) : most),
        -1
      )
  }
}
