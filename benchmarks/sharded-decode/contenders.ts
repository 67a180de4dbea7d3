import type { HeadRunner, RowKernel } from '@kwaai/interface'
import { createNode, ensureModel, startServer, stopServer, type Server } from '@kwaai/node'
import type { BlockPipelineSource } from '@kwaai/shard/generate'
import { createOracle } from '../../packages/shard/test/oracle/index.ts'

/** One turn: a prompt and some greedy tokens. */
export interface Turn {
  prefillMs: number
  decodeMs: number[]
  tokens: number[]
}

export interface Contender extends AsyncDisposable {
  name: string
  turn(prompt: readonly number[], count: number): Promise<Turn>
}

const prefillRows = 64

function argmax(values: Float32Array): number {
  let best = 0
  for (let i = 1; i < values.length; i++) if ((values[i] as number) > (values[best] as number)) best = i
  return best
}

/** Greedy generation over a pipeline, measured from logits to logits. */
async function runPipeline(
  blocks: BlockPipelineSource,
  head: HeadRunner,
  prompt: readonly number[],
  count: number
): Promise<Turn> {
  const pipeline = await blocks.open({ maxTokens: prompt.length + count })
  try {
    const kernel: RowKernel = prompt.length >= 64 ? 'tile' : 'vec'
    let started = performance.now()
    const steps: Promise<Float32Array>[] = []
    for (let past = 0; past < prompt.length; past += prefillRows) {
      const ids = prompt.slice(past, past + prefillRows)
      const last = past + ids.length === prompt.length
      const hidden = await head.embed(ids)
      steps.push(pipeline.forward({ past, hidden, kernel, result: last ? 'last' : 'none' }))
    }
    const rows = await Promise.all(steps)
    let logits = await head.logits(rows.at(-1) as Float32Array)
    const prefillMs = performance.now() - started
    const tokens: number[] = []
    const decodeMs: number[] = []
    for (;;) {
      const token = argmax(logits)
      tokens.push(token)
      if (tokens.length === count) return { prefillMs, decodeMs, tokens }
      started = performance.now()
      const hidden = await head.embed([token])
      const past = prompt.length + tokens.length - 1
      logits = await head.logits(await pipeline.forward({ past, hidden, kernel: 'vec', result: 'last' }))
      decodeMs.push(performance.now() - started)
    }
  } finally {
    await pipeline[Symbol.asyncDispose]()
  }
}

/** libllama with the whole model. Its thread count is part of its process. */
export async function llamaContender(path: string, threads: number): Promise<Contender> {
  const oracle = await createOracle({ path, threads })
  return {
    name: 'llama.cpp',
    turn: (prompt, count) => oracle.generate(prompt, count),
    [Symbol.asyncDispose]: () => oracle[Symbol.asyncDispose]()
  }
}

/** Our runner with all blocks. */
export async function oneProcess(path: string, threads: number): Promise<Contender> {
  const node = await createNode({ model: path, threads })
  const head = await node.head()
  return {
    name: 'one process',
    turn: (prompt, count) => runPipeline(node.blocks, head, prompt, count),
    [Symbol.asyncDispose]: () => node.stop()
  }
}

/** Three servers and a client, each a process; the client is this one. */
export async function threeProcesses(path: string, threads: number, dataDir: string): Promise<Contender> {
  const servers: Server[] = []
  const signal = new AbortController().signal
  const stop = async (): Promise<void> => void (await Promise.all(servers.map(stopServer)))
  try {
    for (const [index, blocks] of ['0-10', '10-20', '20-30'].entries()) {
      const first = servers[0]?.status.addresses[0]
      const args = ['--model', path, '--blocks', blocks, '--no-api', '--threads', String(threads)]
      args.push('--data-dir', `${dataDir}/${index}`, ...(first === undefined ? [] : ['--bootstrap', first]))
      servers.push(await startServer(args, { env: process.env, signal }))
    }
    const bootstrap = servers[0]?.status.addresses.slice(0, 1) ?? []
    const node = await createNode({ model: path, blocks: 'none', bootstrap, threads })
    await node.whenReady()
    const head = await node.head()
    return {
      name: 'three processes',
      turn: (prompt, count) => runPipeline(node.blocks, head, prompt, count),
      async [Symbol.asyncDispose]() {
        await node.stop()
        await stop()
      }
    }
  } catch (error) {
    await stop()
    throw error
  }
}

export async function modelPath(): Promise<string> {
  return (await ensureModel({ onNote: (text) => console.error(text) })).path
}
