import type { DidResolutionResult, ParsedDid } from './did-document.ts'

// The syntax of DID Core 1.0, sections 3.1 and 3.2.
const idCharacter = '(?:[\\w.-]|%[0-9a-fA-F]{2})'
const didUrl = new RegExp(
  `^(did:([a-z0-9]+):((?:${idCharacter}*:)*${idCharacter}+))(/[^?#\\s]*)?(?:\\?([^#\\s]*))?(?:#(\\S*))?$`
)

/** Longest DID URL looked at, in characters; own choice, did:web with a long path has some hundred. */
const maxLength = 2048

/** The parts of a DID URL, or `undefined` when it is none. */
export function parseDidUrl(text: unknown): ParsedDid | undefined {
  if (typeof text !== 'string' || text.length > maxLength) return undefined
  const parts = didUrl.exec(text)
  if (parts === null) return undefined
  const [, did = '', method = '', id = '', path, query, fragment] = parts as (string | undefined)[]
  return {
    did,
    didUrl: text,
    method,
    id,
    ...(path === undefined ? {} : { path }),
    ...(query === undefined ? {} : { query }),
    ...(fragment === undefined ? {} : { fragment })
  }
}

/** A resolution that found no document. */
export function failedResolution(error: string, why: unknown): DidResolutionResult {
  const message = why instanceof Error ? why.message : String(why)
  return { didResolutionMetadata: { error, message }, didDocument: null, didDocumentMetadata: {} }
}
