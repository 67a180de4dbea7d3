import { execFileSync } from 'node:child_process'
import { PassThrough, type Duplex } from 'node:stream'
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import {
  askPassphrase,
  givenPassphrase,
  newPassphrase,
  ofTheNext,
  passphraseOptions
} from '../src/cli/passphrase.ts'
import { readBytes } from '../src/cli/input.ts'
import { parseOptions } from '../src/cli/options.ts'
import type { Io } from '../src/cli/terminal.ts'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'kwaai-passphrase-'))
})
afterEach(() => rm(folder, { recursive: true, force: true }))

interface Terminal {
  io: Io
  type(text: string): void
  shown(): string
  raw: boolean[]
  end: AbortController
}

/** A terminal on which somebody types. */
function terminal(env: Record<string, string> = {}, isTTY = true): Terminal {
  const raw: boolean[] = []
  let shown = ''
  const stdin: Duplex = new PassThrough()
  const stderr: Duplex = new PassThrough({ encoding: 'utf8' })
  stderr.on('data', (text: string) => (shown += text))
  const end = new AbortController()
  return {
    io: {
      stdin: Object.assign(stdin, {
        isTTY,
        isRaw: false,
        setRawMode: (on: boolean) => raw.push(on)
      }) as never,
      stdout: new PassThrough() as never,
      stderr: Object.assign(stderr, { isTTY }) as never,
      env,
      signal: end.signal
    },
    type: (text) => void stdin.write(text),
    shown: () => shown,
    raw,
    end
  }
}

const given = (args: string[], { io }: Terminal): Promise<string | undefined> =>
  givenPassphrase(parseOptions('up', args, passphraseOptions, 0), io)

