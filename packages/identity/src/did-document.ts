import type { CallOptions, Did } from '@kwaai/interface'

/** A key of a DID document (Controlled Identifiers 1.0, verification methods), in the form Multikey. */
export interface VerificationMethod {
  /** A DID URL, such as `did:key:z6Mk…#z6Mk…`. */
  id: string
  type: string
  /** The DID that may say what the key is for. */
  controller: Did
  publicKeyMultibase?: string
  publicKeyJwk?: Readonly<Record<string, unknown>>
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

/** What is known of a DID (DID Core 1.0, core properties). */
export type DidDocument = {
  '@context'?: string | readonly string[]
  id: Did
  alsoKnownAs?: readonly string[]
  controller?: Did | readonly Did[]
  verificationMethod?: readonly VerificationMethod[]
  service?: readonly { id: string; type: string | readonly string[]; serviceEndpoint: unknown }[]
} & { [relationship in VerificationRelationship]?: readonly (string | VerificationMethod)[] }

/** What came of a resolution (DID Resolution), in the shape of the package `did-resolver`. */
export interface DidResolutionResult {
  didResolutionMetadata: { contentType?: string; error?: string; message?: string }
  didDocument: DidDocument | null
  didDocumentMetadata: { created?: string; updated?: string; deactivated?: boolean }
}

/**
 * Finds DID documents. A resolver of the package `did-resolver` is one too. It answers errors as metadata and
 * rejects only when the signal aborts.
 */
export interface DidResolver {
  resolve(did: string, options?: CallOptions): Promise<DidResolutionResult>
}
