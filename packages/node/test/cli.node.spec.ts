import { mkdtemp, open, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { version } from '../src/version.ts'
import { runCli, startCli, type CliResult } from './run-cli.ts'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'kwaai-cli-'))
})
afterEach(() => rm(folder, { recursive: true, force: true }))

/** One sentence on standard error, nothing on standard output, and the status. */
function expectRefusal(result: CliResult, status: number, ...words: string[]): void {
  expect(result.stdout).toBe('')
  expect(result.stderr).toMatch(/^kwaai: [^\n]+\n$/)
  for (const word of words) expect(result.stderr).toContain(word)
  expect(result.status).toBe(status)
}

describe('the command line', () => {
  test('tells its version and its verbs', async () => {
    const [versionResult, help, upHelp] = await Promise.all([
      runCli(['--version']),
      runCli(['--help']),
      runCli(['up', '--help'])
    ])
    expect(versionResult).toMatchObject({ status: 0, stdout: `${version}\n`, stderr: '' })
    for (const verb of ['up', 'chat', 'status', 'models', 'keys', 'verify', 'demo'])
      expect(help.stdout).toContain(`  ${verb}`)
    for (const option of [
      'model',
      'blocks',
      'name',
      'listen',
      'bootstrap',
      'api-port',
      'data-dir',
      'max-memory'
    ]) {
      expect(upHelp.stdout).toContain(`--${option} <`)
    }
    expect([help.status, upHelp.status]).toEqual([0, 0])
  })

  test('refuses what it does not know', async () => {
    const results = await Promise.all([
      runCli(['fly']),
      runCli(['up', '--wings']),
      runCli(['up', '--blocks', '5-2']),
      runCli(['up', '--api-port', '70000']),
      runCli(['up', '--name', '../x']),
      runCli(['demo', '--max-tokens', 'many']),
      runCli(['demo', '--api-port', 'x']),
      runCli(['chat', 'hello', '--api-port', '1', '--model', 'default']),
      runCli(['up', '--region', 'The North'])
    ])
    expectRefusal(results[0] as CliResult, 2, "'fly'", '--help')
    expectRefusal(results[1] as CliResult, 2, "'--wings'", '--help')
    expectRefusal(results[2] as CliResult, 2, '5-2', 'half-open')
    expectRefusal(results[3] as CliResult, 2, '70000')
    expectRefusal(results[4] as CliResult, 2, '--name')
    expectRefusal(results[5] as CliResult, 2, '--max-tokens', 'many')
    expectRefusal(results[6] as CliResult, 2, '--api-port')
    expectRefusal(results[7] as CliResult, 2, '--api-port', '--model')
    expectRefusal(results[8] as CliResult, 2, 'region', 'The North', 'eu')
  })

  test('output that cannot be written is a failure, told in one sentence', async () => {
    const file = await open(join(folder, 'read-only'), 'a+')
    await file.close()
    const readOnly = await open(join(folder, 'read-only'), 'r')
    const results = await Promise.all(
      [['models'], ['--help'], ['models', '--json']].map((args) => runCli(args, { stdout: readOnly.fd }))
    )
    await readOnly.close()
    for (const result of results) expectRefusal(result, 1, 'Cannot write the output')
  })

  test('lists the models as text and as JSON', async () => {
    const env = { KWAAI_CACHE_DIR: folder }
    const [text, json] = await Promise.all([
      runCli(['models'], { env }),
      runCli(['models', '--json'], { env })
    ])
    expect(text.stdout).toContain('smollm2-135m-instruct')
    expect(text.stdout).toContain('not fetched yet')
    expect(JSON.parse(json.stdout)).toMatchObject([
      { kind: 'language', id: 'smollm2-135m-instruct', size: 98_362_432 },
      { kind: 'embedding', id: 'all-minilm-l6-v2', size: 91_335_585 }
    ])
  })

  test('says what to do where no node runs', async () => {
    const server = createServer()
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address() as AddressInfo
    await new Promise((resolve) => server.close(resolve))
    const [status, chat] = await Promise.all([
      runCli(['status', '--api-port', String(port)]),
      runCli(['chat', 'hello', '--api-port', String(port)])
    ])
    expectRefusal(status, 1, `127.0.0.1:${port}`, 'kwaai up')
    expectRefusal(chat, 1, `127.0.0.1:${port}`)
  })
})

