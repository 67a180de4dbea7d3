import type { Clock, PeerId, Random } from '@kwaai/interface'
import type { MemoryFaults } from '@kwaai/interface/memory'

/** How an in-memory network misbehaves. All of it may be changed while it runs. */
export interface FaultSettings {
  /** How long each write travels, in milliseconds. Default 0. */
  latencyMs?: number
  /** At most so much is added to it, in milliseconds. Default 0. */
  jitterMs?: number
  /** Probability that a write resets its stream. Default 0. */
  resetRate?: number
  /** Probability that a dial fails. Default 0. */
  dialFailureRate?: number
}

/** Faults for `createMemoryHub`, with handles to turn. */
export interface ControlledFaults extends Required<MemoryFaults> {
  readonly settings: Required<FaultSettings>
  /** Lets a peer hang: nothing to it and nothing from it arrives, and no error shows, until {@link resume}. */
  stall(peer: PeerId): void
  resume(peer: PeerId): void
}

/** Makes {@link ControlledFaults}; the same clock and the same seed give the same faults. */
export function createFaults(
  init: FaultSettings,
  components: { clock: Clock; random: Random }
): ControlledFaults {
  const { clock, random } = components
  const settings = { latencyMs: 0, jitterMs: 0, resetRate: 0, dialFailureRate: 0, ...init }
  const stalled = new Map<PeerId, { over: Promise<void>; end: () => void }>()

  const travel = async (link: { from: PeerId; to: PeerId }, signal: AbortSignal): Promise<void> => {
    const ms = settings.latencyMs + settings.jitterMs * random.next()
    if (ms > 0) await clock.sleep(ms, { signal })
    for (;;) {
      const stall = stalled.get(link.from) ?? stalled.get(link.to)
      if (stall === undefined) return
      await Promise.race([stall.over, ended(signal)])
      signal.throwIfAborted()
    }
  }

  return {
    settings,
    dial: async (link, signal) => {
      await travel(link, signal)
      return random.next() < settings.dialFailureRate ? 'fail' : 'pass'
    },
    transfer: async (transfer, signal) => {
      await travel(transfer, signal)
      return random.next() < settings.resetRate ? 'reset' : 'pass'
    },
    stall: (peer) => {
      if (stalled.has(peer)) return
      let end = (): void => undefined
      const over = new Promise<void>((resolve) => {
        end = resolve
      })
      stalled.set(peer, { over, end })
    },
    resume: (peer) => {
      stalled.get(peer)?.end()
      stalled.delete(peer)
    }
  }
}

function ended(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve()
    signal.addEventListener('abort', () => resolve(), { once: true })
  })
}
