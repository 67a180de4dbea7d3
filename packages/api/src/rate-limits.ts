import type { Clock } from '@kwaai/interface'
import { MAX_TRACKED_KEYS } from './constants.ts'
import type { ApiKey } from './keys.ts'
import { RequestRefused, retryHeaders } from './refusals.ts'

/** What a key has left of one limit. */
interface Bucket {
  perMinute: number
  /** What is left, down below zero after an answer that took more than there was. */
  level: number
  /** When that was so, in monotonic milliseconds. */
  at: number
}

interface Use {
  requests: Bucket | undefined
  tokens: Bucket | undefined
  running: number
}

/** What the keys have used of their limits. */
export interface RateLimits {
  /** Counts a request. @throws A `RequestRefused` with 429 when the key has none left. */
  request(key: ApiKey): void
  /**
   * Begins an answer.
   * @returns what ends it: told the tokens it took, once; a further call does nothing.
   * @throws A `RequestRefused` with 429 when the key has no tokens left, or runs as many answers as it may.
   */
  begin(key: ApiKey): (tokens: number) => void
  /** The `x-ratelimit-*` headers of an answer to this key: none for a limit it does not have. */
  headers(key: ApiKey): Record<string, string>
  /** Keys remembered. */
  tracked(): number
}

const minuteMs = 60_000
/** What refills by parts may miss a whole by a rounding. */
const one = 1 - 1e-9

/**
 * Holds each key to its own limits. Each is a bucket that a minute fills: a key at rest may use a minute's worth
 * at once, and in the long run no more than its rate. Tokens are taken from it when an answer has ended, by the
 * model's own counts; nothing is estimated before. So answers may overdraw it, and the key then waits until that
 * is paid back.
 */
export function createRateLimits(init: { retryAfterMs: number }, components: { clock: Clock }): RateLimits {
  const { clock } = components
  const uses = new Map<string, Use>()
  let sweepAt = MAX_TRACKED_KEYS

  const levelNow = ({ perMinute, level, at }: Bucket): number =>
    Math.min(perMinute, level + ((clock.monotonic() - at) * perMinute) / minuteMs)

  const bucketNow = (bucket: Bucket | undefined, perMinute: number): Bucket => {
    const at = clock.monotonic()
    // A key whose limit was lowered has no more than the new one.
    return { perMinute, level: bucket === undefined ? perMinute : Math.min(perMinute, levelNow(bucket)), at }
  }

  // A full bucket says no more than none does; debts are kept until they are paid.
  const atRest = ({ requests, tokens, running }: Use): boolean =>
    running === 0 &&
    [requests, tokens].every((bucket) => bucket === undefined || levelNow(bucket) >= bucket.perMinute)

  const useOf = (id: string): Use => {
    const known = uses.get(id)
    if (known !== undefined) return known
    if (uses.size >= sweepAt) {
      for (const [other, use] of uses) if (atRest(use)) uses.delete(other)
      sweepAt = Math.max(MAX_TRACKED_KEYS, 2 * uses.size)
    }
    const use: Use = { requests: undefined, tokens: undefined, running: 0 }
    uses.set(id, use)
    return use
  }

  const waitMs = ({ level, perMinute }: Bucket, wanted: number): number =>
    Math.max(0, ((wanted - level) * minuteMs) / perMinute)

  const request: RateLimits['request'] = (key) => {
    const { requestsPerMinute } = key.limits
    if (requestsPerMinute === undefined) return
    const use = useOf(key.id)
    const bucket = (use.requests = bucketNow(use.requests, requestsPerMinute))
    if (bucket.level < one)
      throw exceeded(`The key may send ${requestsPerMinute} requests a minute`, waitMs(bucket, 1))
    bucket.level -= 1
  }

  const begin: RateLimits['begin'] = (key) => {
    const { tokensPerMinute, concurrent } = key.limits
    if (tokensPerMinute === undefined && concurrent === undefined) return () => undefined
    const use = useOf(key.id)
    if (concurrent !== undefined && use.running >= concurrent)
      throw exceeded(`The key may run ${concurrent} answers at once`, init.retryAfterMs)
    if (tokensPerMinute !== undefined) {
      use.tokens = bucketNow(use.tokens, tokensPerMinute)
      if (use.tokens.level < one)
        throw exceeded(`The key may use ${tokensPerMinute} tokens a minute`, waitMs(use.tokens, 1))
    }
    use.running += 1
    let ended = false
    return (tokens) => {
      if (ended) return
      ended = true
      use.running -= 1
      if (tokensPerMinute === undefined) return
      use.tokens = bucketNow(use.tokens, tokensPerMinute)
      if (tokens > 0) use.tokens.level -= tokens
    }
  }

  const headers: RateLimits['headers'] = (key) => {
    const result: Record<string, string> = {}
    const use = uses.get(key.id)
    for (const name of ['requests', 'tokens'] as const) {
      const perMinute = key.limits[`${name}PerMinute`]
      if (perMinute === undefined) continue
      const bucket = bucketNow(use?.[name], perMinute)
      result[`x-ratelimit-limit-${name}`] = String(perMinute)
      result[`x-ratelimit-remaining-${name}`] = String(Math.max(0, Math.floor(bucket.level)))
      result[`x-ratelimit-reset-${name}`] = durationText(waitMs(bucket, perMinute))
    }
    return result
  }

  return { request, begin, headers, tracked: () => uses.size }
}

/** A duration as OpenAI writes it in these headers, which is as Go does: `120ms`, `6m0s`. */
export function durationText(ms: number): string {
  const whole = Math.ceil(ms)
  if (whole === 0) return '0s'
  if (whole < 1000) return `${whole}ms`
  const seconds = Math.floor(whole / 1000)
  const hours = Math.floor(seconds / 3600)
  const minutes = Math.floor((seconds % 3600) / 60)
  const rest = (whole - (hours * 3600 + minutes * 60) * 1000) / 1000
  return `${hours > 0 ? `${hours}h` : ''}${hours > 0 || minutes > 0 ? `${minutes}m` : ''}${rest}s`
}

function exceeded(what: string, retryAfterMs: number): RequestRefused {
  return new RequestRefused({
    status: 429,
    type: 'rate_limit_error',
    code: 'rate_limit_exceeded',
    message: `${what}; try again in ${durationText(Math.max(1, retryAfterMs))}`,
    headers: retryHeaders(retryAfterMs)
  })
}
