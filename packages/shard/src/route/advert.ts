import type { PeerId } from '@kwaai/interface'
import { advertKeyPrefix, maxAdvertBytes } from '../constants.ts'
import { shardError } from '../errors.ts'

/**
 * What a block server says of itself: canonical JSON (RFC 8785) in a signed record under
 * `kwaai/shard/<SHA-256 of the model>`.
 */
export interface Advert {
  peer: PeerId
  /** First block. */
  from: number
  /** One past the last block. */
  to: number
  /** Blocks of the whole model. */
  blockCount: number
  /** What decides the bits of its results. */
  numericsClass: string
  /** Rows one session may hold. */
  maxTokens: number
  /** Rows that still fit into its cache. */
  freeTokens: number
  /** Generated rows a second through its range, one session, as measured; 0 while unknown. */
  tokensPerSecond: number
  /** Steps that waited when this was written. */
  queuedSteps: number
  /** Credits a token; 0 until there are contracts. */
  price: number
  /** Where the machine stands, in the owner's own word such as `eu`. */
  region?: string
  /** Round trips in milliseconds, as it measured them, to servers that begin where it ends. At most 16. */
  nextMs?: Readonly<Record<PeerId, number>>
}

const version = 1
const maxBlocks = 10_000
const maxText = 256
const maxNext = 16
/** Milliseconds of a round trip at most. */
const maxRttMs = 60_000

/** The key under which the adverts of a model are stored. */
export function advertKey(modelHash: string): string {
  return `${advertKeyPrefix}${modelHash}`
}

/** The subkey of an advert: one signer may run several servers of one model. */
export function advertSubkey(range: { from: number; to: number }): string {
  return `${range.from}-${range.to}`
}

/**
 * The bytes of an advert.
 *
 * @throws A KwaaiError `ERR_SHARD_INVALID_ADVERT` when a value is out of range.
 */
export function encodeAdvert(advert: Advert): Uint8Array {
  const { nextMs, ...rest } = check({ ...advert, v: version })
  const fields = { ...rest, v: version, ...(nextMs === undefined ? {} : { nextMs: sorted(nextMs) }) }
  // All values are numbers and well-formed strings: sorted names are all that RFC 8785 asks for beyond what
  // JSON.stringify does.
  return new TextEncoder().encode(JSON.stringify(sorted(fields)))
}

/** The same record with its names in the order of their UTF-16 code units. */
function sorted<T>(record: Readonly<Record<string, T>>): Record<string, T> {
  return Object.fromEntries(Object.entries(record).toSorted(([a], [b]) => (a < b ? -1 : 1)))
}

/**
 * Reads an advert. Fields it does not know are left out, so that later ones do no harm.
 *
 * @throws A KwaaiError `ERR_SHARD_INVALID_ADVERT`.
 */
export function decodeAdvert(bytes: Uint8Array): Advert {
  if (bytes.length > maxAdvertBytes) throw invalid(`it has ${bytes.length} bytes`)
  let value: unknown
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch (error) {
    throw invalid('it is no JSON', error)
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw invalid('it is no object')
  return check({ ...value })
}

function check(value: Readonly<Record<string, unknown>>): Advert {
  if (value['v'] !== version) throw invalid('its version is unknown')
  const text = (name: string): string => {
    const field = value[name]
    if (!isText(field)) throw invalid(`its ${name} is no text of 1 to ${maxText} characters`)
    return field
  }
  const number = (name: string, max: number): number => {
    const field = value[name]
    if (typeof field !== 'number' || !(field >= 0 && field <= max))
      throw invalid(`its ${name} is no number up to ${max}`)
    return field
  }
  const integer = (name: string, max: number): number => {
    const field = number(name, max)
    if (!Number.isInteger(field)) throw invalid(`its ${name} is no integer`)
    return field
  }
  const blockCount = integer('blockCount', maxBlocks)
  const to = integer('to', blockCount)
  const from = integer('from', blockCount)
  if (from >= to) throw invalid(`its blocks ${from} to ${to} are no range`)
  return {
    peer: text('peer'),
    from,
    to,
    blockCount,
    numericsClass: text('numericsClass'),
    maxTokens: integer('maxTokens', 2 ** 32 - 1),
    freeTokens: integer('freeTokens', Number.MAX_SAFE_INTEGER),
    tokensPerSecond: number('tokensPerSecond', 1e9),
    queuedSteps: integer('queuedSteps', 1e6),
    price: number('price', 1e9),
    ...(value['region'] === undefined ? {} : { region: text('region') }),
    ...(value['nextMs'] === undefined ? {} : { nextMs: roundTrips(value['nextMs']) })
  }
}

function isText(value: unknown): value is string {
  return (
    typeof value === 'string' &&
    value.length > 0 &&
    value.length <= maxText &&
    // Half a surrogate pair has no bytes.
    !/\p{Surrogate}/u.test(value)
  )
}

function roundTrips(value: unknown): Record<string, number> {
  const entries = typeof value === 'object' && value !== null ? Object.entries(value) : []
  const fits = ([peer, ms]: [string, unknown]): boolean =>
    isText(peer) && typeof ms === 'number' && ms >= 0 && ms <= maxRttMs
  const record = typeof value === 'object' && value !== null && !Array.isArray(value)
  if (!record || entries.length > maxNext || !entries.every(fits)) {
    throw invalid(`its nextMs is no record of at most ${maxNext} round trips`)
  }
  return Object.fromEntries(entries)
}

function invalid(why: string, cause?: unknown): Error {
  return shardError('ERR_SHARD_INVALID_ADVERT', `Cannot read the advert: ${why}`, { cause })
}
