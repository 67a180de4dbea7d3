import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Credential, VerifyResult } from '@kwaai/identity/vc'
import { readNetworkCredential } from '@kwaai/identity/vc'
import { afterEach, expect, test } from 'vitest'
import { startServer, stopServer, type Server } from '../src/index.ts'
import type { KeptCredential } from '../src/credentials/credential-folder.ts'
import { startCli, type CliRun } from './run-cli.ts'
import { runMain } from './run-main.ts'

// A server and an issuer as processes of their own, over real libp2p and with the real model.
const timeout = 120_000
let root: string | undefined
let server: Server | undefined
let issuer: CliRun | undefined
afterEach(async () => {
  issuer?.child.kill('SIGKILL')
  if (server !== undefined) await stopServer(server)
  if (root !== undefined) await rm(root, { recursive: true, force: true })
}, timeout)

test(
  'an issuer watches a node that serves, issues what it saw, takes it back, and sees the node go',
  async () => {
    root = await mkdtemp(join(tmpdir(), 'kwaai-issuer-'))
    const folders = { node: join(root, 'node'), issuer: join(root, 'issuer') }
    const model = process.env['KWAAI_MODEL_PATH'] as string
    const signal = new AbortController().signal
    server = await startServer(['--model', model, '--data-dir', folders.node, '--no-api'], {
      env: process.env,
      signal
    })
    const address = server.status.addresses[0] as string
    const args = [
      'issuer',
      'serve',
      '--json',
      '--port',
      '0',
      '--probe-interval',
      '1',
      '--throughput-interval',
      '1'
    ]
    args.push('--min-probes', '2', '--model', model, '--bootstrap', address, '--data-dir', folders.issuer)
    issuer = startCli(args)
    const [line = ''] = (await issuer.seen(/\n/)).split('\n')
    const { url, did } = JSON.parse(line) as { url: string; did: string }
    await issuer.seen(/"issuer.probed","probed":1,"answered":1[^]*"issuer.probed","probed":1,"answered":1/)
    await issuer.seen(/"issuer.measured","count":1/)

    // The node asks for what was seen of it while it runs, and proves its key.
    const asked = await runMain(['vc', 'request', url, '--json', '--data-dir', folders.node])
    expect(asked.status, asked.stderr).toBe(0)
    const { kept } = JSON.parse(asked.stdout) as { kept: KeptCredential[] }
    const read = kept.map(({ credential }) => {
      const result = readNetworkCredential(credential)
      if (!result.ok) throw new Error(result.message)
      return result.credential
    })
    expect(read.map(({ type }) => type)).toEqual(['UptimeCredential', 'ThroughputCredential'])
    for (const { issuer: by, subject } of read) {
      expect(by).toBe(did)
      expect(subject).toBe(server.status.did)
    }
    const [uptime, throughput] = read.map(({ claims }) => claims as unknown as Record<string, unknown>)
    expect(uptime?.['probes']).toBeGreaterThanOrEqual(2)
    expect(uptime?.['probesAnswered']).toBe(uptime?.['probes'])
    expect(throughput).toMatchObject({ model: server.status.model.id, modelHash: server.status.model.sha256 })
    expect(throughput?.['tokensPerSecond']).toBeGreaterThan(0)

    // Somebody else has another key and gets nothing.
    const other = await runMain(['vc', 'request', url, '--data-dir', join(root, 'other')])
    expect(other.status).toBe(1)
    expect(other.stderr).toContain('asked 0 times')

    const [first] = kept.map(({ credential }) => credential) as [Credential]
    const verify = async (): Promise<VerifyResult> => {
      const result = await runMain(['vc', 'verify', '-', '--json'], { input: JSON.stringify(first) })
      return JSON.parse(result.stdout) as VerifyResult
    }
    expect((await verify()).ok).toBe(true)
    // The issuer's own folder, while it serves: the list it serves says so from then on.
    const imported = await runMain(['vc', 'import', '-', '--json', '--data-dir', folders.issuer], {
      input: JSON.stringify(first)
    })
    const { id } = JSON.parse(imported.stdout) as KeptCredential
    const revoked = await runMain(['vc', 'revoke', id, '--data-dir', folders.issuer])
    expect(revoked.status, revoked.stderr).toBe(0)
    expect((await verify()).checks.filter(({ ok }) => !ok)).toMatchObject([
      { name: 'status', code: 'STATUS_REVOKED' }
    ])

    server.child.kill('SIGKILL')
    await issuer.seen(/"issuer.probed","probed":1,"answered":0/)
    issuer.child.kill('SIGTERM')
    expect((await issuer.ended).status).toBe(0)
  },
  timeout
)
