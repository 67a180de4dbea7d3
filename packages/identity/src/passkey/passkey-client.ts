import type {
  PublicKeyCredentialCreationOptionsJSON,
  PublicKeyCredentialRequestOptionsJSON
} from '@simplewebauthn/browser'
import { ERR_IDENTITY_PASSKEY_UNAVAILABLE, identityError } from '../errors.ts'
import { webAuthnBrowser } from './web-authn.ts'

/**
 * In a page: makes a passkey, for the answer to `beginRegistration`.
 *
 * @throws A KwaaiError `ERR_IDENTITY_PASSKEY_UNAVAILABLE` where the person, or the device, declines.
 */
export async function makePasskey(ask: unknown): Promise<object> {
  const { startRegistration } = await webAuthnBrowser()
  return inWords('make a passkey', () =>
    startRegistration({ optionsJSON: ask as PublicKeyCredentialCreationOptionsJSON })
  )
}

/**
 * In a page: uses a passkey, for the answer to `begin`.
 *
 * @throws A KwaaiError `ERR_IDENTITY_PASSKEY_UNAVAILABLE` where the person, or the device, declines.
 */
export async function usePasskey(ask: unknown): Promise<object> {
  const { startAuthentication } = await webAuthnBrowser()
  return inWords('use a passkey', () =>
    startAuthentication({ optionsJSON: ask as PublicKeyCredentialRequestOptionsJSON })
  )
}

async function inWords<T>(what: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    throw identityError(
      ERR_IDENTITY_PASSKEY_UNAVAILABLE,
      `Cannot ${what}: ${(error as Error).message}. Try again, or come in another way`
    )
  }
}
