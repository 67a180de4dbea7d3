/** Items in the `input` of one request at most. */
export const MAX_INPUT_ITEMS = 4_096

/** Responses one `previous_response_id` leads back to at most. */
export const MAX_HISTORY = 512

/** How long a response is kept: 30 days, as OpenAI does. */
export const DEFAULT_RESPONSE_TTL_MS: number = 30 * 24 * 60 * 60 * 1000

/** Responses kept for one caller at most. */
export const DEFAULT_RESPONSES_PER_CALLER = 1_000

/** Bytes of one kept response at most: the largest body by default, and as much again for what it adds. */
export const DEFAULT_RESPONSE_BYTES: number = 16 * 1024 * 1024

/** Bytes of all kept responses together at most. */
export const DEFAULT_STORED_BYTES: number = 64 * 1024 * 1024

/** Entries of a page of `input_items`, unless asked otherwise and at most, as OpenAI's description (2.3.0) has it. */
export const DEFAULT_PAGE = 20
/** See {@link DEFAULT_PAGE}. */
export const MAX_PAGE = 100
