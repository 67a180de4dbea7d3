import { sha256, sha384, sha512 } from '@noble/hashes/sha2.js'
import { base58btc } from 'multiformats/bases/base58'
import { base64, base64pad, base64url, base64urlpad } from 'multiformats/bases/base64'
import { base16 } from 'multiformats/bases/base16'
import { equalBytes } from '../bytes.ts'
import type { FetchedDocument } from './fetch-within.ts'
import { CREDENTIALS_V2, listOf } from './shape.ts'

/** The hashes that a digest may be of. */
export type HashName = 'sha256' | 'sha384' | 'sha512'

/** A hash that somebody says a resource has. */
export interface Digest {
  hash: HashName
  bytes: Uint8Array
}

const maxDigestLength = 512
const lengths: Readonly<Record<HashName, number>> = { sha256: 32, sha384: 48, sha512: 64 }
const hashes = { sha256, sha384, sha512 }
// Multicodec table: sha2-256, sha2-384, sha2-512.
const multihashes: Readonly<Record<number, HashName>> = { 0x12: 'sha256', 0x20: 'sha384', 0x13: 'sha512' }

// The published bytes of bundled contexts, which are not the bytes we carry: VC Data Model 2.0, appendix B.1, and the
// digests in its examples of relatedResource.
const published: Readonly<Record<string, readonly string[]>> = {
  [CREDENTIALS_V2]: [
    'sha256-WZVc7WaX1h4D8rJVb+vlMIqxaEKEb1tYbX8fet7JJzQ=',
    'sha384-l/HrjlBCNWyAX91hr6LFV2Y3heB5Tcr6IeE4/Tje8YyzYBM8IhqjHWiWpr8+ZbYU'
  ],
  'https://www.w3.org/ns/credentials/examples/v2': [
    'sha256-Vzk/vGnW77m5tdyctrmICwlENgq/4ur0WcnljPInnXw=',
    'sha384-zNNbQTWCSUSi0bbz7dbua+RcENv7C6FvlmYJ1Y+I727HsPOHdzwELMYO9Mz68M26'
  ]
}

/** What is wrong with the digests of a related resource or schema, if anything; one of the two kinds is needed. */
export function digestFault(resource: Readonly<Record<string, unknown>>): string | undefined {
  const { digestSRI, digestMultibase } = resource
  if (digestSRI === undefined && digestMultibase === undefined)
    return 'A "relatedResource" has neither "digestSRI" nor "digestMultibase"'
  return digestsOf(resource) === undefined ? 'A digest is malformed or of an unknown hash' : undefined
}

/** Every digest that an object says; `undefined` where one of them cannot be read. */
export function digestsOf(resource: Readonly<Record<string, unknown>>): readonly Digest[] | undefined {
  const result: Digest[] = []
  for (const [name, read] of [
    ['digestSRI', readSri],
    ['digestMultibase', readMultibase]
  ] as const) {
    for (const value of listOf(resource[name])) {
      if (typeof value !== 'string' || value.length > maxDigestLength) return undefined
      // One text of Subresource Integrity may hold several; here each has to be right.
      for (const text of name === 'digestSRI' ? value.trim().split(/\s+/) : [value]) {
        const digest = read(text)
        if (digest === undefined) return undefined
        result.push(digest)
      }
    }
  }
  return result
}

/** Subresource Integrity, section 3.5. The data model's own examples have the `M` of multibase before the base64. */
function readSri(text: string): Digest | undefined {
  const parts = /^(sha256|sha384|sha512)-M?([A-Za-z0-9+/]+={0,2})$/.exec(text)
  if (parts === null) return undefined
  const hash = parts[1] as HashName
  for (const digits of [text.slice(hash.length + 1), parts[2] as string]) {
    const bytes = decode(() => base64pad.baseDecode(digits))
    if (bytes?.length === lengths[hash]) return { hash, bytes }
  }
  return undefined
}

/** A multihash; the data model's test suite writes the 32 bytes of SHA-256 without its header, which is read too. */
function readMultibase(text: string): Digest | undefined {
  const bases = { u: base64url, U: base64urlpad, m: base64, M: base64pad, z: base58btc, f: base16 }
  const base = bases[text[0] as keyof typeof bases]
  const bytes = base === undefined ? undefined : decode(() => base.decode(text))
  if (bytes === undefined) return undefined
  if (bytes.length === 32) return { hash: 'sha256', bytes }
  const hash = multihashes[bytes[0] ?? 0]
  return hash !== undefined && bytes.length === lengths[hash] + 2 && bytes[1] === lengths[hash]
    ? { hash, bytes: bytes.subarray(2) }
    : undefined
}

function decode(run: () => Uint8Array): Uint8Array | undefined {
  try {
    return run()
  } catch {
    return undefined
  }
}

/** Whether a document has all of the digests. However many they are, each hash of it is made once. */
export function matches({ bytes, hashes: made }: FetchedDocument, digests: readonly Digest[]): boolean {
  return digests.every(({ hash, bytes: digest }) => {
    const own = made.get(hash) ?? hashes[hash](bytes)
    made.set(hash, own)
    return equalBytes(own, digest)
  })
}

/**
 * Whether the digests are those of a context whose published bytes are known: true or false, `undefined` where
 * nothing is known of the URL or of the hash.
 */
export function matchesPublished(url: string, digests: readonly Digest[]): boolean | undefined {
  const known = Object.hasOwn(published, url) ? published[url] : undefined
  if (known === undefined) return undefined
  for (const { hash, bytes } of digests) {
    const same = known.find((text) => text.startsWith(`${hash}-`))
    if (same === undefined) return undefined
    if (!equalBytes((readSri(same) as Digest).bytes, bytes)) return false
  }
  return true
}