describe('kwaai up', () => {
  const up = ['up', '--blocks', 'none', '--api-port', '0', '--json']

  test('serves its status, keeps its key, and ends on a signal', async () => {
    const args = [...up, '--data-dir', folder]
    const first = startCli(args)
    const started = JSON.parse(await first.seen(/\n/)) as { peerId: string; api: string; addresses: string[] }
    expect(started.addresses[0]).toMatch(/^\/ip4\/127\.0\.0\.1\/tcp\/\d+\/p2p\/12D3KooW/)
    const health = (await (await fetch(`${started.api}/health`)).json()) as Record<string, unknown>
    expect(health).toMatchObject({ peerId: started.peerId, addresses: started.addresses, ready: false })
    // Nobody serves the blocks: an honest refusal with a time to come back, at once.
    const ready = await fetch(`${started.api}/ready`)
    expect(ready.status).toBe(503)
    const chat = await fetch(`${started.api}/v1/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({
        model: 'smollm2-135m-instruct',
        messages: [{ role: 'user', content: 'Hello' }]
      })
    })
    expect(chat.status).toBe(503)
    expect(Number(chat.headers.get('retry-after'))).toBeGreaterThan(0)
    expect(await chat.json()).toMatchObject({ error: { message: expect.stringContaining('blocks 0 to 29') } })

    const status = await runCli(['status', '--json', '--api-port', new URL(started.api).port])
    expect(JSON.parse(status.stdout)).toMatchObject({ peerId: started.peerId, spans: [], tokensServed: 0 })

    // A second node with the same key would answer for the first.
    expectRefusal(await runCli(args), 1, 'already runs', '--data-dir')
    // A taken port is one sentence with the way out.
    const taken = [...up.slice(0, 3), '--api-port', new URL(started.api).port]
    expectRefusal(await runCli([...taken, '--data-dir', join(folder, 'other')]), 1, 'port')

    first.child.kill('SIGTERM')
    expect(await first.ended).toMatchObject({ status: 0 })
    expect((await stat(join(folder, 'identity.key'))).mode & 0o777).toBe(0o600)

    const second = startCli(args)
    expect(JSON.parse(await second.seen(/\n/))).toMatchObject({ peerId: started.peerId })
    second.child.kill('SIGINT')
    expect(await second.ended).toMatchObject({ status: 0 })
  }, 60_000)

  test('a folder that cannot be written is told with what to do', async () => {
    const file = join(folder, 'file')
    await writeFile(file, '')
    const none = { KWAAI_MODEL_PATH: '', KWAAI_OFFLINE: '1', KWAAI_CACHE_DIR: join(file, 'cache') }
    const [key, model, keys] = await Promise.all([
      runCli([...up, '--data-dir', join(file, 'data')]),
      runCli(['models', 'fetch'], { env: none }),
      runCli(['demo', '--json'], { env: { TMPDIR: file, TMP: file, TEMP: file } })
    ])
    expectRefusal(key, 1, join(file, 'data'), '--data-dir')
    expectRefusal(model, 1, join(file, 'cache'), 'KWAAI_CACHE_DIR')
    expectRefusal(keys, 1, file, 'TMPDIR')
  })

  test('never overwrites a damaged key', async () => {
    const key = join(folder, 'identity.key')
    await writeFile(key, 'not a key')
    expectRefusal(await runCli([...up, '--data-dir', folder]), 1, key)
    expect(await readFile(key, 'utf8')).toBe('not a key')
  })

  test('refuses files that are no models, models it has not, and ranges they have not', async () => {
    const broken = join(folder, 'broken.gguf')
    await writeFile(broken, 'GGUF and then nothing that makes sense')
    const run = (...args: string[]): Promise<CliResult> =>
      runCli([...up, '--data-dir', join(folder, args.join('').replace(/\W/g, '')), ...args])
    const [garbage, missing, range, memory, join1, cache] = await Promise.all([
      run('--model', broken),
      run('--model', join(folder, 'none.gguf')),
      runCli(['up', '--no-api', '--blocks', '25-31', '--data-dir', join(folder, 'range')]),
      runCli(['up', '--no-api', '--max-memory', '10MiB', '--data-dir', join(folder, 'memory')]),
      run('--bootstrap', '/ip4/127.0.0.1/tcp/1'),
      runCli(['up', '--no-api', '--max-memory', '65MiB', '--data-dir', join(folder, 'cache')])
    ])
    expectRefusal(garbage, 1)
    expectRefusal(missing, 1, 'none.gguf', 'smollm2-135m-instruct')
    expectRefusal(range, 2, '25-31', '0-30')
    expectRefusal(memory, 1, '--max-memory')
    expectRefusal(cache, 1, '--max-memory', 'room for')
    expectRefusal(join1, 1, '/ip4/127.0.0.1/tcp/1', '/p2p/')
  }, 60_000)

  test('a wrong SHA-256 and no source at all are one sentence each', async () => {
    const wrong = join(folder, 'SmolLM2-135M-Instruct.Q4_1.gguf')
    await writeFile(wrong, 'short')
    const [mismatch, none] = await Promise.all([
      runCli([...up, '--data-dir', join(folder, 'a')], { env: { KWAAI_MODEL_PATH: wrong } }),
      runCli([...up, '--data-dir', join(folder, 'b')], {
        env: { KWAAI_MODEL_PATH: '', KWAAI_CACHE_DIR: join(folder, 'cache'), KWAAI_OFFLINE: '1' }
      })
    ])
    expectRefusal(mismatch, 1, wrong, '98362432')
    expect(none.status).toBe(1)
    expect(none.stderr.trim().split('\n').at(-1)).toMatch(
      /^kwaai: Cannot get the model .* Tried: .*KWAAI_MODEL_PATH/
    )
  }, 60_000)
})
