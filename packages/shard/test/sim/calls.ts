import type { World } from './world.ts'

/** The calls under way in a world, each with the time by which it has to end. */
export interface Calls {
  /** Waits for a call of a client. */
  within<T>(
    call: { client: string; who: string; what: string; limitMs: number },
    promise: PromiseLike<T>
  ): Promise<T>
  /** Forgets the calls of a client that is dead. */
  forget(client: string): void
  /** The first one that is late. Time in which its client stood still does not count. */
  late(): { who: string; what: string; limitMs: number } | undefined
  /** All that wait. */
  open(): { who: string; what: string }[]
}

/** How much later than its deadline a call may end: its last timer has to get its turn. */
const graceMs = 100

export function createCalls(world: Pick<World, 'ms' | 'stalledMs'>): Calls {
  const open = new Set<{ client: string; who: string; what: string; limitMs: number; limitAt: number }>()
  const ownTime = (client: string): number => world.ms() - world.stalledMs(client)
  return {
    async within(call, promise) {
      const entry = { ...call, limitAt: ownTime(call.client) + call.limitMs + graceMs }
      open.add(entry)
      try {
        return await promise
      } finally {
        open.delete(entry)
      }
    },
    forget(client) {
      for (const entry of open) if (entry.client === client) open.delete(entry)
    },
    late: () => [...open].find(({ client, limitAt }) => ownTime(client) > limitAt),
    open: () => [...open]
  }
}
