/** Context of the envelope of a grant. */
export const GRANT_CONTEXT = 'kwaai/grant/1'

/** Context of the envelope of an invocation. */
export const INVOCATION_CONTEXT = 'kwaai/grant/invocation/1'

/** Context of the envelope of a revocation. */
export const REVOCATION_CONTEXT = 'kwaai/grant/revocation/1'

/** Largest envelope of a grant, an invocation or a revocation, in bytes; own choice, a plain grant has about 500. */
export const MAX_GRANT_BYTES = 4096

/** Most grants from the subject to the invoker; own choice. */
export const MAX_GRANT_CHAIN = 8

/** Longest command, in characters; own choice. */
export const MAX_COMMAND_LENGTH = 128

/** Most statements of one policy, nested ones counted; own choice. */
export const MAX_POLICY_STATEMENTS = 128

/** How deep statements of a policy may be nested; own choice. */
export const MAX_POLICY_DEPTH = 8

/** Longest selector and longest pattern, in characters; own choice. */
export const MAX_SELECTOR_LENGTH = 256

/** Statements evaluated and values looked at for one policy at most: what needs more is not satisfied; own choice. */
export const MAX_POLICY_STEPS = 10_000

/** How deep the JSON of a grant, an invocation or its arguments may be nested; own choice. */
export const MAX_JSON_DEPTH = 24

/** Longest life of an invocation, in seconds: so long its nonce has to be remembered; own choice. */
export const DEFAULT_MAX_INVOCATION_S = 300

/** Latest `exp` and `nbf`: the end of the year 9999, in seconds since 1970. */
export const MAX_TIME_S = 253_402_300_799

/** Invocations that a replay guard remembers, and revocations that a list holds; own choice. */
export const DEFAULT_MAX_REMEMBERED = 100_000
