import type {
  CallOptions,
  Did,
  IdentityChallenge,
  IdentityFault,
  IdentityLevel,
  IdentityProvider,
  KeyValueStore
} from '@kwaai/interface'
import type { CeremonyComponents, CeremonyLimits } from './ceremonies.ts'

/** One way into an account. */
export interface AccountLink {
  level: IdentityLevel
  /** What the provider of the level calls the person. */
  name: string
  /** Milliseconds since 1970. */
  at: number
  /** What the account's key signed, base64url; empty for the first link, whose key it is. */
  statement: string
  /** What the other side signed over it, base64url. */
  binding: string
}

/** What is kept of an account. Its DID is that of its first key, and never changes. */
export interface AccountRecord {
  did: Did
  /** Milliseconds since 1970. */
  createdAt: number
  links: readonly AccountLink[]
}

/** Why somebody does not come in, or is not linked. */
export type AccountFault =
  | IdentityFault
  | 'LEVEL_UNKNOWN'
  | 'LEVEL_TOO_LOW'
  | 'NOT_LINKED'
  | 'LINKED_ELSEWHERE'
  | 'STATEMENT_INVALID'
  | 'FULL'

/** A refusal, for what an attacker can choose. */
export interface AccountRefusal {
  ok: false
  code: AccountFault
  /** One plain sentence. */
  message: string
}

/** A ceremony that has begun, or why not. */
export type BegunCeremony = { ok: true; challenge: IdentityChallenge } | AccountRefusal

/** An account somebody came into. Whoever has this value is in. */
export interface OpenAccount {
  readonly record: AccountRecord
  /** How they came in. */
  readonly level: IdentityLevel
  /** The account's own data, the same at every level. */
  readonly data: KeyValueStore
  /**
   * Begins to link a further way in.
   *
   * @param statement - of `createLinkStatement`, by the account's own key.
   * @param name - what the level asks for: an address of email, the id of a passkey.
   */
  beginLink(
    level: IdentityLevel,
    statement: string,
    name?: string,
    options?: CallOptions
  ): Promise<BegunCeremony>
  link(
    level: IdentityLevel,
    ceremony: string,
    answer: unknown,
    options?: CallOptions
  ): Promise<{ ok: true; record: AccountRecord } | AccountRefusal>
  /**
   * Removes a link, such as that of a device that was lost, and what its provider kept for it. The first one stays.
   *
   * @param statement - of `createUnlinkStatement`, by the account's own key.
   */
  unlink(
    level: IdentityLevel,
    name: string,
    statement: string,
    options?: CallOptions
  ): Promise<{ ok: true; record: AccountRecord } | AccountRefusal>
}

/** The accounts of a service. */
export interface Accounts {
  begin(level: IdentityLevel, name?: string, options?: CallOptions): Promise<BegunCeremony>
  /** Comes in. A key that was never seen makes an account; everything else has to be linked to one. */
  enter(
    level: IdentityLevel,
    ceremony: string,
    answer: unknown,
    options?: CallOptions
  ): Promise<{ ok: true; account: OpenAccount } | AccountRefusal>
}

/** How accounts are kept. */
export interface AccountsInit extends CeremonyLimits {
  /** Who keeps them: a domain, or a DID. */
  audience: string
  /** Accounts at most. Default 100,000. */
  maxAccounts?: number
  /**
   * Whether a lower level than the highest that is linked still opens the account. Default `refused`: who can read
   * somebody's mail does not come into what a passkey guards. The account's own key always opens it.
   */
  lowerLevels?: 'refused' | 'allowed'
}

/** What a provider does that keeps something for each link, such as the key of a passkey. */
export interface LinkKeeper {
  /**
   * Whether what a link needs is there.
   *
   * @param binding - of the proof the link was made with.
   */
  keeps(account: Did, binding: Uint8Array, options?: CallOptions): Promise<boolean>
  /** Deletes what a link needed that is no more, where it was this account's. */
  forget(account: Did, binding: Uint8Array, options?: CallOptions): Promise<void>
}

/** What accounts need. */
export interface AccountsComponents extends CeremonyComponents {
  /** One of level `anonymous`, and of every other level that is offered. */
  providers: readonly (IdentityProvider & Partial<LinkKeeper>)[]
}
