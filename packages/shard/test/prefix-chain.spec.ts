/** Sessions kept between the turns of a chat, with true servers behind them. */
import type { HeadRunner } from '@kwaai/interface'
import { createSeededRandom, macrotask } from '@kwaai/testing'
import { afterEach, expect, test } from 'vitest'
import {
  createTextModel,
  createTokenizer,
  localBlocks,
  type BlockPipelineSource,
  type TextModel
} from '../src/generate/index.ts'
import { bytesSource, readGguf } from '../src/gguf/index.ts'
import { openChain } from '../src/session/index.ts'
import {
  createFakeRunner,
  createStage,
  fakeShape,
  hiddenSize,
  rowsOf,
  spareServer,
  type Stage
} from './session-kit.ts'
import { outcomeOf, type Outcome } from './text-model-kit.ts'
import { toyModel } from './toy-model.ts'

const tokenizer = createTokenizer(await readGguf(bytesSource(toyModel())))
const [letter] = tokenizer.encode('a') as [number]

let stage: Stage
afterEach(() => stage.stop())

/** Says letters that depend on every bit of the row. */
const head: HeadRunner = {
  shape: { ...fakeShape(6), vocabularySize: tokenizer.vocabularySize },
  embed: async (ids) => {
    const rows = new Float32Array(ids.length * hiddenSize)
    for (const [i, id] of [...ids].entries()) rows.set(rowsOf(1, id), i * hiddenSize)
    return rows
  },
  logits: async (hidden) => {
    const bits = new Uint32Array(hidden.slice().buffer)
    const sum = bits.reduce((all, word) => (Math.imul(all, 31) + word) >>> 0, 0)
    const logits = new Float32Array(tokenizer.vocabularySize)
    logits[letter + (sum % 26)] = 1
    return logits
  },
  [Symbol.asyncDispose]: async () => undefined
}

const modelOver = (blocks: BlockPipelineSource): TextModel =>
  createTextModel({ id: 'toy' }, { tokenizer, template: undefined, head, blocks, clock: stage.clock })

const chains = (): BlockPipelineSource => {
  const components = { network: stage.client, clock: stage.clock, random: createSeededRandom('client') }
  return {
    ready: () => true,
    open: ({ maxTokens }, options) => openChain(stage.plan, components, { ...options, maxTokens, hiddenSize })
  }
}

const ask = (model: TextModel, prompt: string, caller?: string): Promise<Outcome> =>
  outcomeOf(
    model.complete({ prompt, temperature: 0, maxTokens: 5, ...(caller === undefined ? {} : { caller }) })
  )

/** What one runner says that holds all blocks and keeps nothing. */
const alone = async (prompt: string): Promise<string> =>
  (await ask(modelOver(localBlocks(createFakeRunner({ from: 0, to: 6, blockCount: 6 }))), prompt)).text

test('three servers say turn by turn what one says that computes each turn anew', async () => {
  stage = await createStage([0, 2, 4, 6])
  await using model = modelOver(chains())
  let prompt = 'What is this? '.repeat(5)
  const cached: number[] = []
  for (const question of [' And then? ', ' Why? ', ' So? ']) {
    const answer = await ask(model, prompt, 'ada')
    expect(answer.text).toBe(await alone(prompt))
    cached.push(answer.usage?.cachedTokens ?? 0)
    prompt += answer.text + question
  }
  // An edit near the end, and a prompt that is shorter than what is held.
  const edited = `${prompt.slice(0, 90)} or not`
  const answer = await ask(model, edited, 'ada')
  expect(answer.text).toBe(await alone(edited))
  cached.push(answer.usage?.cachedTokens ?? 0)
  expect(cached[0]).toBe(0)
  for (const rows of cached.slice(1)) expect(rows).toBeGreaterThan(50)
  expect(stage.servers.map((server) => server.stats().sessions)).toEqual([1, 1, 1])
})

test('a server that dies while nobody asks costs the kept rows, and no answer', async () => {
  stage = await createStage([0, 2, 4, 6])
  await using model = modelOver(chains())
  const prompt = 'x'.repeat(80)
  await ask(model, prompt, 'ada')
  const spare = await spareServer(stage, 1, 'spare')
  stage.hub.kill(stage.hosts[1]!.peerId)
  stage.plan.hops[1]!.peer = spare.host.peerId
  for (let i = 0; i < 5; i++) await macrotask()
  const answer = await ask(model, prompt, 'ada')
  expect(answer).toMatchObject({ text: await alone(prompt), usage: { cachedTokens: 0 } })
  await spare.server.stop()
})

test('servers that are full of kept sessions take a new one', async () => {
  // Each session reserves 256 rows of 100 bytes: the model's context.
  stage = await createStage([0, 6], { maxKvBytes: 2 * 25_600, maxKvBytesPerPeer: 2 * 25_600 })
  await using model = modelOver(chains())
  for (const name of ['b', 'c', 'd', 'e']) {
    const prompt = name.repeat(80)
    const answer = ask(model, prompt, 'ada')
    let done = false
    const settled = answer.finally(() => (done = true))
    for (let i = 0; i < 40 && !done; i++) await stage.clock.advance(100)
    expect((await settled).text).toBe(await alone(prompt))
    expect(stage.servers[0]!.stats().kvBytes).toBeLessThanOrEqual(2 * 25_600)
  }
})

test('a kept session is closed before servers forget it', async () => {
  stage = await createStage([0, 6], { idleTimeoutMs: 120_000 })
  await using model = modelOver(chains())
  await ask(model, 'x'.repeat(80), 'ada')
  await stage.clock.advance(59_000)
  expect(stage.servers[0]!.stats().sessions).toBe(1)
  await stage.clock.advance(2_000)
  expect(stage.servers[0]!.stats().sessions).toBe(0)
})
