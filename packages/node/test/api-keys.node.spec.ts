import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { networkInterfaces, tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createNode, type Node, type NodeInit } from '../src/index.ts'
import { parseExpiry } from '../src/cli/keys.ts'
import { runMain } from './run-main.ts'

let folder: string
let dataDir: string
let node: Node | undefined

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'kwaai-keys-'))
  dataDir = join(folder, 'node')
})
afterAll(async () => {
  await node?.stop()
  await rm(folder, { recursive: true, force: true })
})

async function start(init: NodeInit = {}): Promise<Node> {
  await node?.stop()
  node = undefined
  node = await createNode({ dataDir, api: { port: 0 }, ...init })
  return node
}

interface Made {
  key: { id: string }
  secret: string
}

async function keys(...args: string[]): Promise<string> {
  const { status, stdout, stderr } = await runMain(['keys', ...args, '--data-dir', dataDir])
  expect(status, stderr).toBe(0)
  return stdout
}
const create = async (...args: string[]): Promise<Made> =>
  JSON.parse(await keys('create', ...args, '--json')) as Made

/** Asks the node's server with a secret. */
async function ask(
  path: string,
  secret?: string,
  init: { method?: string; body?: unknown; base?: string } = {}
): Promise<{
  status: number
  headers: Headers
  body: Record<string, unknown> & { error?: { code: string } }
}> {
  const response = await fetch(`${init.base ?? node?.apiUrl}${path}`, {
    method: init.method ?? (init.body === undefined ? 'GET' : 'POST'),
    headers: {
      'content-type': 'application/json',
      ...(secret === undefined ? {} : { authorization: `Bearer ${secret}` })
    },
    ...(init.body === undefined ? {} : { body: JSON.stringify(init.body) })
  })
  return { status: response.status, headers: response.headers, body: (await response.json()) as never }
}

const question = {
  model: 'smollm2-135m-instruct',
  messages: [{ role: 'user', content: 'Hi' }],
  temperature: 0,
  max_tokens: 4
}

describe('kwaai keys', () => {
  test('makes, lists and revokes keys, and keeps no secret', async () => {
    expect(await keys()).toContain('the API answers this machine alone')
    const { key, secret } = await create('for a test', '--models', 'a, b', '--models', 'c', '--expires', '2d')
    const text = await keys('create', 'second', '--tokens-per-minute', '1000')
    expect(text).toMatch(/shown this once[^]*\nkw-[\w-]{43}\n$/)
    expect(await keys('list')).toMatch(/for a test {2}a, b, c {2}since .* until .*\n.*1000 tokens\/min/)
    const kept = await readFile(join(dataDir, 'api-keys.log'), 'latin1')
    expect(kept).not.toContain('for a test')
    expect(kept).not.toContain(secret)
    expect(kept).not.toContain(secret.slice(3))
    expect(await keys('revoke', key.id)).toContain('opens nothing any more')
    const left = JSON.parse(await keys('--json')) as { id: string; name: string }[]
    expect(left.map(({ name }) => name)).toEqual(['second'])
    for (const { id } of left) await keys('revoke', id)
    expect(await keys()).toContain('the API answers nobody')
  })

  test('refuses what makes no sense, in a sentence', async () => {
    const cases: [string[], number, string][] = [
      [['create'], 2, 'Cannot understand'],
      [['delete', 'x'], 2, 'Cannot understand'],
      [['create', 'x', '--expires', '2001-01-01'], 2, 'a date in the future'],
      [['create', 'x', '--requests-per-minute', '0'], 2, 'a whole number'],
      [['create', 'line\nbreak'], 1, 'Cannot create the key'],
      [['revoke', 'key_00000000000000000000000000000000'], 1, 'no such API key'],
      [['list', '--name', '../x'], 2, '--name']
    ]
    for (const [args, status, words] of cases) {
      const result = await runMain(['keys', ...args, '--data-dir', dataDir])
      expect(result.status, args.join(' ')).toBe(status)
      expect(result.stderr).toContain(words)
      expect(result.stderr.trim().split('\n')).toHaveLength(1)
    }
    expect(parseExpiry('12h', 1_000)).toBe(1_000 + 12 * 3_600_000)
    expect(parseExpiry('4w', 0)).toBe(4 * 7 * 24 * 3_600_000)
    expect(parseExpiry('2030-12-31', 0)).toBe(Date.UTC(2030, 11, 31))
    expect(parseExpiry('2028-02-29T12:00:00+02:00', 0)).toBe(Date.UTC(2028, 1, 29, 10))
    for (const text of [
      '0h',
      '0w',
      '999999w',
      '2027-02-31',
      '2027-02-29T00:00:00Z',
      '2027-13-01',
      '2027-1-1'
    ])
      expect(() => parseExpiry(text, Date.UTC(2026, 0)), text).toThrow('a date in the future')
  })
})

