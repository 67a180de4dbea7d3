import { KwaaiError } from '@kwaai/interface'
import type { ApiRequest } from './api-request.ts'
import { MAX_TOKEN_LENGTH, MIN_TOKEN_LENGTH } from './constants.ts'
import { equalText, type ApiKey, type ApiKeys } from './keys.ts'
import { RequestRefused } from './refusals.ts'

/** What opens the API. */
export interface GateInit {
  keys: Pick<ApiKeys, 'authenticate'> | undefined
  token: string | undefined
}

/** Decides by its `Authorization` whether a request may go on. */
export interface Gate {
  /** Whether no key is asked for at this path. */
  isOpen(path: string): boolean
  /**
   * @returns the key of the request.
   * @throws A `RequestRefused` with 401 when it has none that holds.
   */
  check(request: ApiRequest): Promise<ApiKey>
  /** @throws A `RequestRefused` with 401 when the request may not take away what is kept here. */
  checkChange(request: ApiRequest): void
}

/** What monitors and tools ask before anybody has a key. All else needs one, addresses to come too. */
const openPaths = new Set(['/health', '/ready', '/openapi.json'])

/**
 * With keys every request needs one, but for the open addresses. Without keys whoever passes the guard may ask;
 * to take away what is kept here (DELETE) he needs the token, and without a token nobody may.
 * @throws A KwaaiError `ERR_API_INVALID_INIT` when the token is too short to hold.
 */
export function createGate({ keys, token }: GateInit): Gate {
  if (token !== undefined && (token.length < MIN_TOKEN_LENGTH || token.length > MAX_TOKEN_LENGTH))
    throw new KwaaiError(
      'ERR_API_INVALID_INIT',
      `Cannot make the API: token has ${token.length} characters, it has to have ${MIN_TOKEN_LENGTH} to ${MAX_TOKEN_LENGTH}`
    )

  const isOpen: Gate['isOpen'] = (path) => keys === undefined || openPaths.has(path)

  const check: Gate['check'] = async (request) => {
    const secret = bearerOf(request)
    if (secret === undefined)
      throw unauthorized(`This server needs an API key: send 'Authorization: Bearer' and the key`)
    const key = await keys?.authenticate(secret, { signal: request.signal })
    if (key === undefined)
      throw unauthorized('The API key is not known here, was revoked or has expired', true)
    return key
  }

  const checkChange: Gate['checkChange'] = (request) => {
    // The key has been looked at.
    if (keys !== undefined) return
    const given = bearerOf(request)
    if (token !== undefined && given !== undefined && equalText(given, token)) return
    throw unauthorized(
      `Changing what is kept here needs the server's token: send 'Authorization: Bearer' and the token`,
      given !== undefined
    )
  }

  return { isOpen, check, checkChange }
}

/** The credentials of RFC 6750 §2.1; the scheme's case does not count (RFC 9110 §11.1). */
function bearerOf(request: ApiRequest): string | undefined {
  const header = request.header('authorization')
  const found = header === null ? undefined : /^bearer +(\S+) *$/i.exec(header)?.[1]
  return found === undefined || found.length > MAX_TOKEN_LENGTH ? undefined : found
}

function unauthorized(message: string, presented = false): RequestRefused {
  return new RequestRefused({
    status: 401,
    code: 'invalid_api_key',
    message,
    headers: { 'www-authenticate': `Bearer realm="kwaai"${presented ? ', error="invalid_token"' : ''}` }
  })
}
