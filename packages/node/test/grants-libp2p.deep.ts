import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createNode, type Node } from '../src/index.ts'
import { runMain } from './run-main.ts'

// A node that asks for grants and one that wants its blocks: real libp2p, real weights, and the command line.
const model = process.env['KWAAI_MODEL_PATH'] as string
const timeout = 60_000
let root: string
let server: Node
let client: Node

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'kwaai-grants-'))
  const more = { model, embeddings: false } as const
  server = await createNode({ ...more, dataDir: join(root, 'server'), askForGrants: true })
  const bootstrap = server.addresses().slice(0, 1)
  client = await createNode({ ...more, dataDir: join(root, 'client'), blocks: 'none', bootstrap })
  await client.whenReady({ signal: AbortSignal.timeout(timeout) })
}, timeout)
afterAll(async () => {
  await client?.stop()
  await server?.stop()
  await rm(root, { recursive: true, force: true })
}, timeout)

async function kwaai(who: string, ...args: string[]): Promise<Record<string, unknown>> {
  const { status, stdout, stderr } = await runMain([
    'grant',
    ...args,
    '--data-dir',
    join(root, who),
    '--json'
  ])
  expect(status, stderr).toBe(0)
  return JSON.parse(stdout) as Record<string, unknown>
}

async function open(maxTokens = 16): Promise<string> {
  try {
    await using chain = await client.blocks.open({ maxTokens })
    return chain.chain.map(({ peer }) => peer).join()
  } catch (error) {
    return (error as Error).message
  }
}

test(
  'sessions open once a grant was given, within its policy, and no more once it was taken back',
  async () => {
    expect(await open()).toContain('no grant was shown')
    const policy = JSON.stringify([['<=', '.maxTokens', 32]])
    const made = await kwaai('server', 'create', client.peerId, '--policy', policy, '--expires', '1h')
    await kwaai('client', 'show', made['grant'] as string, '--keep')
    expect(await open()).toBe(server.peerId)
    expect(await open()).toBe(server.peerId)
    await kwaai('server', 'revoke', made['id'] as string)
    expect(await open()).toContain('it was revoked')
  },
  timeout
)