describe('a node with keys', () => {
  test('asks for one, sees at once what is made and revoked, and tells who computed an answer', async () => {
    const first = await create('first')
    const running = await start()
    expect(running.asksForKeys).toBe(true)
    expect((await ask('/health')).status).toBe(200)
    expect((await ask('/v1/models')).body.error?.code).toBe('invalid_api_key')
    const list = (await ask('/v1/models', first.secret)).body['data'] as { id: string }[]
    expect(list.map(({ id }) => id)).toEqual(['smollm2-135m-instruct', 'all-minilm-l6-v2-256-f32'])

    const second = await create(
      'second',
      '--models',
      'all-minilm-l6-v2-256-f32',
      '--requests-per-minute',
      '2'
    )
    const other = await ask('/v1/chat/completions', second.secret, { body: question })
    expect(other.status).toBe(404)
    const embedded = await ask('/v1/embeddings', second.secret, {
      body: { model: 'all-minilm-l6-v2-256-f32', input: ['a cat', 'a feline'] }
    })
    expect(embedded.status).toBe(200)
    expect(embedded.headers.get('x-ratelimit-remaining-requests')).toBe('0')
    const late = await ask('/v1/models', second.secret)
    expect(late.status).toBe(429)
    expect(Number(late.headers.get('retry-after-ms'))).toBeGreaterThan(0)
    await keys('revoke', second.key.id)
    expect((await ask('/v1/models', second.secret)).status).toBe(401)

    const answer = await ask('/v1/chat/completions', first.secret, { body: question })
    const path = `/v1/kwaai/provenance/${String(answer.body['id'])}`
    // Kept over the end of the node, under its own identity.
    await start()
    const provenance = (await ask(path, first.secret)).body
    const file = join(folder, 'provenance.json')
    await writeFile(file, JSON.stringify(provenance))
    const good = await runMain(['verify', file, '--signer', running.status().did])
    expect(good).toMatchObject({ status: 0, stderr: '' })
    expect(good.stdout).toContain(running.status().did)
    expect(good.stdout).toMatch(/SHA-256 b179c9523d0e[^]*blocks 0 to 29 by 12D3[^]*Left the node +nothing/)

    const altered = JSON.stringify(provenance).replace('"completionTokens":4', '"completionTokens":3')
    const bad = await runMain(['verify', '-'], { input: altered })
    expect(bad).toMatchObject({ status: 1, stdout: '', stderr: expect.stringContaining('is not the record') })
    const told = await runMain(['verify', '-', '--json'], { input: altered })
    expect(told.status).toBe(1)
    expect(JSON.parse(told.stdout)).toMatchObject({ valid: false, code: 'ERR_API_PROVENANCE_ALTERED' })
    for (const input of ['', 'garbage', '{}', new Uint8Array(2_000_000)]) {
      const result = await runMain(['verify', '-'], { input })
      expect(result).toMatchObject({ status: 1, stderr: expect.stringMatching(/^kwaai: Cannot verify.*\n$/) })
    }
    expect((await runMain(['verify', join(folder, 'none')])).stderr).toContain('Cannot read')

    const words = ['chat', 'Hi', '--max-tokens', '2', '--api-port', new URL(node?.apiUrl ?? '').port]
    expect((await runMain(words)).stderr).toContain('needs an API key')
    const chat = await runMain(words, { env: { KWAAI_API_KEY: first.secret } })
    expect(chat.status, chat.stderr).toBe(0)
  }, 60_000)

  test('listens for others; without keys it refuses to', async () => {
    const { secret } = await create('for others')
    await start({ blocks: 'none', api: { port: 0, host: '0.0.0.0' } })
    const outside = Object.values(networkInterfaces())
      .flatMap((found) => found ?? [])
      .find(({ family, internal }) => family === 'IPv4' && !internal)?.address
    const base = (node?.apiUrl ?? '').replace('0.0.0.0', outside ?? '127.0.0.1')
    expect((await ask('/v1/models', secret, { base })).status).toBe(200)
    expect((await ask('/v1/models', undefined, { base })).status).toBe(401)
    await node?.stop()
    node = undefined
    for (const host of ['0.0.0.0', '192.168.1.2', 'example.org', '::']) {
      const refused = createNode({ blocks: 'none', api: { port: 0, host } })
      await expect(refused).rejects.toMatchObject({
        code: 'ERR_NODE_INVALID_OPTION',
        message: expect.stringContaining('kwaai keys create')
      })
    }
  }, 60_000)
})

describe('a node without keys', () => {
  test('keeps answers over its end, and deletes one for who has the token of its folder', async () => {
    const dataDirToo = join(folder, 'open')
    await start({ dataDir: dataDirToo })
    const body = { model: question.model, input: 'Hi', max_output_tokens: 16, temperature: 0 }
    const { status, body: response } = await ask('/v1/responses', undefined, { body })
    expect(status).toBe(200)
    const path = `/v1/responses/${String(response['id'])}`
    await start({ dataDir: dataDirToo })
    expect((await ask(path)).body['output']).toEqual(response['output'])
    expect((await ask(path, undefined, { method: 'DELETE' })).status).toBe(401)
    const token = await readFile(join(dataDirToo, 'api-token'), 'utf8')
    expect((await ask(path, token, { method: 'DELETE' })).status).toBe(200)
    expect((await ask(path)).status).toBe(404)
  }, 60_000)

  test('does not become one by losing its keys', async () => {
    const lost = join(folder, 'lost')
    const made = await runMain(['keys', 'create', 'only', '--data-dir', lost])
    expect(made.stderr).toContain('the first key')
    const file = join(lost, 'api-keys.log')
    const whole = await readFile(file)
    // Cut in its only record, as by a full disk; changed in its first byte; emptied.
    for (const bytes of [whole.subarray(0, -5), Buffer.concat([Buffer.from('x'), whole.subarray(1)]), '']) {
      await writeFile(file, bytes)
      const status = await start({ dataDir: lost, blocks: 'none' }).then(
        async () => (await ask('/v1/models')).status,
        (error: unknown) => (error as { code: string }).code
      )
      expect([401, 'ERR_NODE_STORE_DAMAGED']).toContain(status)
    }
  }, 60_000)

  test('serves no embeddings where they are switched off', async () => {
    const running = await start({ dataDir: join(folder, 'open'), blocks: 'none', embeddings: false })
    expect(running.embedder).toBeUndefined()
    const list = (await ask('/v1/models')).body['data'] as unknown[]
    expect(list).toHaveLength(1)
  }, 60_000)
})
