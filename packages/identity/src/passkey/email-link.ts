import { hmac } from '@noble/hashes/hmac.js'
import { sha256 } from '@noble/hashes/sha2.js'
import type { CallOptions, IdentityProvider, Signer } from '@kwaai/interface'
import { seal } from '../envelope.ts'
import { ERR_IDENTITY_INVALID_SEED, identityError } from '../errors.ts'
import { createExpiringSet } from '../expiring-set.ts'
import { canonicalizeJson, type JsonObject } from '../json.ts'
import { encodeBase64Url } from '../multikey.ts'
import {
  answerObject,
  createCeremonies,
  refusal,
  tooMany,
  unknownCeremony,
  type CeremonyComponents,
  type CeremonyLimits
} from './ceremonies.ts'
import { normalizeAddress } from './email-address.ts'
import { ADDRESS_CONTEXT, DEFAULT_MAX_CEREMONIES, DEFAULT_MAX_MAILS, MAX_TOKEN_TRIES } from './limits.ts'
import { isRefusal, requestFacts, requestOf } from './request.ts'
import { base64UrlBytes, sameBytes } from './text.ts'

/** What is sent to an address. */
export interface EmailLinkMessage {
  /** The address, normalised. */
  to: string
  /** Goes into the link: 43 characters of base64url. Only what began the ceremony can use it. */
  token: string
  purpose: 'enter' | 'link'
  /** Milliseconds since 1970. */
  expiresAt: number
}

/** What a provider for email is told. */
export interface EmailLinkInit extends CeremonyLimits {
  /** Who asks: a domain, or a DID. */
  audience: string
  /** Mails to one address within an hour. Default 5. */
  maxMails?: number
}

/** What a provider for email needs. */
export interface EmailLinkComponents extends CeremonyComponents {
  /** Sends a mail. What it throws, `begin` throws. */
  send: (message: EmailLinkMessage, options: CallOptions) => Promise<void>
  /** 32 bytes that stay the same: addresses are kept as HMAC-SHA-256 under them, so that a stolen store names nobody. */
  secret: Uint8Array
  /** Signs for which name a link was proven: an address has no key of its own. */
  signer: Signer
}

const tokenBytes = 32
const secretBytes = 32
const hourS = 3600

/**
 * Recognises whoever reads the mail of an address. The mail has a token, and whoever began has the name of the ceremony:
 * both are needed, so that nobody can be made to finish what somebody else began.
 *
 * @throws A KwaaiError `ERR_IDENTITY_INVALID_SEED` where the secret has not 32 bytes.
 */
export function createEmailLinkProvider(
  init: EmailLinkInit,
  components: EmailLinkComponents
): IdentityProvider {
  const { audience, maxMails = DEFAULT_MAX_MAILS, maxCeremonies = DEFAULT_MAX_CEREMONIES } = init
  const { store, clock, random, send, signer } = components
  if (components.secret.length !== secretBytes) {
    throw identityError(
      ERR_IDENTITY_INVALID_SEED,
      `Cannot keep addresses: the secret has not ${secretBytes} bytes`
    )
  }
  const secret = components.secret.slice()
  const ceremonies = createCeremonies('identity/email/ceremony/', init, components)
  const mails = createExpiringSet(
    { prefix: 'identity/email/sent/', maxEntries: maxCeremonies * maxMails },
    { store, clock }
  )
  const nameOf = (address: string): string =>
    encodeBase64Url(hmac(sha256, secret, new TextEncoder().encode(`${audience}\n${address}`)))

  /** Counts one mail more, where that is allowed. */
  async function mayMail(name: string, options: CallOptions): Promise<boolean> {
    const until = Math.ceil(clock.now() / 1000) + hourS
    for (let slot = 0; slot < maxMails; slot++) {
      const outcome = await mails.add(`${name}.${slot}`, until, new Uint8Array(0), options)
      if (outcome !== 'known') return outcome === 'added'
    }
    return false
  }

  return {
    specification: 'kwaai.identity-provider/1',
    level: 'email',
    async begin(request, options = {}) {
      const facts = requestFacts(request)
      if (isRefusal(facts)) return facts
      const to = normalizeAddress(request.name)
      if (to === undefined) {
        return refusal('REQUEST_INVALID', 'Cannot send a mail: that is no address of email')
      }
      const name = nameOf(to)
      // What is behind a plus may be another name, and mostly goes to the same box.
      if (!(await mayMail(nameOf(to.replace(/\+[^@]*/, '')), options))) {
        return refusal('TOO_MANY', 'Cannot send a mail: this address had too many. Try again in an hour')
      }
      const secretToken = random.bytes(tokenBytes)
      const token = encodeBase64Url(sha256(secretToken))
      const begun = await ceremonies.begin({ ...facts, name, token, tries: 0 }, options)
      if (begun === undefined) return tooMany
      const { expiresAt } = begun
      const { purpose } = request
      await send({ to, token: encodeBase64Url(secretToken), purpose, expiresAt }, options)
      return { ok: true, challenge: { ...begun, ask: { sent: true } } }
    },
    async finish(ceremony, answer, options = {}) {
      const begun = await ceremonies.take(ceremony, options)
      if (begun === undefined) return unknownCeremony
      const token = base64UrlBytes(answerObject(answer)?.['token'], tokenBytes)
      const expected = base64UrlBytes(begun['token'], 32) as Uint8Array
      if (token === undefined || !sameBytes(sha256(token), expected)) {
        // A slip of the hand does not cost a mail; guesses do not help against 256 bits, and still have an end.
        return again(begun, ceremony, options)
      }
      const name = begun['name'] as string
      return { ok: true, level: 'email', ...requestOf(begun), name, binding: await bindingOf(begun, name) }
    }
  }

  async function again(
    { expiresAt, ...facts }: JsonObject,
    ceremony: string,
    options: CallOptions
  ): Promise<ReturnType<typeof refusal<'PROOF_INVALID'>>> {
    const tries = (facts['tries'] as number) + 1
    const left = (expiresAt as number) - clock.now()
    if (tries < MAX_TOKEN_TRIES) await ceremonies.begin({ ...facts, tries }, options, ceremony, left)
    return refusal('PROOF_INVALID', 'Cannot recognise the address: the token is not the one that was sent')
  }

  async function bindingOf(begun: JsonObject, name: string): Promise<Uint8Array> {
    const { purpose, account, statement } = begun
    const at = Math.floor(clock.now() / 1000)
    const said = { audience, name, purpose, account, statement, at }
    return seal(signer, ADDRESS_CONTEXT, new TextEncoder().encode(canonicalizeJson(said)))
  }
}
