import type { CallOptions, Did, IdentityProvider, Signer } from '@kwaai/interface'
import { open, seal } from '../envelope.ts'
import { canonicalizeJson, checkJson, type JsonObject } from '../json.ts'
import { encodeBase64Url } from '../multikey.ts'
import { ERR_IDENTITY_INVALID_CHALLENGE, identityError } from '../errors.ts'
import {
  answerObject,
  createCeremonies,
  refusal,
  tooMany,
  unknownCeremony,
  type CeremonyComponents,
  type CeremonyLimits
} from './ceremonies.ts'
import { PROOF_CONTEXT } from './limits.ts'
import { isRefusal, requestFacts, requestOf } from './request.ts'
import { base64UrlBytes } from './text.ts'

/** What a provider for keys is told. */
export interface KeyProviderInit extends CeremonyLimits {
  /** `anonymous`: a key that a device made. `did`: a DID that others know, and credentials that speak for it. */
  level: 'anonymous' | 'did'
  /** Who asks: a domain, or a DID. It is part of what is signed, so that nobody can ask on behalf of others. */
  audience: string
}

/** What a provider for keys needs. */
export interface KeyProviderComponents extends CeremonyComponents {
  /**
   * Judges the presentation in an answer, whose holder has to be the DID. Default: none is asked for.
   */
  credentials?: (
    presentation: unknown,
    facts: {
      holder: Did
      challenge: string
      domain: string
      /** For a link: the account, to which a credential may have to say that the DID belongs. */
      account?: Did
    } & CallOptions
  ) => Promise<boolean>
}

const maxProofBytes = 4096
const challengeBytes = 32

/** Recognises whoever holds the key of a did:key, by its signature over a challenge. */
export function createKeyProvider(
  init: KeyProviderInit,
  components: KeyProviderComponents
): IdentityProvider {
  const { level, audience } = init
  const { random, credentials } = components
  const ceremonies = createCeremonies(`identity/${level}/ceremony/`, init, components)
  const bad = refusal('PROOF_INVALID', 'Cannot recognise the key: the answer does not hold')
  return {
    specification: 'kwaai.identity-provider/1',
    level,
    async begin(request, options = {}) {
      const facts = requestFacts(request)
      if (isRefusal(facts)) return facts
      const ask = { ...facts, level, audience, challenge: encodeBase64Url(random.bytes(challengeBytes)) }
      const begun = await ceremonies.begin({ ask }, options)
      return begun === undefined ? tooMany : { ok: true, challenge: { ...begun, ask } }
    },
    async finish(ceremony, answer, options = {}) {
      const begun = await ceremonies.take(ceremony, options)
      if (begun === undefined) return unknownCeremony
      const ask = begun['ask'] as JsonObject & { challenge: string; account?: Did }
      const given = answerObject(answer)
      const binding = base64UrlBytes(given?.['proof'], maxProofBytes)
      const did = binding === undefined ? undefined : await signerOf(binding, ask)
      if (binding === undefined || did === undefined) return bad
      if (credentials !== undefined) {
        const { account, challenge } = ask
        const of = account === undefined ? {} : { account }
        const facts = { holder: did, challenge, domain: audience, ...of, ...options }
        const shown = given?.['presentation']
        if (shown === undefined || !(await credentials(shown, facts))) {
          return refusal('PROOF_INVALID', 'Cannot recognise the DID: its credentials are not accepted')
        }
      }
      return { ok: true, level, ...requestOf(ask), name: did, did, binding }
    }
  }
}

async function signerOf(proof: Uint8Array, ask: JsonObject): Promise<Did | undefined> {
  try {
    const { payload, signer } = await open(proof, { context: PROOF_CONTEXT, maxBytes: maxProofBytes })
    // What was to be signed is known: it is compared as bytes, and nothing is read.
    return new TextDecoder().decode(payload) === canonicalizeJson(ask) ? signer : undefined
  } catch {
    return undefined
  }
}

/**
 * Answers the challenge of a {@link createKeyProvider}.
 *
 * @param audience - who the answer is for, as the person knows it.
 * @throws A KwaaiError `ERR_IDENTITY_INVALID_CHALLENGE` where the challenge is none, or of somebody else.
 */
export async function answerKeyChallenge(
  signer: Signer,
  audience: string,
  ask: unknown
): Promise<{ proof: string }> {
  if (typeof ask !== 'object' || ask === null || (ask as JsonObject)['audience'] !== audience) {
    throw identityError(
      ERR_IDENTITY_INVALID_CHALLENGE,
      `Cannot answer the challenge: it is not one of ${audience}. Somebody else may want to use the answer there`
    )
  }
  checkJson(ask)
  const payload = new TextEncoder().encode(canonicalizeJson(ask))
  return { proof: encodeBase64Url(await seal(signer, PROOF_CONTEXT, payload, { maxBytes: maxProofBytes })) }
}
