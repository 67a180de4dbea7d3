import { parseArgs } from 'node:util'
import { nodeError } from '../errors.ts'

/** One option of a command. */
export interface OptionSpec {
  type: 'string' | 'boolean'
  /** What stands for the value in the help, such as `<port>`. */
  value?: string
  short?: string
  /** May be given several times. */
  multiple?: boolean
  describe: string
}

/** What a command was given. */
export interface ParsedOptions {
  text(name: string): string | undefined
  flag(name: string): boolean
  list(name: string): string[]
  /** True when the option is on the command line. */
  given(name: string): boolean
  positionals: readonly string[]
}

/** Options every command has. */
export const commonOptions: Record<string, OptionSpec> = {
  help: { type: 'boolean', short: 'h', describe: 'Show this help' }
}

/**
 * Reads a command line strictly: an unknown option, a missing value or a stray word is an error.
 *
 * @throws A KwaaiError `ERR_NODE_INVALID_OPTION`.
 */
export function parseOptions(
  command: string,
  args: readonly string[],
  specs: Record<string, OptionSpec>,
  maxPositionals: number
): ParsedOptions {
  const all = { ...commonOptions, ...specs }
  const refuse = (why: string, cause?: unknown): Error =>
    nodeError('ERR_NODE_INVALID_OPTION', `${why}. "kwaai ${command} --help" lists the options`, { cause })
  let parsed: ReturnType<typeof parseArgs>
  try {
    parsed = parseArgs({
      args: [...args],
      options: Object.fromEntries(
        Object.entries(all).map(([name, { type, short, multiple }]) => [
          name,
          { type, ...(short === undefined ? {} : { short }), multiple: multiple ?? false }
        ])
      ),
      strict: true,
      allowPositionals: true
    })
  } catch (error) {
    // Node's first sentence names the option; its hints about "--" help nobody here.
    const text = error instanceof Error ? (error.message.split(/\. |\.?\n/)[0] as string) : String(error)
    throw refuse(text.replace('argument is ambiguous', 'needs a value'), error)
  }
  if (parsed.positionals.length > maxPositionals) {
    throw refuse(`Unexpected argument '${parsed.positionals[maxPositionals]}'`)
  }
  const value = (name: string): string | boolean | (string | boolean)[] | undefined => parsed.values[name]
  return {
    text: (name) => {
      const found = value(name)
      return typeof found === 'string' ? found : undefined
    },
    flag: (name) => value(name) === true,
    given: (name) => value(name) !== undefined,
    list: (name) => {
      const found = value(name)
      return Array.isArray(found) ? found.map(String) : []
    },
    positionals: parsed.positionals
  }
}

function invalid(option: string, text: string, expected: string): Error {
  return nodeError('ERR_NODE_INVALID_OPTION', `Cannot use --${option} ${text}: expected ${expected}`)
}

/** A whole number within bounds. */
export function parseWhole(option: string, text: string, min: number, max: number): number {
  const value = /^\d+$/.test(text) ? Number(text) : Number.NaN
  if (!(value >= min && value <= max)) throw invalid(option, text, `a whole number from ${min} to ${max}`)
  return value
}

/** A number within bounds. */
export function parseDecimal(option: string, text: string, min: number, max: number): number {
  const value = text.trim() === '' ? Number.NaN : Number(text)
  if (!(value >= min && value <= max)) throw invalid(option, text, `a number from ${min} to ${max}`)
  return value
}

/** `none`, `all` or a half-open range such as `0-10`. */
export function parseBlocks(text: string): 'none' | 'all' | readonly [from: number, to: number] {
  if (text === 'none' || text === 'all') return text
  const match = /^(\d{1,6})-(\d{1,6})$/.exec(text)
  const from = Number(match?.[1])
  const to = Number(match?.[2])
  if (!(from < to)) {
    throw invalid('blocks', text, 'a half-open range such as 0-10 (blocks 0 to 9), "all" or "none"')
  }
  return [from, to]
}

const units: Record<string, number> = { '': 1, k: 2 ** 10, m: 2 ** 20, g: 2 ** 30, t: 2 ** 40 }

/** A size such as `2GiB`, `512M` or a number of bytes. Units are powers of 1024. */
export function parseBytes(option: string, text: string): number {
  const match = /^(\d+(?:\.\d+)?)\s*([kmgt]?)(?:i?b)?$/i.exec(text.trim())
  const value = Math.floor(Number(match?.[1]) * (units[(match?.[2] ?? '').toLowerCase()] as number))
  if (!(value > 0 && Number.isSafeInteger(value)))
    throw invalid(option, text, 'a size such as 2GiB or 512MiB')
  return value
}
