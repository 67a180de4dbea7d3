import { parseArgs } from 'node:util'
import { faultKinds, type FaultKind } from './faults.ts'
import type { StoryOptions } from './story.ts'

/** What the command line asks for. */
export interface SimOptions extends StoryOptions {
  from: number
  to: number
  untilFailure: boolean
  verbose: boolean
  json: boolean
}

export const help: string = `pnpm sim: block servers, clients, record board and network in one process, under a seed

  pnpm sim --seed 7                one seed
  pnpm sim --seeds 1..1000         many, one line each
  pnpm sim --seed 1 --until-failure    from there on, until one fails

  --verbose            tell the whole time line, also of seeds that hold
  --json               one JSON object a seed, a line each
  --faults a,b         only faults of these kinds; none for none
  --only 2,5           only these faults of the seed, by number
  --generations 1.2    only these generations of the seed
  --help

A seed fails when a result has other bits than the undisturbed run, an error has no code, a call hangs, rows
go to somebody who has not confirmed the session, anything is left at a live server at the end, or a
generation is not answered although servers that no fault touches hold all blocks. A failing seed is made
smaller as long as it fails, and told with its time line. The status is 1 then, and 2 for a wrong option.

Kinds of faults:
${Object.entries(faultKinds)
  .map(([kind, text]) => `  ${kind.padEnd(11)}${text}`)
  .join('\n')}`

/**
 * Reads the command line.
 *
 * @throws An error whose text is for the reader.
 */
export function readOptions(args: readonly string[]): SimOptions | 'help' {
  const { values } = parseArgs({
    // pnpm hands its own separator on.
    args: args.filter((arg) => arg !== '--'),
    options: {
      seed: { type: 'string' },
      seeds: { type: 'string' },
      'until-failure': { type: 'boolean', default: false },
      verbose: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
      faults: { type: 'string' },
      only: { type: 'string' },
      generations: { type: 'string' },
      help: { type: 'boolean', default: false }
    }
  })
  if (values.help) return 'help'
  if (values.seed !== undefined && values.seeds !== undefined)
    throw new Error('Give --seed or --seeds, not both')
  const untilFailure = values['until-failure']
  const range = values.seeds?.split('..') ?? [values.seed ?? '1']
  const [from, to = from] = range.map(integer)
  if (range.length > 2 || from === undefined || to === undefined || to < from) {
    throw new Error('--seeds is first..last')
  }
  return {
    from,
    to: untilFailure ? Number.MAX_SAFE_INTEGER : to,
    untilFailure,
    verbose: values.verbose,
    json: values.json,
    ...(values.faults === undefined ? {} : { kinds: words(values.faults).map(kind) }),
    ...(values.only === undefined ? {} : { faults: new Set(words(values.only).map(integer)) }),
    ...(values.generations === undefined ? {} : { generations: new Set(words(values.generations)) })
  }
}

function words(list: string): string[] {
  return list === 'none' ? [] : list.split(',').map((word) => word.trim())
}

function integer(word: string): number {
  const value = Number(word)
  if (!/^\d+$/.test(word) || !Number.isSafeInteger(value)) throw new Error(`"${word}" is no whole number`)
  return value
}

function kind(word: string): FaultKind {
  if (isKind(word)) return word
  throw new Error(`"${word}" is no kind of fault; there are ${Object.keys(faultKinds).join(', ')}`)
}

function isKind(word: string): word is FaultKind {
  return Object.hasOwn(faultKinds, word)
}
