import type { CallOptions, Clock, Did, KeyValueStore, Signer } from '@kwaai/interface'
import { seal } from '../envelope.ts'
import { ERR_IDENTITY_INVALID_GRANT, identityError } from '../errors.ts'
import { canonicalizeJson } from '../json.ts'
import { decodeBundle, encodeBundle, sentBytes } from './bundle.ts'
import { openClaims, readChain, type ChainFault, type ChainLink } from './chain.ts'
import { readRevocationClaims, type RevocationClaims } from './claims.ts'
import { createExpiringSet } from '../expiring-set.ts'
import type { Grant } from './grant.ts'
import { DEFAULT_MAX_REMEMBERED, MAX_GRANT_BYTES, REVOCATION_CONTEXT } from './limits.ts'

/**
 * Takes a grant back, and with it all that was cut from it. The signer is whoever issued it or a grant above it.
 *
 * @returns the statement with the chain it is about, to be handed to whoever does what the grant allows.
 * @throws A KwaaiError `ERR_IDENTITY_INVALID_GRANT` where the signer issued none of them.
 */
export async function createRevocation(signer: Signer, grant: Grant): Promise<Uint8Array> {
  if (!grant.chain.some(({ claims }) => claims.iss === signer.did)) {
    throw identityError(
      ERR_IDENTITY_INVALID_GRANT,
      'Cannot revoke the grant: it was issued by somebody else, and so were all above it'
    )
  }
  const claims: RevocationClaims = { iss: signer.did, revoke: grant.id }
  const payload = new TextEncoder().encode(canonicalizeJson(claims))
  const envelope = await seal(signer, REVOCATION_CONTEXT, payload, { maxBytes: MAX_GRANT_BYTES })
  return encodeBundle('revocation', [...(decodeBundle('grant', grant.bytes) ?? []), envelope])
}

/** A revocation that was kept. */
export interface RevokedGrant {
  /** The grant's id. */
  id: string
  /** Who revoked it, where it was whose resource it is about; others are not named, so that nothing of them is kept. */
  by?: Did
  /** Seconds since 1970 until which it would have held. */
  exp: number
}

/** What came of a revocation that somebody sent. */
export type RevocationOutcome =
  | { ok: true; revoked: RevokedGrant }
  | {
      ok: false
      code:
        | 'STRUCTURE_INVALID'
        | 'SIGNATURE_INVALID'
        | 'CHAIN_BROKEN'
        | 'ISSUER_FOREIGN'
        | 'SUBJECT_FOREIGN'
        | 'FULL'
      message: string
    }

/** The revocations somebody knows. */
export interface Revocations {
  /** Takes a revocation somebody sent, as bytes or text, where it is one. */
  add(statement: Uint8Array | string, options?: CallOptions): Promise<RevocationOutcome>
  /** The first of these grants that is revoked. */
  find(ids: readonly string[], options?: CallOptions): Promise<RevokedGrant | undefined>
  list(options?: CallOptions): Promise<RevokedGrant[]>
}

/** Which revocations are kept. */
export interface RevocationsInit {
  /** Whose grants are asked about; revocations of others are not taken, or strangers could fill the list. */
  subjects: readonly Did[]
  /**
   * Revocations at once. Half of them are kept free for the subjects themselves, so that whoever was given something
   * cannot keep it by revoking a lot. Default 100,000.
   */
  maxEntries?: number
}

/** Makes a list of revocations in a store. Each is kept until its grant would have ended. */
export function createRevocations(
  init: RevocationsInit,
  components: { store: KeyValueStore; clock: Clock }
): Revocations {
  const { subjects, maxEntries = DEFAULT_MAX_REMEMBERED } = init
  const half = Math.ceil(maxEntries / 2)
  // By whom: a subject, or somebody further down.
  const owners = createExpiringSet({ prefix: 'grant/revoked/owner/', maxEntries: half }, components)
  const others = createExpiringSet(
    { prefix: 'grant/revoked/other/', maxEntries: maxEntries - half },
    components
  )
  const kept = (value: Uint8Array): RevokedGrant =>
    JSON.parse(new TextDecoder().decode(value)) as RevokedGrant

  return {
    async add(statement, options = {}) {
      const read = await readRevocation(statement)
      if ('message' in read) return read
      const { claims, chain } = read
      const [root] = chain as [ChainLink, ...ChainLink[]]
      if (!subjects.includes(root.claims.sub)) {
        return no('SUBJECT_FOREIGN', 'its grant is about what others own')
      }
      const exp = Math.min(...chain.map((link) => link.claims.exp))
      const byOwner = claims.iss === root.claims.sub
      const revoked: RevokedGrant = { id: claims.revoke, ...(byOwner && { by: claims.iss }), exp }
      if (exp < components.clock.now() / 1000) return { ok: true, revoked }
      const set = byOwner ? owners : others
      const value = new TextEncoder().encode(canonicalizeJson(revoked))
      const outcome = await set.add(revoked.id, exp, value, options)
      return outcome === 'full' ? no('FULL', 'there is no room for more revocations') : { ok: true, revoked }
    },
    async find(ids, options) {
      for (const id of ids) {
        const value = (await owners.get(id, options)) ?? (await others.get(id, options))
        if (value !== undefined) return kept(value)
      }
      return undefined
    },
    async list(options) {
      const all = new Map<string, RevokedGrant>()
      for (const set of [others, owners]) {
        for await (const [id, value] of set.entries(options)) all.set(id, kept(value))
      }
      return [...all.values()]
    }
  }
}

type Refusal = Extract<RevocationOutcome, { ok: false }>

function no(code: Refusal['code'], why: string): Refusal {
  return { ok: false, code, message: `Cannot take the revocation: ${why}` }
}

const codes = {
  structure: 'STRUCTURE_INVALID',
  signature: 'SIGNATURE_INVALID',
  chain: 'CHAIN_BROKEN'
} as const satisfies Record<ChainFault['kind'], string>

async function readRevocation(
  statement: Uint8Array | string
): Promise<Refusal | { claims: RevocationClaims; chain: readonly ChainLink[] }> {
  const bytes = sentBytes(statement)
  const envelopes = bytes === undefined ? undefined : decodeBundle('revocation', bytes)
  const last = envelopes?.pop()
  if (envelopes === undefined || last === undefined) return no('STRUCTURE_INVALID', 'it is none')
  const { claims, fault } = await openClaims(last, REVOCATION_CONTEXT, readRevocationClaims)
  if (fault !== undefined) return no(codes[fault.kind], fault.message)
  const chain = await readChain(envelopes)
  if (chain.fault !== undefined) return no(codes[chain.fault.kind], chain.fault.message)
  if (chain.links.at(-1)?.id !== claims.revoke) return no('CHAIN_BROKEN', 'it comes with another grant')
  if (!chain.links.some((link) => link.claims.iss === claims.iss)) {
    return no('ISSUER_FOREIGN', 'its issuer gave none of these grants')
  }
  return { claims, chain: chain.links }
}
