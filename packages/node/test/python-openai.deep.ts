import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startCluster, type Cluster } from './cluster.ts'
import { createRecorder, createSchemaCheck, type Recorder } from './openai-client-published.ts'

const run = promisify(execFile)
const timeout = 300_000
let folder = ''
let cluster: Cluster
let recorder: Recorder
let proxy: Server

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'kwaai-python-'))
  cluster = await startCluster(process.env['KWAAI_MODEL_PATH'] as string, undefined, {
    api: true,
    client: { dataDir: join(folder, 'node') }
  })
  const own: unknown = await (await fetch(`${cluster.client.apiUrl}/openapi.json`)).json()
  recorder = createRecorder(createSchemaCheck(own))
  proxy = createServer((incoming, outgoing) => {
    forward(incoming, outgoing).catch(() => outgoing.destroy())
  }).listen(0, '127.0.0.1')
  await once(proxy, 'listening')
}, timeout)
afterAll(async () => {
  proxy?.close()
  await cluster?.[Symbol.asyncDispose]()
  await rm(folder, { recursive: true, force: true })
}, timeout)

/** Between the program and the API stands what looks at the answers. */
async function forward(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
  const parts: Buffer[] = []
  for await (const part of incoming) parts.push(part as Buffer)
  const headers = Object.entries(incoming.headers)
    .filter(([name]) => !/^(host|connection|content-length|accept-encoding|transfer-encoding)$/.test(name))
    .map(([name, value]): [string, string] => [name, String(value)])
  const body = parts.length === 0 ? null : Buffer.concat(parts)
  const response = await recorder.fetch(`${cluster.client.apiUrl}${incoming.url}`, {
    method: incoming.method ?? 'GET',
    headers,
    body
  })
  outgoing.writeHead(response.status, Object.fromEntries(response.headers))
  for await (const part of response.body ?? []) outgoing.write(part)
  outgoing.end()
}

test('a program in Python, with the official package', { timeout }, async () => {
  const python = join(folder, 'venv/bin/python')
  await run('python3', ['-m', 'venv', join(folder, 'venv')])
  await run(python, ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', 'openai'])
  const list = (await (await fetch(`${cluster.client.apiUrl}/v1/models`)).json()) as {
    data: { id: string }[]
  }
  const token = (await readFile(join(folder, 'node/api-token'), 'utf8')).trim()
  const { port } = proxy.address() as AddressInfo
  const script = fileURLToPath(new URL('python-openai.py', import.meta.url))
  const args = [script, `http://127.0.0.1:${port}/v1`, ...list.data.map(({ id }) => id), token]
  const { stdout } = await run(python, args, { env: { ...process.env, PYTHONDONTWRITEBYTECODE: '1' } })
  const passed = stdout
    .trim()
    .split('\n')
    .map((line) => (JSON.parse(line) as { passed: string }).passed)
  expect(passed).toEqual(['chats', 'tools', 'parse', 'embeddings', 'responses', 'errors', 'asynchronously'])
  expect(await recorder.problems()).toEqual([])
  expect(recorder.checked.get('ResponseStreamEvent') ?? 0).toBeGreaterThan(5)
})
