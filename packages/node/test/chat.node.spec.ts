import { PassThrough, type Duplex } from 'node:stream'
import { createApi } from '@kwaai/api'
import { serveApi, type ApiServer } from '@kwaai/api/node'
import { KwaaiError, type GenerationEvent, type LanguageModel } from '@kwaai/interface'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { main } from '../src/cli/main.ts'
import type { Io } from '../src/cli/terminal.ts'

/** Says "word" for ever, until somebody stops it; keeps what it was asked. */
function endlessModel(): { model: LanguageModel; asked: string[][]; stopped: () => number } {
  const asked: string[][] = []
  let stopped = 0
  const chat: LanguageModel['chat'] = async function* (
    request,
    { signal } = {}
  ): AsyncGenerator<GenerationEvent> {
    if (request.messages.length > 4)
      throw new KwaaiError('ERR_MODEL_CONTEXT_EXCEEDED', 'too long', {
        details: { promptTokens: 10, contextLength: 9 }
      })
    asked.push(request.messages.map(({ content }) => String(content)))
    yield { type: 'start', promptTokens: 1, chain: [] }
    try {
      for (let count = 0; request.messages.at(-1)?.content !== 'short' || count < 2; count++) {
        signal?.throwIfAborted()
        yield { type: 'text', index: 0, text: 'word ', tokens: [1] }
        await new Promise((resolve) => setImmediate(resolve))
      }
    } finally {
      if (signal?.aborted) stopped++
    }
    yield { type: 'finish', index: 0, reason: 'stop' }
    yield { type: 'usage', usage: { promptTokens: 1, completionTokens: 2, cachedTokens: 0 } }
  }
  const model: LanguageModel = {
    specification: 'kwaai.language-model/1',
    describe: async () => ({ id: 'endless', created: 0, ownedBy: 'test', contextLength: 9, ready: true }),
    chat,
    complete: () => {
      throw new Error('unused')
    },
    embed: () => Promise.reject(new Error('unused'))
  }
  return { model, asked, stopped: () => stopped }
}

/** A terminal whose keys a test presses. */
function terminal(): {
  io: Io
  press: (keys: string) => void
  shown: (text: string, times?: number) => Promise<void>
} {
  const stdin: Duplex = Object.assign(new PassThrough(), { isTTY: true, setRawMode: () => stdin })
  const stdout: Duplex = Object.assign(new PassThrough(), { isTTY: true, columns: 80, rows: 24 })
  let screen = ''
  let check = (): void => undefined
  stdout.setEncoding('utf8').on('data', (text: string) => {
    screen += text
    check()
  })
  const stderr: Duplex = new PassThrough().resume()
  const io: Io = {
    stdin: stdin as NodeJS.ReadStream,
    stdout: stdout as NodeJS.WriteStream,
    stderr: stderr as NodeJS.WriteStream,
    env: {},
    signal: new AbortController().signal
  }
  return {
    io,
    press: (keys) => void stdin.write(keys),
    shown: (text, times = 1) =>
      new Promise((resolve) => {
        check = () => {
          if (screen.split(text).length > times) resolve()
        }
        check()
      })
  }
}

describe('a conversation on a terminal', () => {
  const { model, asked, stopped } = endlessModel()
  let server: ApiServer
  let run: Promise<number>
  let { io, press, shown } = terminal()

  beforeEach(async () => {
    const health = { peerId: 'p', model: { id: 'endless' } }
    server = await serveApi(createApi({ health: () => health }, { models: [model] }), {
      port: 0,
      closeTimeoutMs: 100
    })
    ;({ io, press, shown } = terminal())
    asked.length = 0
    run = main(['chat', '--api-port', String(server.port)], io)
    await shown('> ')
  })
  afterEach(() => server.close())

  test('Ctrl-C stops the answer and nothing else; at the prompt it ends the conversation', async () => {
    const before = stopped()
    press('tell me all\r')
    await shown('word ', 3)
    press('\u0003')
    await shown('> ', 2)
    press('short\r')
    await shown('> ', 3)
    press('\u0003')
    expect(await run).toBe(0)
    // What was stopped is no part of the conversation.
    expect(asked).toEqual([['tell me all'], ['short']])
    await expect.poll(stopped).toBe(before + 1)
  })

  test('keeps what was said, and ends on an empty line', async () => {
    press('short\r')
    await shown('> ', 2)
    press('and then\r')
    await shown('word ', 4)
    // The end of the input ends the answer too.
    press('\u0004')
    expect(await run).toBe(0)
    expect(asked).toEqual([['short'], ['short', 'word word ', 'and then']])
  })

  test('forgets the oldest turns when the conversation outgrows the context', async () => {
    press('\u0004')
    await run
    ;({ io, press, shown } = terminal())
    run = main(['chat', '--system', 'Be brief.', '--api-port', String(server.port)], io)
    for (const count of [1, 2, 3]) {
      await shown('> ', count)
      press('short\r')
    }
    await shown('> ', 4)
    press('\u0004')
    expect(await run).toBe(0)
    const turn = ['short', 'word word ']
    expect(asked).toEqual([
      ['Be brief.', 'short'],
      ['Be brief.', ...turn, 'short'],
      // Four messages are all the model takes.
      ['Be brief.', ...turn, 'short']
    ])
  })
})
