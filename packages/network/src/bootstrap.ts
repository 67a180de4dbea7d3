import type { Clock, Network, PeerId, Random } from '@kwaai/interface'
import { BOOTSTRAP_BACK_OFF_MS } from './constants.ts'

/** The pause before dial number `attempt` (from 0): doubling, bounded, with up to a quarter more by chance. */
export function backOffMs(attempt: number, random: Random): number {
  const { first, longest } = BOOTSTRAP_BACK_OFF_MS
  return Math.min(longest, first * 2 ** Math.min(attempt, 30)) * (1 + random.next() / 4)
}

/**
 * Dials a bootstrap peer until it answers, and again whenever the connection is lost, until the signal aborts.
 * Never rejects.
 */
export async function keepConnected(
  network: Pick<Network, 'connect' | 'peers' | 'onPeer'>,
  address: string,
  components: { clock: Clock; random: Random; signal: AbortSignal }
): Promise<void> {
  const { clock, random, signal } = components
  try {
    for (let attempt = 0; !signal.aborted; attempt++) {
      const peer = await network.connect(address, { signal }).catch(() => undefined)
      if (peer !== undefined) {
        attempt = 0
        await lost(network, peer, signal)
      }
      await clock.sleep(backOffMs(attempt, random), { signal })
    }
  } catch {
    // The signal has aborted.
  }
}

function lost(network: Pick<Network, 'peers' | 'onPeer'>, peer: PeerId, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const leave = (): void => {
      stop()
      signal.removeEventListener('abort', abort)
    }
    const abort = (): void => {
      leave()
      reject(signal.reason)
    }
    const stop = network.onPeer((event) => {
      if (event.type !== 'disconnect' || event.peer !== peer) return
      leave()
      resolve()
    })
    signal.addEventListener('abort', abort, { once: true })
    if (signal.aborted) abort()
    else if (!network.peers().includes(peer)) {
      leave()
      resolve()
    }
  })
}
