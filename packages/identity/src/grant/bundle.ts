import { sha256 } from '@noble/hashes/sha2.js'
import { isBytes } from '@noble/hashes/utils.js'
import { base64url } from 'multiformats/bases/base64'
import { concatBytes } from '../bytes.ts'
import { MAX_GRANT_BYTES, MAX_GRANT_CHAIN } from './limits.ts'

/** What the first byte of a bundle says it holds. */
export type BundleKind = 'grant' | 'invocation' | 'revocation'

const kinds: readonly BundleKind[] = ['grant', 'invocation', 'revocation']

/** Most bytes of a bundle: one envelope more than the longest chain has. */
export const MAX_BUNDLE_BYTES: number = 1 + (MAX_GRANT_CHAIN + 1) * (2 + MAX_GRANT_BYTES)

/**
 * Packs envelopes: one byte for the kind (1 grant, 2 invocation, 3 revocation), then each envelope after its length as
 * two bytes, big-endian. The grants come first, from the subject's on.
 */
export function encodeBundle(kind: BundleKind, envelopes: readonly Uint8Array[]): Uint8Array {
  return concatBytes(
    [kinds.indexOf(kind) + 1],
    ...envelopes.flatMap((envelope) => [[envelope.length >>> 8, envelope.length & 0xff], envelope])
  )
}

/** Unpacks envelopes, without a look into them; `undefined` for what is no bundle of the kind. */
export function decodeBundle(kind: BundleKind, bytes: Uint8Array): Uint8Array[] | undefined {
  if (bytes.length > MAX_BUNDLE_BYTES || bytes[0] !== kinds.indexOf(kind) + 1) return undefined
  const envelopes: Uint8Array[] = []
  for (let at = 1; at < bytes.length;) {
    const length = ((bytes[at] as number) << 8) | (bytes[at + 1] ?? 0)
    const end = at + 2 + length
    if (length === 0 || length > MAX_GRANT_BYTES || end > bytes.length) return undefined
    if (envelopes.length > MAX_GRANT_CHAIN) return undefined
    envelopes.push(bytes.slice(at + 2, end))
    at = end
  }
  const grants = kind === 'grant' ? envelopes.length : envelopes.length - 1
  return grants < (kind === 'invocation' ? 0 : 1) || grants > MAX_GRANT_CHAIN ? undefined : envelopes
}

/** Base64url without padding. */
export function toBase64Url(bytes: Uint8Array): string {
  return base64url.baseEncode(bytes)
}

/** The bytes of a text in base64url without padding, or `undefined` where it is none or too long. */
export function fromBase64Url(text: string, maxBytes: number = MAX_BUNDLE_BYTES): Uint8Array | undefined {
  if (text.length > Math.ceil((maxBytes * 4) / 3) || !/^[\w-]+$/.test(text)) return undefined
  try {
    return base64url.baseDecode(text)
  } catch {
    return undefined
  }
}

/**
 * A copy of the bytes that somebody sent, or those of a text; `undefined` for everything else, as JSON and headers may
 * hold anything, and for what is too long.
 */
export function sentBytes(source: unknown): Uint8Array | undefined {
  if (typeof source === 'string') return fromBase64Url(source.trim())
  return isBytes(source) && source.length <= MAX_BUNDLE_BYTES ? Uint8Array.from(source) : undefined
}

/** The name of an envelope: its SHA-256, base64url. An envelope has one encoding, so one name. */
export function envelopeId(envelope: Uint8Array): string {
  return toBase64Url(sha256(envelope))
}
