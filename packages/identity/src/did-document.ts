import type { CallOptions, Did } from '@kwaai/interface'

/** A key of a DID document (Controlled Identifiers 1.0, verification methods), in the form Multikey. */
export interface VerificationMethod {
  /** A DID URL, such as `did:key:z6Mk…#z6Mk…`. */
  id: string
  type: string
  /** The DID that may say what the key is for. */
  controller: Did
  publicKeyMultibase?: string
  publicKeyJwk?: { kty: string; [member: string]: unknown }
  /** XSD date times; a key is of no use from then on. */
  expires?: string
  revoked?: string
}

/** What a key may be used for (Controlled Identifiers 1.0, verification relationships). */
export type VerificationRelationship =
  | 'assertionMethod'
  | 'authentication'
  | 'capabilityDelegation'
  | 'capabilityInvocation'
  | 'keyAgreement'

/** What is known of a DID (DID Core 1.0, core properties), as the package `did-resolver` types it. */
export type DidDocument = {
  '@context'?: ContextEntry | ContextEntry[]
  id: Did
  alsoKnownAs?: string[]
  controller?: Did | Did[]
  verificationMethod?: VerificationMethod[]
  service?: { id: string; type: string; serviceEndpoint: ServiceEndpoint | ServiceEndpoint[] }[]
} & { [relationship in VerificationRelationship]?: (string | VerificationMethod)[] }

/** The address of a context, or a context itself. */
export type ContextEntry = string | Record<string, unknown>

/** Where a service of a DID is: an address or a map of them. */
export type ServiceEndpoint = string | Record<string, unknown>

/** What came of a resolution (DID Resolution), in the shape of the package `did-resolver`. */
export interface DidResolutionResult {
  didResolutionMetadata: { contentType?: string; error?: string; message?: string }
  didDocument: DidDocument | null
  didDocumentMetadata: { created?: string; updated?: string; deactivated?: boolean }
}

/** How a DID is resolved (DID Resolution, resolution options). */
export interface DidResolutionOptions extends CallOptions {
  /** The media type wished for; the methods here pass over it. */
  accept?: string
}

/**
 * Finds DID documents. A resolver of the package `did-resolver` is one too. It answers errors as metadata and
 * rejects only when the signal aborts.
 */
export interface DidResolver {
  resolve(did: string, options?: DidResolutionOptions): Promise<DidResolutionResult>
}

/** A DID URL, taken apart (DID Core 1.0, section 3.2). */
export interface ParsedDid {
  /** Without path, query and fragment. */
  did: string
  didUrl: string
  /** Such as `web`. */
  method: string
  /** What stands behind the method. */
  id: string
  path?: string
  query?: string
  fragment?: string
}

/** Finds the documents of one DID method: what `getResolver()` of a package made for `did-resolver` holds. */
export type DidMethod = (
  did: string,
  parsed: ParsedDid,
  resolver: DidResolver,
  options: DidResolutionOptions
) => Promise<DidResolutionResult>

/** DID methods by their names. Those of packages made for `did-resolver` fit, and it takes these. */
export type DidMethods = Record<string, DidMethod>
