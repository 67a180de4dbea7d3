import { ERR_IDENTITY_PASSKEY_UNAVAILABLE, identityError } from '../errors.ts'

/** The parts of `@simplewebauthn/server`, an optional peer, that are used. */
export type WebAuthnServer = typeof import('@simplewebauthn/server') & {
  helpers: typeof import('@simplewebauthn/server/helpers')
}

let server: Promise<WebAuthnServer> | undefined

/**
 * Loads `@simplewebauthn/server`.
 *
 * @throws A KwaaiError `ERR_IDENTITY_PASSKEY_UNAVAILABLE` where it is not installed.
 */
export function webAuthnServer(): Promise<WebAuthnServer> {
  server ??= load().catch((error: unknown) => {
    server = undefined
    throw error
  })
  return server
}

async function load(): Promise<WebAuthnServer> {
  try {
    const [main, helpers] = await Promise.all([
      import('@simplewebauthn/server'),
      import('@simplewebauthn/server/helpers')
    ])
    return { ...main, helpers }
  } catch {
    throw missing('@simplewebauthn/server')
  }
}

/**
 * Loads `@simplewebauthn/browser`.
 *
 * @throws A KwaaiError `ERR_IDENTITY_PASSKEY_UNAVAILABLE` where it is not installed.
 */
export async function webAuthnBrowser(): Promise<typeof import('@simplewebauthn/browser')> {
  try {
    return await import('@simplewebauthn/browser')
  } catch {
    throw missing('@simplewebauthn/browser')
  }
}

function missing(name: string): Error {
  return identityError(
    ERR_IDENTITY_PASSKEY_UNAVAILABLE,
    `Cannot use passkeys: ${name} is not installed. Add it to the program's dependencies`
  )
}
