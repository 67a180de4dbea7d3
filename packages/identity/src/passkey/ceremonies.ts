import type { CallOptions, Clock, IdentityRefusal, KeyValueStore, Random } from '@kwaai/interface'
import { createExpiringSet } from '../expiring-set.ts'
import { canonicalizeJson, checkJson, type JsonObject } from '../json.ts'
import { encodeBase64Url } from '../multikey.ts'
import { DEFAULT_CEREMONY_MS, DEFAULT_MAX_CEREMONIES, MAX_ANSWER_LENGTH } from './limits.ts'

/** How long ceremonies take, and how many there are at once. */
export interface CeremonyLimits {
  /** Milliseconds. Default 10 minutes. */
  ceremonyMs?: number
  /** Default 10,000; more are refused. */
  maxCeremonies?: number
}

/** What ceremonies need. */
export interface CeremonyComponents {
  /** Where ceremonies, and what is kept of people, stay. */
  store: KeyValueStore
  clock: Clock
  random: Random
}

/** Ceremonies that have begun: each is finished once, in time. */
export interface Ceremonies {
  /** @returns `undefined` where there are too many. */
  begin(
    facts: JsonObject,
    options: CallOptions,
    id?: string,
    lifeMs?: number
  ): Promise<{ ceremony: string; expiresAt: number } | undefined>
  /** What it began with, once. */
  take(ceremony: unknown, options: CallOptions): Promise<JsonObject | undefined>
}

const idBytes = 16

/** Makes {@link Ceremonies} kept under a prefix of the store. */
export function createCeremonies(
  prefix: string,
  { ceremonyMs = DEFAULT_CEREMONY_MS, maxCeremonies = DEFAULT_MAX_CEREMONIES }: CeremonyLimits,
  { store, clock, random }: CeremonyComponents
): Ceremonies {
  const set = createExpiringSet({ prefix, maxEntries: maxCeremonies }, { store, clock })
  return {
    async begin(facts, options, id = encodeBase64Url(random.bytes(idBytes)), lifeMs = ceremonyMs) {
      const expiresAt = clock.now() + lifeMs
      const value = new TextEncoder().encode(canonicalizeJson({ ...facts, expiresAt }))
      const outcome = await set.add(id, Math.ceil(expiresAt / 1000), value, options)
      return outcome === 'added' ? { ceremony: id, expiresAt } : undefined
    },
    async take(ceremony, options) {
      if (typeof ceremony !== 'string' || !/^[\w-]{22,43}$/.test(ceremony)) return undefined
      const value = await set.take(ceremony, options)
      if (value === undefined) return undefined
      const facts = JSON.parse(new TextDecoder().decode(value)) as JsonObject & { expiresAt: number }
      return clock.now() <= facts.expiresAt ? facts : undefined
    }
  }
}

/** An answer as an object of plain JSON, or `undefined` where it is none or too long. */
export function answerObject(answer: unknown): JsonObject | undefined {
  try {
    checkJson(answer, 8)
    if (JSON.stringify(answer).length > MAX_ANSWER_LENGTH) return undefined
  } catch {
    return undefined
  }
  return typeof answer === 'object' && answer !== null && !Array.isArray(answer)
    ? (answer as JsonObject)
    : undefined
}

/** A refusal. */
export function refusal<C extends string>(code: C, message: string): { ok: false; code: C; message: string } {
  return { ok: false, code, message }
}

/** What is said of a ceremony that never began, is over, or was finished. */
export const unknownCeremony: IdentityRefusal = refusal(
  'CEREMONY_UNKNOWN',
  'Cannot finish the ceremony: it is over, or was finished before. Begin anew'
)

/** What is said where too many are under way. */
export const tooMany: IdentityRefusal = refusal(
  'TOO_MANY',
  'Cannot begin the ceremony: too many are under way. Try again later'
)
