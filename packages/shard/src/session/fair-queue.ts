import type { PeerId } from '@kwaai/interface'

/** Something a caller waits for, and what it costs. */
export interface FairItem {
  readonly peer: PeerId
  /** Rows of its next step. */
  readonly rows: number
}

/** What one call may take. */
export interface FairRoom {
  items: number
  rows: number
}

/** Waiting work, handed out fairly by caller. */
export interface FairQueue<T extends FairItem> {
  readonly size: number
  push(item: T): void
  /** Takes what comes next: the first one whatever its rows, more of them while they fit. */
  take(room: FairRoom): T[]
  remove(item: T): void
  [Symbol.iterator](): Iterator<T>
}

interface Caller<T> {
  items: T[]
  credit: number
  /** True while it is this caller's turn and it has had its credit. */
  visited: boolean
}

/**
 * Deficit round robin over rows (M. Shreedhar, G. Varghese, "Efficient Fair Queuing Using Deficit Round Robin",
 * 1995): each caller's turn adds `quantum` rows to its credit, and work goes out as far as the credit reaches.
 * So a caller gets its share whatever the number and the length of the others' steps; one caller's own items
 * stay in their order, and callers that wait with one item each stay in the order they came.
 */
export function createFairQueue<T extends FairItem>(quantum: number): FairQueue<T> {
  const callers = new Map<PeerId, Caller<T>>()
  const ring: PeerId[] = []
  let size = 0

  const leave = (peer: PeerId): void => {
    callers.delete(peer)
    ring.splice(ring.indexOf(peer), 1)
  }

  return {
    get size() {
      return size
    },
    push(item) {
      size++
      const caller = callers.get(item.peer)
      if (caller !== undefined) return void caller.items.push(item)
      callers.set(item.peer, { items: [item], credit: 0, visited: false })
      ring.push(item.peer)
    },
    take(room) {
      const taken: T[] = []
      let rows = 0
      while (taken.length < room.items) {
        const peer = ring[0]
        const caller = peer === undefined ? undefined : callers.get(peer)
        const item = caller?.items[0]
        if (peer === undefined || caller === undefined || item === undefined) break
        if (!caller.visited) caller.credit += quantum
        caller.visited = true
        if (item.rows > caller.credit) {
          caller.visited = false
          ring.push(...ring.splice(0, 1))
          continue
        }
        // It keeps its turn, and its credit, for the next call.
        if (taken.length > 0 && rows + item.rows > room.rows) break
        caller.credit -= item.rows
        caller.items.shift()
        size--
        taken.push(item)
        rows += item.rows
        if (caller.items.length === 0) leave(peer)
      }
      return taken
    },
    remove(item) {
      const caller = callers.get(item.peer)
      const at = caller?.items.indexOf(item) ?? -1
      if (caller === undefined || at < 0) return
      caller.items.splice(at, 1)
      size--
      if (caller.items.length === 0) leave(item.peer)
    },
    *[Symbol.iterator]() {
      for (const caller of callers.values()) yield* caller.items
    }
  }
}
