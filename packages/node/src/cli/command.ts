import { commonOptions, parseOptions, type OptionSpec, type ParsedOptions } from './options.ts'
import type { Io } from './terminal.ts'

/** One verb of the command line. */
export interface Command {
  name: string
  summary: string
  /** What follows the name in the usage line. */
  usage: string
  options: Record<string, OptionSpec>
  maxPositionals: number
  /** With `--json` it prints an object for each event, and a failure is none of them. */
  events?: true
  /** @returns the exit status. */
  run(options: ParsedOptions, io: Io): Promise<number>
}

/** The help of one command. */
export function commandHelp(command: Command): string {
  const rows = Object.entries({ ...command.options, ...commonOptions }).map(
    ([name, { short, value, describe, multiple }]) => [
      `${short === undefined ? '    ' : `-${short}, `}--${name}${value === undefined ? '' : ` ${value}`}`,
      multiple === true ? `${describe} (repeatable)` : describe
    ]
  )
  const width = Math.max(...rows.map(([left]) => (left as string).length))
  return [
    command.summary,
    '',
    `Usage: kwaai ${command.name} ${command.usage}`.trimEnd(),
    '',
    'Options:',
    ...rows.map(([left, right]) => `  ${(left as string).padEnd(width)}  ${right}`),
    ''
  ].join('\n')
}

/** Runs one command: its help, or its work. */
export async function runCommand(command: Command, args: readonly string[], io: Io): Promise<number> {
  // Help wins over whatever else is wrong with the line.
  if (args.includes('--help') || args.includes('-h')) {
    io.stdout.write(commandHelp(command))
    return 0
  }
  return command.run(parseOptions(command.name, args, command.options, command.maxPositionals), io)
}
