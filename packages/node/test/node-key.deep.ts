import { spawn } from 'node:child_process'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { createSeededRandom } from '@kwaai/testing'
import { expect, test } from 'vitest'
import { loadIdentity, readKey } from '../src/node-key.ts'

const writer = fileURLToPath(new URL('node-key-writer.ts', import.meta.url))
const passphrase = 'correct horse'
const next = 'battery staple'
const kills = 60

/** Starts the writer and kills the process after so many milliseconds. */
async function killedAfter(
  folder: string,
  ms: number,
  ...passphrases: string[]
): Promise<{ said: string; tookMs: number }> {
  const child = spawn(process.execPath, ['--conditions=kwaai:source', writer, folder, ...passphrases])
  let said = ''
  let began = 0
  let tookMs = 0
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()))
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    if (said === '') {
      began = performance.now()
      if (ms < Number.POSITIVE_INFINITY) setTimeout(() => child.kill('SIGKILL'), ms)
    }
    said += text
    tookMs = performance.now() - began
  })
  await ended
  return { said, tookMs }
}

test('a process killed while it encrypts its key leaves the key whole, plain or encrypted', async () => {
  const random = createSeededRandom('kill -9')
  const seen = { plain: 0, encrypted: 0 }
  let wholeMs = Number.POSITIVE_INFINITY
  // The first one is not killed: it tells how long there is.
  for (let n = 0; n <= kills; n++) {
    const folder = await mkdtemp(join(tmpdir(), 'kwaai-kill-'))
    try {
      const { did } = await loadIdentity(folder)
      // Two derivations take most of the time; the change itself comes right behind them.
      const { said, tookMs } = await killedAfter(
        folder,
        n === 0 ? wholeMs : wholeMs * (0.5 + random.next()),
        passphrase
      )
      if (n === 0) wholeMs = tookMs
      const stored = await readKey(folder, 'identity')
      expect(stored?.did).toBe(did)
      if (said.includes('done')) expect(stored?.encrypted).toBe(true)
      seen[stored?.encrypted === true ? 'encrypted' : 'plain']++
      expect((await loadIdentity(folder, { passphrase })).did).toBe(did)
      // The lock of a process that is gone is nobody's.
      expect((await readdir(folder)).filter((name) => name !== 'keys.lock')).toEqual(['identity.key'])
    } finally {
      await rm(folder, { recursive: true, force: true })
    }
  }
  expect(Math.min(seen.plain, seen.encrypted)).toBeGreaterThan(0)
}, 300_000)

test('a process killed while it changes a passphrase leaves the key under the old one or the new', async () => {
  const random = createSeededRandom('kill -9 again')
  const seen = { old: 0, next: 0 }
  let wholeMs = Number.POSITIVE_INFINITY
  for (let n = 0; n <= kills / 3; n++) {
    const folder = await mkdtemp(join(tmpdir(), 'kwaai-kill-'))
    try {
      const { did } = await loadIdentity(folder, { passphrase })
      const ms = n === 0 ? wholeMs : wholeMs * (0.5 + random.next())
      const { said, tookMs } = await killedAfter(folder, ms, passphrase, next)
      if (n === 0) wholeMs = tookMs
      const opened = await loadIdentity(folder, { passphrase: next }).catch(() => undefined)
      seen[opened === undefined ? 'old' : 'next']++
      if (said.includes('done')) expect(opened).toBeDefined()
      expect((opened ?? (await loadIdentity(folder, { passphrase }))).did).toBe(did)
      expect((await readdir(folder)).filter((name) => name !== 'keys.lock')).toEqual(['identity.key'])
    } finally {
      await rm(folder, { recursive: true, force: true })
    }
  }
  expect(Math.min(seen.old, seen.next)).toBeGreaterThan(0)
}, 300_000)
