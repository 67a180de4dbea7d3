import type { Oracle } from '../../shard/test/oracle/index.ts'
import { startCluster } from './cluster.ts'
import { greedy } from './greedy.ts'

/** What happened to one answer whose chain lost a server. */
export interface Failover {
  topology: 'push' | 'star'
  context: number
  /** The longest wait for a token since the kill. */
  stallMs: number
  /** The usual wait for a token, before. */
  tokenMs: number
  /** Rows the one that took over computed for tokens that were there before. */
  replayedRows: number
  /** What asking again costs afterwards: to the same token, from the beginning. */
  startMs: number
}

export const killedAt = 30
const answerTokens = 120

/** Text-like ids: all ordinary tokens, the same in every run. */
export function promptOf(length: number): number[] {
  let state = 12_345
  return Array.from({ length }, () => {
    state = (state * 1_103_515_245 + 12_345) % 2 ** 31
    return 300 + (state % 40_000)
  })
}

async function rowsServed(apiUrl: string | undefined): Promise<number> {
  const status = (await (await fetch(`${apiUrl}/health`)).json()) as { tokensServed: number }
  return status.tokensServed
}

/**
 * Kills the server in the middle of a chain of three at token 30 of 120, while a twin of it runs.
 *
 * @throws An Error when the tokens are not those of llama.cpp.
 */
export async function measureFailover(init: {
  path: string
  oracle: Oracle
  topology: 'push' | 'star'
  context: number
}): Promise<Failover> {
  const { path, oracle, topology, context } = init
  const prompt = promptOf(context)
  const { tokens: expected } = await oracle.generate(prompt, answerTokens)
  const spans = ['0-10', '10-20', '10-20', '20-30']
  await using cluster = await startCluster(path, spans, { client: { topology }, apis: true })
  const { client, servers } = cluster
  const head = await client.head()
  // Everything is loaded and every way known when the clock runs.
  await greedy(client.blocks, head, prompt.slice(0, 70), 4)

  const holder = (): string | undefined => client.lastChain().find(({ from }) => from === 10)?.peer
  let at = performance.now()
  const waits: number[] = []
  let victim: string | undefined
  const twins = servers.filter(({ status }) => status.spans[0]?.[0] === 10)
  const rows = await Promise.all(twins.map(({ apiUrl }) => rowsServed(apiUrl)))
  const run = await greedy(client.blocks, head, prompt, answerTokens, 64, {
    onToken() {
      const now = performance.now()
      waits.push(now - at)
      at = now
      if (waits.length !== killedAt) return
      victim = holder()
      twins.find(({ status }) => status.peerId === victim)?.child.kill('SIGKILL')
    }
  })
  const spare = twins.findIndex(({ status }) => status.peerId !== victim)
  if (run.tokens.join() !== expected.join()) throw new Error('the tokens are not those of llama.cpp')
  if (holder() === victim) throw new Error('nobody took over')
  const computed = (await rowsServed(twins[spare]?.apiUrl)) - (rows[spare] ?? 0)
  const startedAt = performance.now()
  await greedy(client.blocks, head, [...prompt, ...expected.slice(0, killedAt)], 1)
  const sorted = waits.slice(1, killedAt).toSorted((a, b) => a - b)
  return {
    topology,
    context,
    stallMs: Math.max(...waits.slice(killedAt)),
    tokenMs: sorted[sorted.length >> 1] as number,
    // The tokens after the kill are no replay; the last token chosen is never run.
    replayedRows: computed - (answerTokens - killedAt),
    startMs: performance.now() - startedAt
  }
}
