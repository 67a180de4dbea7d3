import { claimDataDir } from '../data-dir.ts'
import { nodeError } from '../errors.ts'
import { withKeyLock, type KeyOptions } from '../node-key.ts'
import type { OptionSpec, ParsedOptions } from './options.ts'
import { askPassphrase, givenPassphrase } from './passphrase.ts'
import { jsonText, printable, type Io } from './terminal.ts'

/** One verb of `kwaai identity`. */
export interface IdentityVerb {
  /** Those it has besides the ones of all verbs. */
  options: Record<string, OptionSpec>
  run(dataDir: string, options: ParsedOptions, io: Io): Promise<number>
}

/** How keys are opened: with the passphrase given, else with one that a person types. */
export async function keyOptionsOf(options: ParsedOptions, io: Io): Promise<KeyOptions> {
  const passphrase = await givenPassphrase(options, io)
  return {
    signal: io.signal,
    askPassphrase: (question) => askPassphrase(io, question),
    onNote: (text) => void io.stderr.write(`${printable(text)}\n`),
    ...(passphrase === undefined ? {} : { passphrase })
  }
}

/** Runs while no node can use the folder: a key that changes under a running node would be lost to it. */
export async function withClaim<T>(dataDir: string, doing: string, run: () => Promise<T>): Promise<T> {
  const release = await claimDataDir(dataDir, doing)
  try {
    return await withKeyLock(dataDir, run)
  } finally {
    await release()
  }
}

/** Prints an object for programs, or lines for people. */
export function tell(options: ParsedOptions, io: Io, facts: object, lines: readonly string[]): void {
  const text = options.flag('json') ? jsonText(facts) : lines.map(printable).join('\n')
  io.stdout.write(`${text}\n`)
}

/**
 * Refuses to put a secret where many can see it: on a terminal, or into a pipe that a log may catch.
 *
 * @throws A KwaaiError `ERR_NODE_SECRET_NOT_SHOWN`.
 */
export function refuseToShow(what: string, advice: string): never {
  throw nodeError('ERR_NODE_SECRET_NOT_SHOWN', `Cannot show ${what} unasked: it is secret. ${advice}`)
}

/** All of standard input, or one line of a terminal. */
export async function readInput(io: Io, question: string, maxBytes: number): Promise<string> {
  const { stdin } = io
  if (stdin.isTTY === true) io.stderr.write(question)
  const parts: Buffer[] = []
  let length = 0
  for await (const chunk of stdin) {
    const bytes = Buffer.from(chunk as Uint8Array | string)
    parts.push(bytes)
    length += bytes.length
    if (length > maxBytes) {
      throw nodeError(
        'ERR_NODE_INVALID_OPTION',
        `Cannot read standard input: it has more than ${maxBytes} bytes`
      )
    }
    if (stdin.isTTY === true && bytes.includes(0x0a)) break
  }
  return Buffer.concat(parts).toString('utf8')
}
