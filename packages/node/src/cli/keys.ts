import type { ApiKey, CreateKeyInit } from '@kwaai/api'
import { systemClock, systemRandom } from '@kwaai/interface/memory'
import { nodeError } from '../errors.ts'
import type { KeyFolder } from '../node-api.ts'
import type { Command } from './command.ts'
import { dataDirOf, dataDirOptions } from './node-options.ts'
import { parseWhole, type ParsedOptions } from './options.ts'
import { jsonText, printable, type Io } from './terminal.ts'

const hour = 3_600_000
const units: Readonly<Record<string, number>> = { h: hour, d: 24 * hour, w: 7 * 24 * hour }

/** Later dates have five digits for their year, which nobody reads. */
const yearsEnd = Date.UTC(10_000, 0)

/** A date; one that no calendar has, such as the 31st of February, is none. */
function dateOf(text: string): number {
  const day = /^\d{4}-\d{2}-\d{2}/.exec(text)?.[0]
  if (day === undefined) return Number.NaN
  const start = Date.parse(`${day}T00:00:00Z`)
  const exists = start >= 0 && new Date(start).toISOString().startsWith(day)
  return exists ? Date.parse(text) : Number.NaN
}

/** `12h`, `30d`, `4w` from now, or a date such as `2030-12-31`. */
export function parseExpiry(text: string, now: number): number {
  const span = /^(\d{1,6})([hdw])$/.exec(text)
  const until = span === null ? dateOf(text) : now + Number(span[1]) * (units[span[2] as string] as number)
  if (until > now && until < yearsEnd) return until
  throw nodeError(
    'ERR_NODE_INVALID_OPTION',
    `Cannot use --expires ${printable(text)}: expected a time from now such as 12h, 30d or 4w, or a date in the future`
  )
}

const limits = {
  'requests-per-minute': 'requestsPerMinute',
  'tokens-per-minute': 'tokensPerMinute',
  concurrent: 'concurrent'
} as const

/** `kwaai keys` */
export const keys: Command = {
  name: 'keys',
  summary: 'Make, list or revoke the API keys of a node; one that runs sees it at once',
  usage: '[list | create <name> | revoke <id>] [options]',
  options: {
    models: {
      type: 'string',
      value: '<model>',
      multiple: true,
      describe: 'A model the new key covers, or several with commas; all when left out'
    },
    'requests-per-minute': { type: 'string', value: '<n>', describe: 'Requests with the new key a minute' },
    'tokens-per-minute': {
      type: 'string',
      value: '<n>',
      describe: 'Tokens of prompts and answers with the new key a minute'
    },
    concurrent: { type: 'string', value: '<n>', describe: 'Answers with the new key at once' },
    expires: { type: 'string', value: '<when>', describe: 'When the new key ends: 12h, 30d, 4w or a date' },
    ...dataDirOptions,
    json: { type: 'boolean', describe: 'Print JSON' }
  },
  maxPositionals: 2,
  async run(options, io) {
    const [verb = 'list', name] = options.positionals
    const dataDir = dataDirOf(options, io)
    const { openKeys } = await import('../node-api.ts')
    const opened = openKeys(dataDir, { clock: systemClock, random: systemRandom })
    try {
      if (verb === 'list' && name === undefined) return await list(opened, dataDir, options, io)
      if (verb === 'create' && name !== undefined) return await create(opened, dataDir, name, options, io)
      if (verb === 'revoke' && name !== undefined) return await revoke(opened, dataDir, name, options, io)
    } finally {
      await opened.close()
    }
    throw nodeError(
      'ERR_NODE_INVALID_OPTION',
      `Cannot understand "keys ${printable(options.positionals.join(' '))}". "kwaai keys --help" shows the usage`
    )
  }
}

