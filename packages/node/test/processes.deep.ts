import { spawn } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import type { Server } from '../src/index.ts'
import { startCluster } from './cluster.ts'
import { endDemo } from './end-demo.ts'
import { descendants, gone } from './process-tree.ts'

// `npm test` does it with SIGKILL.
describe.runIf(process.platform === 'linux')('the demonstration leaves no process behind', () => {
  test.each(['SIGTERM', 'SIGHUP'] as const)('after %s', endDemo)

  test('when npm in front of it is ended alone', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'kwaai-npm-'))
    const bin = fileURLToPath(new URL('../src/bin.ts', import.meta.url))
    const start = `"${process.execPath}" --conditions=kwaai:source "${bin}" demo --serve --api-port 0 --max-tokens 4`
    await writeFile(join(folder, 'package.json'), JSON.stringify({ scripts: { start } }))
    const npm = spawn('npm', ['start'], { cwd: folder, stdio: ['ignore', 'pipe', 'ignore'] })
    try {
      let output = ''
      await new Promise<void>((resolve, reject) => {
        npm.stdout.setEncoding('utf8').on('data', (text: string) => {
          output += text
          if (output.includes('node-3')) resolve()
        })
        npm.once('error', reject)
        npm.once('exit', () => reject(new Error(`npm ended first: ${output}`)))
      })
      const processes = descendants(npm.pid as number)
      expect(processes.filter(({ command }) => command.includes(' up --json ')).length).toBe(3)
      npm.kill('SIGKILL')
      expect(await gone(processes)).toEqual([])
    } finally {
      npm.kill('SIGKILL')
      await rm(folder, { recursive: true, force: true })
    }
  })
})

// `npm test` ends one that is asked twice.
test('a server that is asked to end does so when its time to drain is over', async () => {
  await using cluster = await startCluster(process.env['KWAAI_MODEL_PATH'] as string, ['0-30'], {
    args: ['--drain-timeout', '1'],
    // Nobody comes to take the place of a lost server here.
    client: { stepTimeoutMs: 5_000 }
  })
  const { child } = cluster.servers[0] as Server
  const ended = new Promise((resolve) => child.once('exit', resolve))
  const messages = [{ role: 'user' as const, content: 'Count from one to fifty in words.' }]
  let count = 0
  const answer = async (): Promise<void> => {
    for await (const event of cluster.client.model.chat({ messages, temperature: 0, maxTokens: 2_000 }))
      if (event.type === 'text' && ++count === 2) child.kill('SIGTERM')
  }
  await expect(answer()).rejects.toMatchObject({ code: 'ERR_MODEL_UNAVAILABLE' })
  expect(await ended).toBe(0)
})
