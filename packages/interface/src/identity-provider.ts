import type { CallOptions, Did } from './common.ts'

/** How somebody says who they are, from the least to the most. */
export type IdentityLevel = 'anonymous' | 'email' | 'passkey' | 'did'

/** What a proof is asked for. */
export interface IdentityRequest {
  /** To come in, or to be linked to an account. */
  purpose: 'enter' | 'link'
  /** What the person says it is, where the level asks: an address of email, the id of a passkey. */
  name?: string
  /** With `link`: the account. */
  account?: Did
  /** With `link`: the hash of what the account's own key has signed, 32 bytes. The proof covers it. */
  statement?: Uint8Array
}

/** A ceremony that has begun. */
export interface IdentityChallenge {
  /** Its name. Whoever began it keeps it, and finishes it with it. */
  ceremony: string
  /** Milliseconds since 1970 until which it can be finished. */
  expiresAt: number
  /** What the device of the person needs to answer, as plain JSON. */
  ask: unknown
}

/** Why nobody was recognised. */
export type IdentityFault = 'REQUEST_INVALID' | 'CEREMONY_UNKNOWN' | 'PROOF_INVALID' | 'TOO_MANY'

/** A refusal, for what an attacker can choose. */
export interface IdentityRefusal {
  ok: false
  code: IdentityFault
  /** One plain sentence. */
  message: string
}

/** Somebody was recognised. */
export interface IdentityProof {
  ok: true
  level: IdentityLevel
  purpose: 'enter' | 'link'
  /** The same for the same person each time, and no other's. No personal data in the clear. */
  name: string
  /** The DID whose key made the proof, where the level has one. */
  did?: Did
  /** With `link`: as requested. */
  account?: Did
  /** With `link`: what the proof covers. */
  statement?: Uint8Array
  /** What was signed, to be kept with the link. */
  binding: Uint8Array
}

/** Recognises people at one level. */
export interface IdentityProvider {
  readonly specification: 'kwaai.identity-provider/1'
  readonly level: IdentityLevel
  begin(
    request: IdentityRequest,
    options?: CallOptions
  ): Promise<{ ok: true; challenge: IdentityChallenge } | IdentityRefusal>
  /** A ceremony is finished once, well or badly. */
  finish(ceremony: string, answer: unknown, options?: CallOptions): Promise<IdentityProof | IdentityRefusal>
}
