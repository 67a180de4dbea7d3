import {
  deadlineSignal,
  type CallOptions,
  type Clock,
  type Logger,
  type Network,
  type Startable
} from '@kwaai/interface'
import type { Node } from '../node.ts'
import type { ObservationLog } from './observations.ts'

/** How an issuer watches its peers. */
export interface WatcherInit {
  /** Milliseconds between two rounds of probes. Default 60,000. */
  probeIntervalMs?: number
  /** Milliseconds a peer has to answer. Default 10,000. */
  probeTimeoutMs?: number
  /** Milliseconds between two measured answers; 0 for none. Default 3,600,000 (an hour). */
  throughputIntervalMs?: number
  /** Tokens of a measured answer. Default 24. */
  throughputTokens?: number
  /** Milliseconds a measured answer may take. Default 120,000. */
  throughputTimeoutMs?: number
}

/** What a watcher works with: the running node's own network and its own model. */
export interface WatcherComponents {
  network: Pick<Network, 'peerId' | 'peers' | 'ping'>
  node: Pick<Node, 'model' | 'lastChain' | 'status'>
  observations: ObservationLog
  clock: Clock
  logger?: Logger
}

/** Watches the peers of a node. */
export interface Watcher extends Startable {
  /** Probes every watched peer once, and those connected now. @returns how many answered, of how many. */
  probe(options?: CallOptions): Promise<{ probed: number; answered: number }>
  /**
   * Asks the model for an answer and notes its tokens a second for every other peer that computed a part of it.
   *
   * @returns how many peers that was; 0 where this node computed alone.
   * @throws What the model throws where no chain can serve.
   */
  measure(options?: CallOptions): Promise<number>
}

const parallelProbes = 8

/**
 * Makes a watcher. A probe is a round trip to the peer over the node's network, dialled anew where there is no
 * connection; a peer is watched from the first time it was connected on, and its absence counts from then on.
 */
export function createWatcher(init: WatcherInit, components: WatcherComponents): Watcher {
  const { probeIntervalMs = 60_000, probeTimeoutMs = 10_000 } = init
  const { throughputIntervalMs = 3_600_000, throughputTokens = 24, throughputTimeoutMs = 120_000 } = init
  const { network, node, observations, clock, logger } = components
  let running: { end: AbortController; loops: Promise<unknown> } | undefined

  const within = async <T>(
    ms: number,
    what: string,
    work: (signal: AbortSignal) => Promise<T>,
    signal?: AbortSignal
  ): Promise<T> => {
    const timer = deadlineSignal(clock, ms, () => new Error(`${what} took longer than ${ms} ms`), signal)
    try {
      return await work(timer.signal)
    } finally {
      timer.clear()
    }
  }

  const probeOne = async (peer: string, signal?: AbortSignal): Promise<boolean> => {
    const answered = await within(
      probeTimeoutMs,
      'a probe',
      (timer) => network.ping(peer, { signal: timer }),
      signal
    ).then(
      () => true,
      () => false
    )
    // A round that was broken off says nothing about a peer.
    signal?.throwIfAborted()
    return answered
  }

  const probe = async ({ signal }: CallOptions = {}): Promise<{ probed: number; answered: number }> => {
    for (const peer of network.peers()) if (peer !== network.peerId) await observations.watch(peer)
    const waiting = await observations.peers()
    const answers = new Map<string, boolean>()
    const work = async (): Promise<void> => {
      for (let peer = waiting.pop(); peer !== undefined; peer = waiting.pop()) {
        answers.set(peer, await probeOne(peer, signal))
      }
    }
    await Promise.all(Array.from({ length: parallelProbes }, work))
    await observations.probed(answers)
    return { probed: answers.size, answered: [...answers.values()].filter(Boolean).length }
  }

  const measure = async ({ signal }: CallOptions = {}): Promise<number> => {
    let tokens = 0
    let first: number | undefined
    let last = 0
    await within(
      throughputTimeoutMs,
      'an answer',
      async (timer) => {
        const request = {
          messages: [{ role: 'user' as const, content: 'Count from one to twenty in words.' }],
          temperature: 0,
          maxTokens: throughputTokens
        }
        for await (const event of node.model.chat(request, { signal: timer })) {
          if (event.type !== 'text') continue
          last = clock.monotonic()
          // What came with the first text was computed before it.
          if (first === undefined) first = last
          else tokens += event.tokens.length
        }
      },
      signal
    )
    const seconds = (last - (first ?? last)) / 1000
    if (tokens === 0 || seconds <= 0) return 0
    const { model } = node.status()
    const others = new Set(node.lastChain().map(({ peer }) => peer))
    others.delete(network.peerId)
    const sample = {
      at: clock.now(),
      model: model.id,
      modelHash: model.sha256,
      tokens,
      tokensPerSecond: tokens / seconds
    }
    for (const peer of others) {
      await observations.watch(peer)
      await observations.measured(peer, sample)
    }
    return others.size
  }

  const loop = async (
    event: string,
    intervalMs: number,
    work: (options: CallOptions) => Promise<unknown>,
    signal: AbortSignal
  ): Promise<void> => {
    while (!signal.aborted) {
      try {
        const done = await work({ signal })
        logger?.log('debug', event, typeof done === 'object' ? { ...done } : { count: done })
      } catch (error) {
        if (signal.aborted) return
        logger?.log('warn', `${event}.failed`, {
          message: error instanceof Error ? error.message : String(error)
        })
      }
      await clock.sleep(intervalMs, { signal }).catch(() => undefined)
    }
  }

  const stop = async (): Promise<void> => {
    const ending = running
    running = undefined
    ending?.end.abort(new Error('the watcher ends'))
    await ending?.loops
  }
  return {
    probe,
    measure,
    async start() {
      if (running !== undefined) return
      const end = new AbortController()
      const loops = [loop('issuer.probed', probeIntervalMs, probe, end.signal)]
      if (throughputIntervalMs > 0)
        loops.push(loop('issuer.measured', throughputIntervalMs, measure, end.signal))
      running = { end, loops: Promise.all(loops) }
    },
    stop,
    [Symbol.asyncDispose]: stop
  }
}
