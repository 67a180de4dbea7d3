import { deadlineSignal, KwaaiError, type Clock } from '@kwaai/interface'
import { systemClock } from '@kwaai/interface/memory'
import type {
  Credential,
  DocumentFetcher,
  StatusChecker,
  StatusOutcome,
  VerificationLimits,
  VerifyOptions,
  VerifyResult
} from '../vc/types.ts'
import { orAborted } from '../or-aborted.ts'
import { verify as verifyCredential } from '../vc/verify.ts'
import { DEFAULT_MAX_STATUS_LIST_BYTES } from './bitstring.ts'
import { fetchList, type FetchedList, type NoList, type PublishedList } from './published-list.ts'
import { readStatusEntries, type CheckedEntry } from './status-entry.ts'
import { statusListOf } from './status-list.ts'

/** How statuses are checked. */
export interface StatusCheckerInit {
  /**
   * Milliseconds a list that was fetched may be used while a newer one cannot be had; past them the answer is
   * `STATUS_UNAVAILABLE`. A list is fetched anew when its own `ttl` is over. Default 3,600,000 (an hour).
   */
  maxAgeMs?: number
  /** Largest list, in bytes once it is inflated. Default {@link DEFAULT_MAX_STATUS_LIST_BYTES}. */
  maxListBytes?: number
  /** Lists kept, the least recently used goes first. Default 64. */
  maxLists?: number
  /** Milliseconds a list may take to come. Default 10,000. */
  timeoutMs?: number
  /** How far clocks may differ, in milliseconds. Default 300,000. */
  maxClockSkewMs?: number
  /** Whether somebody else may publish the list of an issuer. Default: only the issuer itself. */
  mayPublish?: (question: { listIssuer: string; credentialIssuer: string }) => boolean
  /**
   * Whether a credential stands with a status other than 0 on a list for another purpose than revocation, suspension
   * and refresh. Default: it does not.
   */
  accept?: (status: { purpose: string; value: number; message?: string }) => boolean
}

/** What a checker works with. */
export interface StatusCheckerComponents {
  fetchDocument: DocumentFetcher
  /** For the credential of the list, as in the verification of any other. */
  suites?: VerifyOptions['suites']
  resolver?: VerifyOptions['resolver']
  contexts?: VerifyOptions['contexts']
  /** Verifies the credential of the list. Default: `verify` of `@kwaai/identity/vc`. */
  verify?: (credential: Credential, options: VerifyOptions) => Promise<VerifyResult>
  clock?: Clock
}

type CheckOptions = Parameters<StatusChecker['check']>[1]

interface Kept {
  list: PublishedList
  /** By the monotonic clock. */
  fetchedAt: number
}

interface Asked {
  found: PublishedList | NoList
  /** By the monotonic clock. */
  fetchedAt: number
}

// The time of a list is remembered for so many times as many lists as are kept.
const timesRemembered = 64

// The worst comes first: a credential on several lists is told by it.
const severity = [
  'STATUS_REVOKED',
  'STATUS_SUSPENDED',
  'STATUS_SET',
  'STATUS_INVALID',
  'STATUS_UNAVAILABLE'
] as const

