import { KwaaiError, type CallOptions, type Clock, type KeyValueStore, type Random } from '@kwaai/interface'
import * as z from 'zod'
import { toBase64Url } from './provenance/base64url.ts'
import {
  DEFAULT_MAX_KEYS,
  KEY_ID_PREFIX,
  KEY_SECRET_PREFIX,
  MAX_KEY_MODELS,
  MAX_KEY_NAME_LENGTH,
  MAX_MODEL_ID_LENGTH
} from './constants.ts'

/** What one key may use. A limit that is left out does not hold. */
export interface KeyLimits {
  /** Requests, but for those to `/metrics`. */
  requestsPerMinute?: number | undefined
  /** Tokens of prompts and answers together. */
  tokensPerMinute?: number | undefined
  /** Answers under way at once. */
  concurrent?: number | undefined
}

/** A key, without its secret: that is shown once and kept nowhere. */
export interface ApiKey {
  /** `key_` and 32 hexadecimal digits, made of the secret's hash: names the key and its caller, and opens nothing. */
  id: string
  /** What its owner calls it. */
  name: string
  /** The models it covers. */
  models: 'all' | readonly string[]
  limits: KeyLimits
  /** Milliseconds since 1970 UTC. */
  createdAt: number
  /** Milliseconds since 1970 UTC, from which on it opens nothing. Absent: it does not expire. */
  expiresAt?: number | undefined
}

/** What a new key is to be. */
export interface CreateKeyInit {
  /** 1 to 100 characters, none of them a control character. */
  name: string
  /** Default `all`. */
  models?: 'all' | readonly string[]
  /** Default: none. */
  limits?: KeyLimits
  /** Milliseconds since 1970 UTC, in the future. Default: never. */
  expiresAt?: number
}

/** Options of {@link createApiKeys}. */
export interface ApiKeysInit {
  /** Keys kept at most. Default 10 000. */
  maxKeys?: number
}

/** What {@link createApiKeys} works with. */
export interface ApiKeysComponents {
  /** Where the keys are kept, under `api-key/`. */
  store: KeyValueStore
  clock: Clock
  /** Makes the secrets, so it has to be unpredictable. */
  random: Random
}

/** The keys of an API. */
export interface ApiKeys {
  /**
   * Makes a key.
   * @returns the key and its secret, which cannot be had again.
   * @throws A KwaaiError `ERR_API_INVALID_KEY` when an option is out of its range, `ERR_API_TOO_MANY_KEYS`.
   */
  create(key: CreateKeyInit, options?: CallOptions): Promise<{ key: ApiKey; secret: string }>
  /** All keys, expired ones too, in the order of their ids. */
  list(options?: CallOptions): Promise<ApiKey[]>
  /** Takes a key out; its next request is refused. @returns whether there was one. */
  revoke(id: string, options?: CallOptions): Promise<boolean>
  /** The key of a secret; `undefined` where there is none, it is revoked or has expired. */
  authenticate(secret: string, options?: CallOptions): Promise<ApiKey | undefined>
}

const positiveInteger = z.number().int().min(1)
const keyFields = {
  // No control characters: names are shown in terminals.
  name: z
    .string()
    .min(1)
    .max(MAX_KEY_NAME_LENGTH)
    .regex(/^\P{Cc}*$/u),
  models: z.union([
    z.literal('all'),
    z.array(z.string().min(1).max(MAX_MODEL_ID_LENGTH)).min(1).max(MAX_KEY_MODELS)
  ]),
  limits: z.strictObject({
    requestsPerMinute: positiveInteger.optional(),
    tokensPerMinute: positiveInteger.optional(),
    concurrent: positiveInteger.optional()
  }),
  expiresAt: z.number().optional()
}
const newKey = z.strictObject(keyFields)
const storedKey = z.object({
  ...keyFields,
  /** SHA-256 of the secret, in hexadecimal. */
  hash: z.string().regex(/^[0-9a-f]{64}$/),
  createdAt: z.number()
})

const storePrefix = 'api-key/'
const idForm = new RegExp(`^${KEY_ID_PREFIX}[0-9a-f]{32}$`)
// 256 bits in base64url (RFC 4648 §5).
const secretForm = new RegExp(`^${KEY_SECRET_PREFIX}[\\w-]{43}$`)
const encoder = new TextEncoder()
const decoder = new TextDecoder()

