import { KwaaiError } from '@kwaai/interface'
import { version } from '../version.ts'
import { audit } from './audit.ts'
import { chat } from './chat.ts'
import { runCommand, type Command } from './command.ts'
import { demo } from './demo.ts'
import { grant } from './grant.ts'
import { identity } from './identity.ts'
import { issuer } from './issuer.ts'
import { keys } from './keys.ts'
import { models } from './models.ts'
import { status } from './status.ts'
import { jsonText, printable, type Io } from './terminal.ts'
import { up } from './up.ts'
import { vc } from './vc.ts'
import { verify } from './verify.ts'

const commands: readonly Command[] = [
  up,
  chat,
  status,
  models,
  keys,
  identity,
  verify,
  grant,
  vc,
  issuer,
  audit,
  demo
]

function help(): string {
  const width = Math.max(...commands.map(({ name }) => name.length))
  return [
    'kwaai: a language model that many machines hold together',
    '',
    'Usage: kwaai <command> [options]',
    '',
    'Commands:',
    ...commands.map(({ name, summary }) => `  ${name.padEnd(width)}  ${summary}`),
    '',
    'kwaai <command> --help shows the options of a command; kwaai --version the version.',
    ''
  ].join('\n')
}

/**
 * Runs a command line.
 *
 * @returns the exit status: 0, 1 for a failure, 2 for a command line that cannot be understood.
 */
export async function main(args: readonly string[], io: Io): Promise<number> {
  const [first, ...rest] = args
  if (first === undefined || first === '--help' || first === '-h' || first === 'help') {
    io.stdout.write(help())
    return first === undefined ? 2 : 0
  }
  if (first === '--version' || first === '-V') {
    io.stdout.write(`${version}\n`)
    return 0
  }
  const command = commands.find(({ name }) => name === first)
  if (command === undefined) {
    const message = `unknown command '${printable(first)}'. "kwaai --help" lists the commands`
    io.stderr.write(`kwaai: ${message}\n`)
    if (args.includes('--json'))
      io.stdout.write(`${jsonText({ code: 'ERR_NODE_INVALID_OPTION', message })}\n`)
    return 2
  }
  try {
    return await runCommand(command, rest, io)
  } catch (thrown) {
    // Where closing fails as well, what failed first is what is told.
    let error: unknown = thrown
    while (error instanceof SuppressedError) error = error.suppressed
    if (io.signal.aborted) return 130
    // One sentence: what could not be done, why, and what to do. The stack is for those who ask.
    const message = error instanceof Error ? error.message : String(error)
    // A name of others with a line feed in it would show a line of its own.
    io.stderr.write(`kwaai: ${printable(message.replace(/[\t\n]/g, '\ufffd'))}\n`)
    // A program that asked for JSON gets what it may decide by, in the place where it looks.
    if (command.events !== true && rest.includes('--json'))
      io.stdout.write(`${jsonText({ code: KwaaiError.is(error) ? error.code : null, message })}\n`)
    if (io.env['KWAAI_DEBUG'] && error instanceof Error) io.stderr.write(`${error.stack}\n`)
    return KwaaiError.is(error, 'ERR_NODE_INVALID_OPTION') ? 2 : 1
  }
}
