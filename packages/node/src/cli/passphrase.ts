import { nodeError } from '../errors.ts'
import { readBytes } from './input.ts'
import type { OptionSpec, ParsedOptions } from './options.ts'
import type { Io } from './terminal.ts'

/** Where the passphrase of a node's key comes from. */
export const passphraseOptions: Record<string, OptionSpec> = {
  'passphrase-file': {
    type: 'string',
    value: '<file>',
    describe: 'File whose one line is the passphrase of the key; KWAAI_PASSPHRASE has it otherwise'
  }
}

/** Where a passphrase is read: an option that names a file, else a variable. */
export interface PassphraseSource {
  option: string
  variable: string
}

const ofTheKey: PassphraseSource = { option: 'passphrase-file', variable: 'KWAAI_PASSPHRASE' }
/** Of the passphrase that takes the place of another. */
export const ofTheNext: PassphraseSource = {
  option: 'new-passphrase-file',
  variable: 'KWAAI_NEW_PASSPHRASE'
}

const maxPassphraseBytes = 1024
const othersMayRead = 0o044

/** The one line of a file, or of a pipe, without the newline at its end. */
async function readPassphraseFile(option: string, path: string, io: Io): Promise<string> {
  const refuse = (why: string, cause?: unknown): Error =>
    nodeError('ERR_NODE_INVALID_OPTION', `Cannot use --${option} ${path}: ${why}`, { cause })
  const maxBytes = maxPassphraseBytes + 3
  const { bytes: buffer, facts } = await readBytes(path, { maxBytes, signal: io.signal }).catch(
    (error: unknown) => {
      io.signal.throwIfAborted()
      throw refuse((error as Error).message, error)
    }
  )
  if (process.platform !== 'win32' && facts.isFile() && (facts.mode & othersMayRead) !== 0)
    io.stderr.write(`Others can read ${path}: chmod 600 closes it to them.\n`)
  if (buffer.length === maxBytes) throw refuse(`a passphrase has up to ${maxPassphraseBytes} bytes`)
  let text: string
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(buffer)
  } catch (error) {
    throw refuse('it is not text in UTF-8', error)
  }
  buffer.fill(0)
  const line = text.replace(/\r?\n$/, '')
  if (line === '') throw refuse('it is empty')
  if (/[\r\n]/.test(line)) throw refuse('it has more than one line')
  return line
}

// Of each command line and option: a pipe gives what it has once.
const read = new WeakMap<ParsedOptions, Map<string, Promise<string>>>()

/** The passphrase a command line names: of a file, else of the environment. An empty variable is none. */
export async function givenPassphrase(
  options: ParsedOptions,
  io: Io,
  { option, variable }: PassphraseSource = ofTheKey
): Promise<string | undefined> {
  const path = options.text(option)
  if (path === undefined) return io.env[variable] || undefined
  const known = read.get(options) ?? new Map<string, Promise<string>>()
  read.set(options, known)
  const reading = known.get(option) ?? readPassphraseFile(option, path, io)
  known.set(option, reading)
  return reading
}

const [backspace, del, interrupt, endOfText, clear] = ['\b', '\u007f', '\u0003', '\u0004', '\u0015']

/**
 * Asks on the terminal, without showing what is typed.
 *
 * @returns `undefined` where there is no terminal, or nothing was typed.
 * @throws the reason the command was asked to end with.
 */
export async function askPassphrase(io: Io, question: string): Promise<string | undefined> {
  const { stdin, stderr, signal } = io
  if (stdin.isTTY !== true || stderr.isTTY !== true) return undefined
  signal.throwIfAborted()
  // Before the question: who types at once would see it.
  const before = stdin.isRaw === true
  stdin.setRawMode(true)
  stdin.setEncoding('utf8')
  stderr.write(question)
  try {
    return await new Promise<string | undefined>((resolve, reject) => {
      let typed = ''
      const settle = (act: () => void): void => {
        stdin.pause()
        stdin.off('data', listen)
        stdin.off('end', end)
        signal.removeEventListener('abort', abort)
        act()
      }
      const abort = (): void => settle(() => reject(signal.reason as Error))
      const end = (): void => settle(() => resolve(typed === '' ? undefined : typed))
      const listen = (text: string): void => {
        let at = 0
        for (const character of text) {
          at += character.length
          if (character === '\r' || character === '\n') {
            end()
            // What was typed ahead is for the next question.
            if (at < text.length) stdin.unshift(text.slice(at), 'utf8')
            return
          }
          if (character === interrupt) return settle(() => reject(new Error('Cannot go on: interrupted')))
          if (character === endOfText) return end()
          if (character === backspace || character === del) typed = [...typed].slice(0, -1).join('')
          else if (character === clear) typed = ''
          else if (typed.length < maxPassphraseBytes && character >= ' ') typed += character
        }
      }
      stdin.on('data', listen)
      stdin.on('end', end)
      signal.addEventListener('abort', abort, { once: true })
      stdin.resume()
    })
  } finally {
    stdin.setRawMode(before)
    stderr.write('\n')
  }
}

/** A passphrase for something new: the one given, else one that a person types twice. */
export async function newPassphrase(
  options: ParsedOptions,
  io: Io,
  what: string,
  source: PassphraseSource = ofTheKey
): Promise<string> {
  const given = await givenPassphrase(options, io, source)
  if (given !== undefined) return given
  const { stdin } = io
  const nobody = nodeError(
    'ERR_NODE_PASSPHRASE_NEEDED',
    `Cannot encrypt ${what}: there is no ${source === ofTheNext ? 'new ' : ''}passphrase. Give --${source.option}, or set ${source.variable}`
  )
  if (stdin.isTTY !== true) throw nobody
  // Also between the two questions nothing shows.
  stdin.setRawMode(true)
  try {
    const first = await askPassphrase(io, `New passphrase for ${what}: `)
    if (first === undefined) throw nobody
    if ((await askPassphrase(io, 'The same once more: ')) === first) return first
  } finally {
    stdin.setRawMode(false)
  }
  throw nodeError(
    'ERR_NODE_PASSPHRASE_NEEDED',
    `Cannot encrypt ${what}: the two passphrases differ. Try again`
  )
}
