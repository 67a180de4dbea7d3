import { sha256 } from '@noble/hashes/sha2.js'
import type { AuthenticationResponseJSON, RegistrationResponseJSON } from '@simplewebauthn/server'
import type { CallOptions, Did, IdentityChallenge, IdentityProvider, IdentityRefusal } from '@kwaai/interface'
import { concatBytes } from '../bytes.ts'
import { canonicalizeJson, type JsonObject } from '../json.ts'
import { encodeBase64Url } from '../multikey.ts'
import type { LinkKeeper } from './account-types.ts'
import {
  answerObject,
  createCeremonies,
  refusal,
  tooMany,
  unknownCeremony,
  type CeremonyComponents,
  type CeremonyLimits
} from './ceremonies.ts'
import { PASSKEY_DOMAIN } from './limits.ts'
import { didOfCoseKey } from './passkey-key.ts'
import { createPasskeyStore, type KeptPasskey } from './passkey-store.ts'
import { isRefusal, requestFacts, requestOf } from './request.ts'
import { base64UrlBytes } from './text.ts'
import { webAuthnServer } from './web-authn.ts'

/** What a provider for passkeys is told. */
export interface PasskeyProviderInit extends CeremonyLimits {
  /** The domain that the passkeys are for, such as `example.org` (Web Authentication, Relying Party Identifier). */
  rpId: string
  /** Shown to people. */
  rpName: string
  /** Where pages may use them from, such as `https://example.org`. */
  origins: readonly string[]
  /** Passkeys at most. Default 100,000. */
  maxPasskeys?: number
}

/** A new passkey. */
export interface RegisteredPasskey {
  ok: true
  /** The id of the credential, base64url: the name to link it by. */
  id: string
  /** The did:key of its P-256 key. */
  did: Did
}

/** Recognises passkeys. They are registered for an account first, then linked, and deleted when they are unlinked. */
export interface PasskeyProvider extends IdentityProvider, LinkKeeper {
  readonly level: 'passkey'
  beginRegistration(
    request: {
      account: Did
      /** Shown where the person chooses among passkeys. */
      label: string
    },
    options?: CallOptions
  ): Promise<{ ok: true; challenge: IdentityChallenge } | IdentityRefusal>
  /** A passkey that is not linked within ten minutes is forgotten. */
  finishRegistration(
    ceremony: string,
    answer: unknown,
    options?: CallOptions
  ): Promise<RegisteredPasskey | IdentityRefusal>
}

const es256 = -7
const randomBytes = 32
const maxIdBytes = 1023