async function list(
  { keys: kept, used }: KeyFolder,
  dataDir: string,
  options: ParsedOptions,
  io: Io
): Promise<number> {
  const all = (await kept.list({ signal: io.signal })).toSorted((a, b) => a.createdAt - b.createdAt)
  if (options.flag('json')) {
    io.stdout.write(`${jsonText(all)}\n`)
    return 0
  }
  if (all.length === 0) {
    const state = (await used()) ? 'so the API answers nobody' : 'so the API answers this machine alone'
    io.stdout.write(`No API keys in ${dataDir}, ${state}. Make one: kwaai keys create <name>\n`)
  }
  for (const key of all) io.stdout.write(`${keyText(key)}\n`)
  return 0
}

function keyText(key: ApiKey): string {
  const parts = [
    key.id,
    printable(key.name),
    key.models === 'all' ? 'all models' : printable(key.models.join(', ')),
    ...(key.limits.requestsPerMinute === undefined ? [] : [`${key.limits.requestsPerMinute} requests/min`]),
    ...(key.limits.tokensPerMinute === undefined ? [] : [`${key.limits.tokensPerMinute} tokens/min`]),
    ...(key.limits.concurrent === undefined ? [] : [`${key.limits.concurrent} at once`]),
    `since ${new Date(key.createdAt).toISOString().slice(0, 10)}`
  ]
  if (key.expiresAt !== undefined) {
    const when = new Date(key.expiresAt).toISOString().slice(0, 16)
    parts.push(key.expiresAt <= systemClock.now() ? `expired ${when}Z` : `until ${when}Z`)
  }
  return parts.join('  ')
}

async function create(
  { keys: kept, used }: KeyFolder,
  dataDir: string,
  name: string,
  options: ParsedOptions,
  io: Io
): Promise<number> {
  const models = options
    .list('models')
    .flatMap((text) => text.split(','))
    .map((text) => text.trim())
    .filter((text) => text !== '')
  const expires = options.text('expires')
  const wanted: CreateKeyInit = {
    name,
    limits: Object.fromEntries(
      Object.entries(limits).flatMap(([option, limit]) => {
        const text = options.text(option)
        return text === undefined ? [] : [[limit, parseWhole(option, text, 1, 1_000_000_000)] as const]
      })
    ),
    ...(models.length === 0 ? {} : { models }),
    ...(expires === undefined ? {} : { expiresAt: parseExpiry(expires, systemClock.now()) })
  }
  const first = !(await used())
  const { key, secret } = await kept.create(wanted, { signal: io.signal })
  const { appendAudit } = await import('../audit.ts')
  try {
    await appendAudit(dataDir, { kind: 'api-key/created', subject: key.id, data: key })
  } catch (error) {
    // A key that nobody can account for is none.
    await kept.revoke(key.id)
    throw error
  }
  if (first) {
    io.stderr.write(
      'This is the first key of this node: from its next start on every request to its API needs one.\n'
    )
  }
  io.stdout.write(
    options.flag('json')
      ? `${jsonText({ key, secret })}\n`
      : `${keyText(key)}\nIts secret is shown this once and kept nowhere:\n${secret}\n`
  )
  return 0
}

async function revoke(
  { keys: kept, path }: KeyFolder,
  dataDir: string,
  id: string,
  options: ParsedOptions,
  io: Io
): Promise<number> {
  const revoked = await kept.revoke(id, { signal: io.signal })
  if (!revoked) {
    throw nodeError(
      'ERR_NODE_API_KEY_UNKNOWN',
      `Cannot revoke ${printable(id)}: this node has no such API key. "kwaai keys" lists them`
    )
  }
  const { appendAudit } = await import('../audit.ts')
  await appendAudit(dataDir, { kind: 'api-key/revoked', subject: id, data: { id } })
  if ((await kept.list({ signal: io.signal })).length === 0) {
    io.stderr.write(
      `That was the last key, so the API answers nobody; without ${path} it answers this machine.\n`
    )
  }
  io.stdout.write(options.flag('json') ? `${jsonText({ id, revoked })}\n` : `${id} opens nothing any more\n`)
  return 0
}
