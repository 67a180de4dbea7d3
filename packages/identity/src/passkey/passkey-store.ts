import type { CallOptions, Clock, Did, KeyValueStore } from '@kwaai/interface'
import { createExpiringSet } from '../expiring-set.ts'
import { canonicalizeJson } from '../json.ts'
import { DEFAULT_CEREMONY_MS, DEFAULT_MAX_ACCOUNTS, DEFAULT_MAX_CEREMONIES } from './limits.ts'

/** What is kept of a passkey. */
export interface KeptPasskey {
  /** The id of the credential, base64url. */
  id: string
  /** In COSE, base64url. */
  publicKey: string
  did: Did
  /** The account that registered it. */
  account: Did
  /** The handle the passkey has of its user, base64url. */
  userHandle: string
  /** How often it was used, as it says itself; many always say 0. */
  counter: number
}

/** The passkeys: those registered a moment ago, and those that were linked. */
export interface PasskeyStore {
  get(id: string, options: CallOptions): Promise<KeptPasskey | undefined>
  /** Keeps a new one for a while; false where there are too many. */
  register(passkey: KeptPasskey, options: CallOptions): Promise<boolean>
  /**
   * Keeps one with what it says by now: for good where it is linked, or was before. False where there are too many.
   */
  keep(passkey: KeptPasskey, linked: boolean, options: CallOptions): Promise<boolean>
  /** Whether one of this account was kept for good. */
  keeps(account: Did, id: string, options: CallOptions): Promise<boolean>
  /** Deletes it, where it is this account's. */
  forget(account: Did, id: string, options: CallOptions): Promise<void>
}

const prefix = 'identity/passkey/kept/'

/** Makes a {@link PasskeyStore}. */
export function createPasskeyStore(
  { maxPasskeys = DEFAULT_MAX_ACCOUNTS }: { maxPasskeys?: number },
  { store, clock }: { store: KeyValueStore; clock: Clock }
): PasskeyStore {
  const fresh = createExpiringSet(
    { prefix: 'identity/passkey/new/', maxEntries: DEFAULT_MAX_CEREMONIES },
    { store, clock }
  )
  const encode = (passkey: KeptPasskey): Uint8Array => new TextEncoder().encode(canonicalizeJson(passkey))
  const decode = (bytes: Uint8Array): KeptPasskey =>
    JSON.parse(new TextDecoder().decode(bytes)) as KeptPasskey
  let count: number | undefined

  async function countAll(options: CallOptions): Promise<number> {
    let total = 0
    for await (const _ of store.entries({ gte: prefix, lt: 'identity/passkey/kept0', ...options })) total++
    return total
  }

  async function keeps(account: Did, id: string, options: CallOptions): Promise<boolean> {
    const bytes = await store.get(prefix + id, options)
    return bytes !== undefined && decode(bytes).account === account
  }

  return {
    keeps,
    async forget(account, id, options) {
      if (!(await keeps(account, id, options))) return
      await store.delete(prefix + id, options)
      if (count !== undefined) count--
    },
    async get(id, options) {
      const bytes = (await store.get(prefix + id, options)) ?? (await fresh.get(id, options))
      return bytes === undefined ? undefined : decode(bytes)
    },
    async register(passkey, options) {
      const until = Math.ceil((clock.now() + DEFAULT_CEREMONY_MS) / 1000)
      return (await fresh.add(passkey.id, until, encode(passkey), options)) === 'added'
    },
    async keep(passkey, linked, options) {
      if ((await store.get(prefix + passkey.id, options)) === undefined) {
        // Who comes in with one that nobody linked does not make it stay.
        if (!linked) return true
        count ??= await countAll(options)
        if (count >= maxPasskeys) return false
        count++
      }
      await store.put(prefix + passkey.id, encode(passkey), options)
      await fresh.take(passkey.id, options)
      return true
    }
  }
}