describe('a passphrase', () => {
  test('comes from a file of one line, else from the environment, else from nowhere', async () => {
    const file = join(folder, 'passphrase')
    const at = terminal({ KWAAI_PASSPHRASE: 'of the environment' })
    for (const [text, expected] of [
      ['correct horse', 'correct horse'],
      ['correct horse\n', 'correct horse'],
      ['correct horse\r\n', 'correct horse'],
      ['  spaces stay \n', '  spaces stay ']
    ] as const) {
      await writeFile(file, text, { mode: 0o600 })
      expect(await given(['--passphrase-file', file], at)).toBe(expected)
    }
    expect(at.shown()).toBe('')
    expect(await given([], at)).toBe('of the environment')
    expect(await given([], terminal())).toBeUndefined()
    expect(await given([], terminal({ KWAAI_PASSPHRASE: '' }))).toBeUndefined()
  })

  test('in a file others can read is warned of; in one that makes no sense it is refused', async () => {
    const file = join(folder, 'passphrase')
    await writeFile(file, 'correct horse\n')
    await chmod(file, 0o644)
    const at = terminal()
    expect(await given(['--passphrase-file', file], at)).toBe('correct horse')
    expect(at.shown()).toBe(`Others can read ${file}: chmod 600 closes it to them.\n`)
    for (const bytes of ['', '\n', 'two\nlines\n', 'a\n\n', 'x'.repeat(1030), Uint8Array.of(0xff, 0xfe)]) {
      await writeFile(file, bytes)
      await expect(given(['--passphrase-file', file], terminal())).rejects.toMatchObject({
        code: 'ERR_NODE_INVALID_OPTION',
        message: expect.stringContaining(file)
      })
    }
    for (const path of [folder, join(folder, 'none')]) {
      await expect(given(['--passphrase-file', path], terminal())).rejects.toMatchObject({
        code: 'ERR_NODE_INVALID_OPTION'
      })
    }
  })

  test.skipIf(process.platform === 'win32')(
    'comes once out of a pipe, which is not waited for without end',
    async () => {
      const pipe = join(folder, 'pipe')
      execFileSync('mkfifo', ['-m', '600', pipe])
      const at = terminal()
      const options = parseOptions('up', ['--passphrase-file', pipe], passphraseOptions, 0)
      const reading = givenPassphrase(options, at.io)
      await writeFile(pipe, 'correct horse\n')
      expect(await reading).toBe('correct horse')
      // Who asks again gets what came: there is nobody who would write it a second time.
      expect(await givenPassphrase(options, at.io)).toBe('correct horse')
      const silent = given(['--passphrase-file', pipe], at)
      at.end.abort(new Error('asked to end'))
      await expect(silent).rejects.toThrow('asked to end')
      const waiting = readBytes(pipe, { maxBytes: 10, signal: terminal().io.signal, waitMs: 1 })
      await expect(waiting).rejects.toThrow('nobody writes into this pipe')
      await expect(given(['--passphrase-file', '/dev/zero'], terminal())).rejects.toThrow('up to 1024 bytes')
    }
  )

  test('is asked for on a terminal, where nothing of it shows', async () => {
    const at = terminal()
    const asking = askPassphrase(at.io, 'Passphrase: ')
    at.type('corrupt')
    at.type('\u007f\u007f\u007f\u007f')
    at.type('rect é\u0015again \u{1f40e}\u007fhorse\u0001\rmore')
    expect(await asking).toBe('again horse')
    expect(at.shown()).toBe('Passphrase: \n')
    expect(at.raw).toEqual([true, false])
    expect(await askPassphrase(terminal({}, false).io, 'Passphrase: ')).toBeUndefined()
    const nothing = terminal()
    nothing.type('\n')
    expect(await askPassphrase(nothing.io, '')).toBeUndefined()
  })

  test('is not waited for once the command is asked to end', async () => {
    const at = terminal()
    const asking = askPassphrase(at.io, 'Passphrase: ')
    at.type('abc')
    at.end.abort(new Error('SIGTERM'))
    await expect(asking).rejects.toThrow('SIGTERM')
    const other = terminal()
    const interrupted = askPassphrase(other.io, 'Passphrase: ')
    other.type('abc\u0003')
    await expect(interrupted).rejects.toThrow('interrupted')
    expect([at.raw, other.raw]).toEqual([
      [true, false],
      [true, false]
    ])
  })

  test('that is new is typed twice', async () => {
    const options = parseOptions('identity', [], passphraseOptions, 0)
    const ask = (typed: string): Promise<string> => {
      const at = terminal()
      at.type(typed)
      return newPassphrase(options, at.io, 'the key')
    }
    // Typed ahead, it is for the second question.
    expect(await ask('horse\rhorse\rmore')).toBe('horse')
    await expect(ask('horse\rcow\r')).rejects.toMatchObject({ message: expect.stringContaining('differ') })
    await expect(ask('\r')).rejects.toMatchObject({ code: 'ERR_NODE_PASSPHRASE_NEEDED' })
    await expect(newPassphrase(options, terminal({}, false).io, 'the key')).rejects.toMatchObject({
      code: 'ERR_NODE_PASSPHRASE_NEEDED'
    })
  })

  test('that takes the place of another is read elsewhere, and each file once', async () => {
    const [old, next] = [join(folder, 'old'), join(folder, 'next')]
    for (const path of [old, next]) await writeFile(path, path, { mode: 0o600 })
    const specs = { ...passphraseOptions, [ofTheNext.option]: { type: 'string', describe: '' } } as const
    const args = ['--passphrase-file', old, '--new-passphrase-file', next]
    const options = parseOptions('identity', args, specs, 0)
    const at = terminal({ KWAAI_PASSPHRASE: 'a', KWAAI_NEW_PASSPHRASE: 'b' })
    expect(await givenPassphrase(options, at.io)).toBe(old)
    expect(await newPassphrase(options, at.io, 'the key', ofTheNext)).toBe(next)
    await rm(next)
    expect(await newPassphrase(options, at.io, 'the key', ofTheNext)).toBe(next)
    const none = parseOptions('identity', [], specs, 0)
    expect(await newPassphrase(none, at.io, 'the key', ofTheNext)).toBe('b')
    // The old one, then the new one twice, as a person types them.
    const person = terminal()
    person.type('one\rtwo\rtwo\r')
    expect(await askPassphrase(person.io, '')).toBe('one')
    expect(await newPassphrase(none, person.io, 'the key', ofTheNext)).toBe('two')
  })
})
