import type { HeadRunner } from '@kwaai/interface'
import { createNode, ensureModel, type Node } from '@kwaai/node'
import { startCluster } from '../../packages/node/test/cluster.ts'
import { greedy } from '../../packages/node/test/greedy.ts'
import { createOracle } from '../../packages/shard/test/oracle/index.ts'
import { residentBytes } from './load.ts'
import { manyContext, manyGreedy } from './many.ts'
import { observed } from './observed.ts'

/** What all contenders get. */
export interface ContenderInit {
  threads: number
  /** Tokens of a prompt at most. */
  maxPrompt: number
  /** Generations at once at most. */
  sequences: number
}

/** One turn: a prompt and some greedy tokens. */
export interface Turn {
  prefillMs: number
  decodeMs: number[]
  tokens: number[]
}

/** Several generations whose tokens are made at the same time, their prompts done. */
export interface ManyTurn {
  /** From the first generation's first token to the last one's last. */
  decodeMs: number
  tokens: number[][]
}

/** Where the time of generated tokens went: milliseconds a token, medians. */
export interface Breakdown {
  /** Embedding and head, at the client. */
  endsMs: number
  /** Blocks computed, as the servers say, all together. */
  computeMs: number
  /** Waiting for the runner, as the servers say, all together. */
  queueMs: number
  /** What is left: frames, processes that wake up, the way to ggml's process and back. */
  betweenMs: number
  hops: number
}

/** Somebody who holds the model and takes turns. */
export interface Contender extends AsyncDisposable {
  name: string
  turn(prompt: readonly number[], count: number): Promise<Turn>
  /** Where the time of the latest turn went. */
  breakdown?(): Breakdown
  many(prompts: readonly (readonly number[])[], count: number): Promise<ManyTurn>
  /** Resident bytes of all its processes. */
  residentBytes(): number
}

/** libllama with the whole model, in a process of its own. */
export async function llamaContender(path: string, init: ContenderInit): Promise<Contender> {
  const { threads, maxPrompt, sequences } = init
  const oracle = await createOracle({ path, threads, maxPrompt })
  const parallel = await createOracle({ path, threads, maxPrompt: manyContext, sequences })
  return {
    name: 'llama.cpp',
    turn: (prompt, count) => oracle.generate(prompt, count),
    many: (prompts, count) => parallel.generateAll(prompts, count),
    residentBytes: () => residentBytes([oracle.pid]),
    async [Symbol.asyncDispose]() {
      await parallel[Symbol.asyncDispose]()
      await oracle[Symbol.asyncDispose]()
    }
  }
}

/** Our runner with all blocks. */
export async function oneProcess(path: string, { threads }: ContenderInit): Promise<Contender> {
  const node = await createNode({ model: path, threads })
  return contenderOf('one process', node, await node.head(), {
    pids: [process.pid],
    dispose: () => node.stop()
  })
}

/** Three servers and a client, each a process; the client is this one. */
export async function threeProcesses(path: string, { threads }: ContenderInit): Promise<Contender> {
  const cluster = await startCluster(path, undefined, { threads })
  return contenderOf('three processes', cluster.client, await cluster.client.head(), {
    pids: cluster.servers.flatMap(({ child }) => child.pid ?? []),
    dispose: async () => cluster[Symbol.asyncDispose]()
  })
}

function contenderOf(
  name: string,
  node: Node,
  head: HeadRunner,
  { pids, dispose }: { pids: readonly number[]; dispose: () => Promise<void> }
): Contender {
  let latest: Breakdown | undefined
  return {
    name,
    async turn(prompt, count) {
      const { source, breakdown } = observed(node.blocks)
      const turn = await greedy(source, head, prompt, count)
      latest = breakdown(turn.decodeMs)
      return turn
    },
    breakdown: () => latest as Breakdown,
    many: (prompts, count) => manyGreedy(node.blocks, head, prompts, count),
    residentBytes: () => residentBytes(pids),
    [Symbol.asyncDispose]: dispose
  }
}

/** The default model, fetched if it is not here. */
export async function modelPath(): Promise<string> {
  return (await ensureModel({ onNote: (text) => console.error(text) })).path
}