/** Makes a checker for `credentialStatus` of the type `BitstringStatusListEntry`; it keeps the lists it has fetched. */
export function createStatusChecker(
  init: StatusCheckerInit,
  components: StatusCheckerComponents
): StatusChecker {
  const { maxAgeMs = 3_600_000, maxListBytes = DEFAULT_MAX_STATUS_LIST_BYTES, maxLists = 64 } = init
  const { timeoutMs = 10_000, maxClockSkewMs = 300_000, accept = () => false } = init
  const mayPublish =
    init.mayPublish ?? (({ listIssuer, credentialIssuer }) => listIssuer === credentialIssuer)
  const {
    fetchDocument,
    suites,
    resolver,
    contexts,
    verify = verifyCredential,
    clock = systemClock
  } = components
  const verifyOptions: VerifyOptions = {
    maxClockSkewMs,
    fetchDocument,
    ...(suites === undefined ? {} : { suites }),
    ...(resolver === undefined ? {} : { resolver }),
    ...(contexts === undefined ? {} : { contexts })
  }
  // By the issuer who is asked about and the URL, so that no list of another takes a place here.
  const lists = new Map<string, Kept>()
  /** When the newest list known was made, also of those that are not kept any more. */
  const newest = new Map<string, number>()
  const coming = new Map<string, Promise<FetchedList>>()

  const keep = (name: string, kept: Kept): void => {
    putLast(lists, name, kept, maxLists)
    putLast(newest, name, kept.list.validFrom, maxLists * timesRemembered)
  }

  /** One fetch for all who wait for a list; none of them ends it for the others. */
  const fetchOnce = (url: string, now: number): Promise<FetchedList> => {
    const known = coming.get(url)
    if (known !== undefined) return known
    const timer = deadlineSignal(clock, timeoutMs, () => new Error('the list takes too long'))
    const late = new Promise<FetchedList>((resolve) => {
      const message = `the list ${url} takes longer than ${timeoutMs} ms`
      timer.signal.addEventListener('abort', () =>
        resolve({ list: { code: 'STATUS_UNAVAILABLE', message }, spent: {} })
      )
    })
    const fetched = fetchList(
      url,
      { fetchDocument, verify, verifyOptions },
      { now, maxBytes: maxListBytes, signal: timer.signal }
    )
    const work = Promise.race([fetched, late]).finally(() => {
      timer.clear()
      coming.delete(url)
    })
    fetched.catch(() => undefined)
    coming.set(url, work)
    return work
  }

  /** The list at a URL, for which one verification asks and pays once, whoever else waits for it. */
  const fetchFor = (url: string, { now, budget }: CheckOptions): Promise<Asked> => {
    const ask = async (): Promise<Asked> => {
      const fetchedAt = clock.monotonic()
      const refusal = budget?.spend('documents', 1)
      if (refusal !== undefined) return { found: refusal, fetchedAt }
      const { list, spent } = await fetchOnce(url, now)
      const refusals = Object.entries(spent).map(([name, amount]) =>
        budget?.spend(name as keyof VerificationLimits, amount)
      )
      return { found: refusals.find((one) => one !== undefined) ?? list, fetchedAt }
    }
    return budget === undefined ? ask() : budget.once(coming, url, ask)
  }

  const listAt = async (
    url: string,
    credentialIssuer: string,
    options: CheckOptions
  ): Promise<PublishedList | NoList> => {
    const name = `${credentialIssuer} ${url}`
    const before = lists.get(name)
    const age = before === undefined ? Infinity : clock.monotonic() - before.fetchedAt
    if (before !== undefined && age < Math.min(before.list.ttlMs, maxAgeMs)) {
      keep(name, before)
      return before.list
    }
    const { found, fetchedAt } = await orAborted(fetchFor(url, options), options.signal)
    // Who presents chooses what the budget is spent on, and must not choose with it that an older list stands.
    if ('code' in found && found.code.startsWith('BUDGET_')) return found
    if (!('code' in found)) {
      // What another one signed is judged below, and never takes the place of what is known.
      if (!mayPublish({ listIssuer: found.issuer, credentialIssuer })) return found
      // An older list than the one known would let a revoked credential stand again.
      if (found.validFrom >= (newest.get(name) ?? -Infinity)) {
        keep(name, { list: found, fetchedAt })
        return found
      }
    }
    if (before !== undefined && age <= maxAgeMs) return before.list
    return 'code' in found
      ? found
      : { code: 'STATUS_INVALID', message: `the list ${url} is older than it was` }
  }

  const checkEntry = async (
    entry: CheckedEntry,
    credentialIssuer: string,
    options: CheckOptions
  ): Promise<StatusOutcome> => {
    const { now } = options
    const { url, purpose, index, statusSize, messages } = entry
    const list = await listAt(url, credentialIssuer, options)
    if ('code' in list) return fail(list.code, list.message)
    // The other way round, a time that is none would be within every period.
    if (!(now <= list.validUntil + maxClockSkewMs))
      return fail('STATUS_UNAVAILABLE', `the list ${url} is past its period`)
    if (!(now >= list.validFrom - maxClockSkewMs))
      return fail('STATUS_INVALID', `the list ${url} is not valid yet`)
    if (!mayPublish({ listIssuer: list.issuer, credentialIssuer })) {
      return fail(
        'STATUS_INVALID',
        `the list ${url} is by ${list.issuer}, and not by the issuer of the credential`
      )
    }
    if (!list.purposes.includes(purpose))
      return fail('STATUS_INVALID', `the list ${url} is not for ${purpose}`)
    let value: number
    try {
      value = statusListOf(list.bits, statusSize).get(index)
    } catch (error) {
      if (!KwaaiError.is(error)) throw error
      return fail('STATUS_INVALID', error.message)
    }
    return judge(purpose, value, messages.get(value), accept)
  }

  return {
    async check(credential: Credential, options) {
      options.signal?.throwIfAborted()
      if (typeof credential !== 'object' || credential === null)
        return fail('STATUS_INVALID', 'it is no object')
      const entries = readStatusEntries(credential)
      if (typeof entries === 'string') return fail('STATUS_INVALID', entries)
      const { issuer } = credential
      const issuerId = typeof issuer === 'string' ? issuer : issuer?.id
      if (entries.length > 0 && issuerId === undefined)
        return fail('STATUS_INVALID', 'the credential has no issuer')
      const outcomes: StatusOutcome[] = []
      for (const entry of entries) outcomes.push(await checkEntry(entry, issuerId as string, options))
      for (const code of severity) {
        const found = outcomes.find((outcome) => outcome.code === code)
        if (found !== undefined) return found
      }
      return (
        outcomes.find(({ ok }) => !ok) ??
        outcomes.find(({ message }) => message !== undefined) ?? { ok: true }
      )
    }
  }
}

/** Puts an entry last, and drops the first where there are more than allowed. */
function putLast<T>(map: Map<string, T>, name: string, value: T, most: number): void {
  map.delete(name)
  map.set(name, value)
  for (const first of map.keys()) {
    if (map.size <= most) return
    map.delete(first)
  }
}

function judge(
  purpose: string,
  value: number,
  message: string | undefined,
  accept: NonNullable<StatusCheckerInit['accept']>
): StatusOutcome {
  if (value === 0) return { ok: true }
  if (purpose === 'revocation') return fail('STATUS_REVOKED', 'The issuer has revoked the credential')
  if (purpose === 'suspension') return fail('STATUS_SUSPENDED', 'The issuer has suspended the credential')
  if (purpose === 'refresh') return { ok: true, message: 'A newer credential can be had' }
  const told = message === undefined ? {} : { message }
  const text = `The issuer has set the status ${value} for ${purpose}${message === undefined ? '' : `: ${message}`}`
  return accept({ purpose, value, ...told }) ? { ok: true, message: text } : fail('STATUS_SET', text)
}

function fail(code: NonNullable<StatusOutcome['code']>, message: string): StatusOutcome {
  return { ok: false, code, message }
}
