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

// Bundlers let an import pass that they cannot resolve only where it is caught on the spot.
async function load(): Promise<WebAuthnServer> {
  const [main, helpers] = await Promise.all([
    import('@simplewebauthn/server').catch(missing('@simplewebauthn/server')),
    import('@simplewebauthn/server/helpers').catch(missing('@simplewebauthn/server'))
  ])
  return { ...main, helpers }
}

/**
 * Loads `@simplewebauthn/browser`.
 *
 * @throws A KwaaiError `ERR_IDENTITY_PASSKEY_UNAVAILABLE` where it is not installed.
 */
export function webAuthnBrowser(): Promise<typeof import('@simplewebauthn/browser')> {
  return import('@simplewebauthn/browser').catch(missing('@simplewebauthn/browser'))
}

function missing(name: string): (cause: unknown) => never {
  return (cause) => {
    throw identityError(
      ERR_IDENTITY_PASSKEY_UNAVAILABLE,
      `Cannot use passkeys: ${name} is not installed. Add it to the program's dependencies`,
      {},
      cause
    )
  }
}