/**
 * Makes the keys of an API. A secret is 256 random bits, of which only the SHA-256 is kept: nothing slower is
 * needed for what cannot be guessed. Nothing is kept in memory either, so a key that is revoked in the store is
 * refused from then on.
 * @throws A KwaaiError `ERR_API_INVALID_INIT` when `maxKeys` is not a positive integer.
 */
export function createApiKeys(init: ApiKeysInit, components: ApiKeysComponents): ApiKeys {
  const { store, clock, random } = components
  const { maxKeys = DEFAULT_MAX_KEYS } = init
  if (!Number.isInteger(maxKeys) || maxKeys < 1)
    throw new KwaaiError(
      'ERR_API_INVALID_INIT',
      `Cannot make the keys: maxKeys is ${maxKeys}, it has to be a positive integer`
    )

  const entries = async (options: CallOptions): Promise<[string, Uint8Array][]> => {
    const found: [string, Uint8Array][] = []
    const range = { gte: storePrefix, lt: `${storePrefix}~`, limit: maxKeys }
    for await (const entry of store.entries({ ...range, ...options })) found.push(entry)
    return found
  }

  const create: ApiKeys['create'] = async (wanted, options = {}) => {
    const fields = newKey.safeParse({ models: 'all', limits: {}, ...wanted })
    if (!fields.success) throw invalidKey(fields.error.issues[0])
    const createdAt = clock.now()
    if (fields.data.expiresAt !== undefined && fields.data.expiresAt <= createdAt)
      throw new KwaaiError('ERR_API_INVALID_KEY', 'Cannot create the key: expiresAt is not in the future')
    if ((await entries(options)).length >= maxKeys)
      throw new KwaaiError(
        'ERR_API_TOO_MANY_KEYS',
        `Cannot create the key: there are ${maxKeys} already, revoke those that nobody uses`
      )
    const secret = KEY_SECRET_PREFIX + toBase64Url(random.bytes(32))
    const hash = await hashOf(secret)
    const record = { ...fields.data, hash, createdAt }
    await store.put(storePrefix + idOf(hash), encoder.encode(JSON.stringify(record)), options)
    return { key: { id: idOf(hash), ...fields.data, createdAt }, secret }
  }

  const list: ApiKeys['list'] = async (options = {}) =>
    (await entries(options)).flatMap(([name, value]) => {
      const found = parse(value)
      return found === undefined ? [] : [{ id: name.slice(storePrefix.length), ...found.key }]
    })

  const revoke: ApiKeys['revoke'] = async (id, options = {}) => {
    if (!idForm.test(id)) return false
    const found = (await store.get(storePrefix + id, options)) !== undefined
    if (found) await store.delete(storePrefix + id, options)
    return found
  }

  const authenticate: ApiKeys['authenticate'] = async (secret, options = {}) => {
    // What has not the form costs no hash and no look into the store.
    if (!secretForm.test(secret)) return undefined
    const hash = await hashOf(secret)
    const id = idOf(hash)
    const value = await store.get(storePrefix + id, options)
    const found = value === undefined ? undefined : parse(value)
    if (found === undefined || !equalText(found.hash, hash)) return undefined
    const { key } = found
    return key.expiresAt !== undefined && key.expiresAt <= clock.now() ? undefined : { id, ...key }
  }

  return { create, list, revoke, authenticate }
}

/** Compares in a time that depends on the lengths alone. */
export function equalText(a: string, b: string): boolean {
  let difference = a.length ^ b.length
  for (let i = 0; i < a.length; i++) difference |= a.charCodeAt(i) ^ b.charCodeAt(i % Math.max(1, b.length))
  return difference === 0
}

function parse(value: Uint8Array): { hash: string; key: Omit<ApiKey, 'id'> } | undefined {
  try {
    const { hash, ...key } = storedKey.parse(JSON.parse(decoder.decode(value)))
    return { hash, key }
  } catch {
    // A record that cannot be read opens nothing.
    return undefined
  }
}

async function hashOf(secret: string): Promise<string> {
  const digest = await crypto.subtle.digest('SHA-256', encoder.encode(secret))
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, '0')).join('')
}

/** Half of the hash names the key; the other half would still have to be found. */
function idOf(hash: string): string {
  return KEY_ID_PREFIX + hash.slice(0, 32)
}

function invalidKey(issue: z.core.$ZodIssue | undefined): KwaaiError {
  const path = (issue?.path ?? []).map(String).join('.')
  return new KwaaiError(
    'ERR_API_INVALID_KEY',
    `Cannot create the key: ${path === '' ? '' : `${path}: `}${issue?.message ?? 'it is invalid'}`,
    { details: { param: path } }
  )
}
