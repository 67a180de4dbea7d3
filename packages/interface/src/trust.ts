import type { CallOptions, Did, PeerId } from './common.ts'

/** How far somebody is trusted. */
export type TrustTier = 'unknown' | 'known' | 'verified' | 'trusted'

/** A judgement, with what it rests on. */
export interface TrustAssessment {
  /** 0 to 1. */
  score: number
  /** The score that holds with the uncertainty taken off: what a gate compares. */
  lowerBound: number
  /** 0 (much evidence) to 1 (none). */
  uncertainty: number
  tier: TrustTier
  /** One plain sentence each. */
  reasons: readonly string[]
}

/** Judges others from the own evidence. */
export interface TrustView {
  readonly specification: 'kwaai.trust-view/1'
  assess(did: Did, context: string, options?: CallOptions): Promise<TrustAssessment>
}

/** Something that happened with a peer. */
export interface Outcome {
  subject: Did
  /** What it was about, such as `shard/forward`. */
  context: string
  kind: 'success' | 'failure' | 'violation'
  /** Numbers that belong to it, such as `tokens` or `ms`. */
  measures?: Readonly<Record<string, number>>
}

/** Where every room reports what happened. */
export interface EvidenceSink {
  record(outcome: Outcome): void
}

/** Decides whether a caller may open a session. */
export interface Authorizer {
  readonly specification: 'kwaai.authorizer/1'
  /** @throws A KwaaiError `ERR_UNAUTHORIZED` that says what is missing. */
  authorize(request: AuthorizationRequest & { capability: Uint8Array }, options?: CallOptions): Promise<void>
}

/** What somebody asks to be allowed. */
export interface AuthorizationRequest {
  /** Who asks, to an authorizer; who is asked, to a capability source. */
  peer: PeerId
  /** What is to be done, such as `shard/open`. */
  command: string
  /** How, as the room itself knows it: plain JSON. A policy can be held to these alone. Default: nothing is known. */
  arguments?: Readonly<Record<string, unknown>>
}

/** Finds what to show an {@link Authorizer}. */
export interface CapabilitySource {
  readonly specification: 'kwaai.capability-source/1'
  /** @returns no bytes where there is nothing to show. */
  capability(request: AuthorizationRequest, options?: CallOptions): Promise<Uint8Array>
}

/** Something that was used. */
export interface MeteredUsage {
  /** Whose it was: a peer, or the name of a caller. */
  account: string
  /** What is counted, such as `token-blocks`. */
  unit: string
  amount: number
  /** What it was used for, such as the id of an answer. */
  reference?: string
}

/** Counts what was used; a receipt is made of it. */
export interface Meter {
  add(usage: MeteredUsage): void
  /** A receipt for what was added under a reference, as ASCII text that stands in a header, where there is one. */
  receipt?(reference: string, options?: CallOptions): Promise<string | undefined>
}

/** Where rooms report what an auditor may ask about. */
export interface AuditSink {
  append(entry: { kind: string; subject?: Did; data: Uint8Array }, options?: CallOptions): Promise<void>
}