/** Makes a provider for passkeys (Web Authentication Level 3), verified by `@simplewebauthn/server`. */
export function createPasskeyProvider(
  init: PasskeyProviderInit,
  components: CeremonyComponents
): PasskeyProvider {
  const { rpId, rpName } = init
  const { random } = components
  const origins = [...init.origins]
  const ceremonies = createCeremonies('identity/passkey/ceremony/', init, components)
  const registrations = createCeremonies('identity/passkey/registration/', init, components)
  const passkeys = createPasskeyStore(init, components)
  const bad = refusal('PROOF_INVALID', 'Cannot recognise the passkey: the answer does not hold')
  // One at a time: a counter is read and written without another in between.
  let queue: Promise<unknown> = Promise.resolve()
  const inTurn = <T>(work: () => Promise<T>): Promise<T> => {
    const result = queue.then(work)
    queue = result.catch(() => undefined)
    return result
  }

  async function check(
    begun: JsonObject,
    answer: unknown,
    options: CallOptions
  ): Promise<KeptPasskey | undefined> {
    const given = answerObject(answer) as AuthenticationResponseJSON | undefined
    const id = given?.id
    if (base64UrlBytes(id, maxIdBytes) === undefined) return undefined
    const passkey = await passkeys.get(id as string, options)
    if (given === undefined || passkey === undefined) return undefined
    // For a link it is the one that was named, and of the account that registered it.
    if (begun['purpose'] === 'link' && (begun['id'] !== id || begun['account'] !== passkey.account))
      return undefined
    const server = await webAuthnServer()
    try {
      const { userHandle } = given.response
      if (userHandle !== undefined && userHandle !== passkey.userHandle) return undefined
      const { verified, authenticationInfo } = await server.verifyAuthenticationResponse({
        response: given,
        expectedChallenge: challengeText(begun),
        expectedOrigin: origins,
        expectedRPID: rpId,
        requireUserVerification: true,
        credential: {
          id: passkey.id,
          publicKey: Uint8Array.from(base64UrlBytes(passkey.publicKey, 512) ?? []),
          counter: passkey.counter
        }
      })
      return verified ? { ...passkey, counter: authenticationInfo.newCounter } : undefined
    } catch {
      return undefined
    }
  }

  return {
    specification: 'kwaai.identity-provider/1',
    level: 'passkey',
    async beginRegistration({ account, label }, options = {}) {
      if (typeof label !== 'string' || label === '' || label.length > 64 || !label.isWellFormed()) {
        return refusal('REQUEST_INVALID', 'Cannot register a passkey: its label has 1 to 64 characters')
      }
      const server = await webAuthnServer()
      const userHandle = encodeBase64Url(random.bytes(randomBytes))
      const challenge = encodeBase64Url(random.bytes(randomBytes))
      const ask = await server.generateRegistrationOptions({
        rpName,
        rpID: rpId,
        userName: label,
        userDisplayName: label,
        userID: bytesOf(userHandle),
        challenge: bytesOf(challenge),
        attestationType: 'none',
        authenticatorSelection: { residentKey: 'required', userVerification: 'required' },
        supportedAlgorithmIDs: [es256]
      })
      const begun = await registrations.begin({ account, userHandle, challenge }, options)
      return begun === undefined ? tooMany : { ok: true, challenge: { ...begun, ask: plain(ask) } }
    },
    async finishRegistration(ceremony, answer, options = {}) {
      const begun = await registrations.take(ceremony, options)
      if (begun === undefined) return unknownCeremony
      const given = answerObject(answer) as RegistrationResponseJSON | undefined
      if (given === undefined) return bad
      const server = await webAuthnServer()
      try {
        const { registrationInfo } = await server.verifyRegistrationResponse({
          response: given,
          expectedChallenge: begun['challenge'] as string,
          expectedOrigin: origins,
          expectedRPID: rpId,
          requireUserVerification: true,
          supportedAlgorithmIDs: [es256]
        })
        const { credential } = registrationInfo ?? {}
        const did = credential === undefined ? undefined : didOfCoseKey(credential.publicKey, server)
        if (credential === undefined || did === undefined) return bad
        if ((await passkeys.get(credential.id, options)) !== undefined) return bad
        const kept = await passkeys.register(
          {
            id: credential.id,
            publicKey: encodeBase64Url(credential.publicKey),
            did,
            account: begun['account'] as Did,
            userHandle: begun['userHandle'] as string,
            counter: credential.counter
          },
          options
        )
        return kept ? { ok: true, id: credential.id, did } : tooMany
      } catch {
        options.signal?.throwIfAborted()
        return bad
      }
    },
    async begin(request, options = {}) {
      const facts = requestFacts(request)
      if (isRefusal(facts)) return facts
      const id = request.purpose === 'link' ? request.name : undefined
      if (request.purpose === 'link' && base64UrlBytes(id, maxIdBytes) === undefined) {
        return refusal(
          'REQUEST_INVALID',
          'Cannot link a passkey: the id of one that was registered has to be named'
        )
      }
      const asked = {
        ...facts,
        ...(id === undefined ? {} : { id }),
        salt: encodeBase64Url(random.bytes(randomBytes))
      }
      const server = await webAuthnServer()
      const ask = await server.generateAuthenticationOptions({
        rpID: rpId,
        challenge: bytesOf(challengeText(asked)),
        userVerification: 'required',
        ...(id === undefined ? {} : { allowCredentials: [{ id }] })
      })
      const begun = await ceremonies.begin(asked, options)
      return begun === undefined ? tooMany : { ok: true, challenge: { ...begun, ask: plain(ask) } }
    },
    async finish(ceremony, answer, options = {}) {
      const begun = await ceremonies.take(ceremony, options)
      if (begun === undefined) return unknownCeremony
      return inTurn(async () => {
        options.signal?.throwIfAborted()
        const passkey = await check(begun, answer, options)
        if (passkey === undefined) return bad
        const kept = await passkeys.keep(passkey, begun['purpose'] === 'link', options)
        if (!kept) return tooMany
        const { response } = answer as AuthenticationResponseJSON
        const said = { id: passkey.id, salt: begun['salt'], response }
        return {
          ok: true,
          level: 'passkey',
          ...requestOf(begun),
          name: passkey.did,
          did: passkey.did,
          binding: new TextEncoder().encode(canonicalizeJson(said))
        }
      })
    },
    async keeps(account, binding, options = {}) {
      const id = idIn(binding)
      return id !== undefined && passkeys.keeps(account, id, options)
    },
    // In turn: who comes in with it just now would write it once more.
    async forget(account, binding, options = {}) {
      const id = idIn(binding)
      if (id !== undefined) await inTurn(() => passkeys.forget(account, id, options))
    }
  }
}

/** The id of the passkey that made a binding. */
function idIn(binding: Uint8Array): string | undefined {
  try {
    const { id } = JSON.parse(new TextDecoder().decode(binding)) as { id?: unknown }
    return base64UrlBytes(id, maxIdBytes) === undefined ? undefined : (id as string)
  } catch {
    return undefined
  }
}

function bytesOf(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(base64UrlBytes(text, maxIdBytes) ?? [])
}

/** Without members that are `undefined`. */
function plain(value: object): unknown {
  return JSON.parse(JSON.stringify(value))
}

/** What a passkey signs: the hash of a random salt, and for a link of the statement too. */
function challengeText(begun: JsonObject): string {
  const statement = begun['statement'] as string | undefined
  return encodeBase64Url(
    passkeyChallenge(
      bytesOf(begun['salt'] as string),
      statement === undefined ? new Uint8Array(0) : bytesOf(statement)
    )
  )
}

/** The challenge that a passkey answers, from the salt in the binding and the statement it covers. */
export function passkeyChallenge(salt: Uint8Array, statement: Uint8Array = new Uint8Array(0)): Uint8Array {
  return sha256(concatBytes(new TextEncoder().encode(PASSKEY_DOMAIN), [0], salt, statement))
}
