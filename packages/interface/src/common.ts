/// <reference lib="esnext.disposable" preserve="true" />

/** A decentralised identifier, `did:key:z6Mk…` for every identity the house makes itself. */
export type Did = string & { readonly __brand?: 'Did' }

/** A libp2p peer id in its base58 form, `12D3KooW…` for an Ed25519 key. */
export type PeerId = string & { readonly __brand?: 'PeerId' }

/** Options of every call that waits. */
export interface CallOptions {
  /** Ends the wait; the call then rejects with the signal's reason. */
  signal?: AbortSignal
}

/** Something that runs between `start` and `stop`. Both may be called twice. */
export interface Startable extends AsyncDisposable {
  start(options?: CallOptions): Promise<void>
  stop(options?: CallOptions): Promise<void>
}

/** Makes signatures for one identity. */
export interface Signer {
  readonly did: Did
  /** The raw public key: 32 bytes for Ed25519. */
  readonly publicKey: Uint8Array
  /** @returns the raw signature, 64 bytes for Ed25519. */
  sign(message: Uint8Array): Promise<Uint8Array>
}

/** Checks signatures of one identity. */
export interface Verifier {
  readonly did: Did
  verify(message: Uint8Array, signature: Uint8Array): Promise<boolean>
}

/** Finds the verifier that stands behind a DID. */
export interface Resolver {
  resolve(did: Did, options?: CallOptions): Promise<Verifier>
}

/** Time, as a component, so that tests own it. */
export interface Clock {
  /** Milliseconds since 1970-01-01 UTC. */
  now(): number
  /** Milliseconds that only ever grow, with fractions; for durations. */
  monotonic(): number
  /**
   * Waits, and not at all where `ms` is 0 or less: a moment that is computed may be past once it is waited for.
   *
   * @throws the signal's reason when it aborts first.
   */
  sleep(ms: number, options?: CallOptions): Promise<void>
}

/** Randomness, as a component, so that tests can repeat a run. */
export interface Random {
  /** `length` unpredictable bytes (predictable ones under a seeded implementation). */
  bytes(length: number): Uint8Array
  /** A number in [0, 1). */
  next(): number
}

/** How bad a logged event is. */
export type LogLevel = 'debug' | 'info' | 'warn' | 'error'

/** Structured logging: an event name that does not change, and fields. Never prompts, never keys. */
export interface Logger {
  log(level: LogLevel, event: string, fields?: Readonly<Record<string, unknown>>): void
}

/** One measured stretch of work. */
export interface TraceSpan {
  /** The W3C `traceparent` header of this span, to hand to another process. */
  readonly traceparent: string
  end(fields?: Readonly<Record<string, unknown>>): void
}

/** Starts trace spans. */
export interface Tracer {
  start(name: string, options?: { parent?: string }): TraceSpan
}

/** One write of an atomic batch. */
export type BatchOperation = { type: 'put'; key: string; value: Uint8Array } | { type: 'delete'; key: string }

/** Which keys to walk: bounds as in `abstract-level`, in the order of UTF-8 bytes. */
export interface KeyRange {
  gte?: string
  gt?: string
  lte?: string
  lt?: string
  /** At most so many entries. */
  limit?: number
  reverse?: boolean
}

/** An ordered key-value store in the shape of `abstract-level`. Values are copied in and out. */
export interface KeyValueStore {
  readonly specification: 'kwaai.key-value-store/1'
  get(key: string, options?: CallOptions): Promise<Uint8Array | undefined>
  put(key: string, value: Uint8Array, options?: CallOptions): Promise<void>
  delete(key: string, options?: CallOptions): Promise<void>
  /** All of it or nothing of it. */
  batch(operations: readonly BatchOperation[], options?: CallOptions): Promise<void>
  entries(range?: KeyRange & CallOptions): AsyncIterable<[key: string, value: Uint8Array]>
}

/**
 * A signal that aborts after `ms` of the given clock, or when `signal` does, whichever is first.
 * `clear` ends the timer; call it in a `finally`.
 */
export function deadlineSignal(
  clock: Clock,
  ms: number,
  reason: () => Error,
  signal?: AbortSignal
): { signal: AbortSignal; clear: () => void } {
  const timer = new AbortController()
  const done = new AbortController()
  const ended = signal === undefined ? done.signal : AbortSignal.any([signal, done.signal])
  clock.sleep(ms, { signal: ended }).then(
    () => timer.abort(reason()),
    () => undefined
  )
  return {
    signal: signal === undefined ? timer.signal : AbortSignal.any([signal, timer.signal]),
    clear: () => done.abort()
  }
}
