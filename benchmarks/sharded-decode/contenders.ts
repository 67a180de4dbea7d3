import { createNode, ensureModel } from '@kwaai/node'
import { startCluster } from '../../packages/node/test/cluster.ts'
import { greedy } from '../../packages/node/test/greedy.ts'
import { createOracle } from '../../packages/shard/test/oracle/index.ts'

/** One turn: a prompt and some greedy tokens. */
export interface Turn {
  prefillMs: number
  decodeMs: number[]
  tokens: number[]
}

/** Somebody who holds the model and takes turns. */
export interface Contender extends AsyncDisposable {
  name: string
  turn(prompt: readonly number[], count: number): Promise<Turn>
}

/** libllama with the whole model, in a process of its own. */
export async function llamaContender(path: string, threads: number): Promise<Contender> {
  const oracle = await createOracle({ path, threads })
  return {
    name: 'llama.cpp',
    turn: (prompt, count) => oracle.generate(prompt, count),
    [Symbol.asyncDispose]: async () => oracle[Symbol.asyncDispose]()
  }
}

/** Our runner with all blocks. */
export async function oneProcess(path: string, threads: number): Promise<Contender> {
  const node = await createNode({ model: path, threads })
  const head = await node.head()
  return {
    name: 'one process',
    turn: (prompt, count) => greedy(node.blocks, head, prompt, count),
    [Symbol.asyncDispose]: () => node.stop()
  }
}

/** Three servers and a client, each a process; the client is this one. */
export async function threeProcesses(path: string, threads: number): Promise<Contender> {
  const cluster = await startCluster(path, undefined, { threads })
  const head = await cluster.client.head()
  return {
    name: 'three processes',
    turn: (prompt, count) => greedy(cluster.client.blocks, head, prompt, count),
    [Symbol.asyncDispose]: async () => cluster[Symbol.asyncDispose]()
  }
}

/** The default model, fetched if it is not here. */
export async function modelPath(): Promise<string> {
  return (await ensureModel({ onNote: (text) => console.error(text) })).path
}
