/** What an error carries besides its text. */
export interface KwaaiErrorOptions {
  /** The error that led to this one. */
  cause?: unknown
  /** Machine-readable facts about the failure; never secrets. */
  details?: Readonly<Record<string, unknown>>
}

// A registered symbol, not `instanceof`: two versions of this package may meet in one program.
const marker = Symbol.for('kwaai.error')

/**
 * The one error class of the house. Callers branch on {@link KwaaiError.code}, people read the message.
 *
 * Messages say what could not be done, why, and where it helps what to do:
 * "Cannot open the session: the chain has no server for blocks 12 to 17".
 */
export class KwaaiError<Code extends string = string> extends Error {
  override readonly name: string = 'KwaaiError'
  /** A stable name such as `ERR_TRUST_UNKNOWN_PEER`, listed in the README of the package that throws it. */
  readonly code: Code
  /** Machine-readable facts about the failure. */
  readonly details: Readonly<Record<string, unknown>>

  constructor(code: Code, message: string, options: KwaaiErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.code = code
    this.details = options.details ?? {}
    Object.defineProperty(this, marker, { value: true })
  }

  /** True for an error of this class, of whatever copy of this package; with `code`, of that code alone. */
  static is<C extends string = string>(error: unknown, code?: C): error is KwaaiError<C> {
    if (typeof error !== 'object' || error === null || !(marker in error)) return false
    return code === undefined || ('code' in error && error.code === code)
  }
}
