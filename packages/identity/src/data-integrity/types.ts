import type { CallOptions, Did, Signer } from '@kwaai/interface'
import type { DidResolver, VerificationRelationship } from '../did-document.ts'
import type { JsonObject } from '../json.ts'

/** A proof of Data Integrity (VC Data Integrity 1.0, section 2.1), as it stands in a document. */
export interface Proof {
  type: string
  cryptosuite?: string
  id?: string
  /** XSD date times. */
  created?: string
  expires?: string
  verificationMethod: string
  proofPurpose: string
  challenge?: string
  domain?: string | readonly string[]
  /** Ids of the proofs in the same document that this one covers. */
  previousProof?: string | readonly string[]
  nonce?: string
  proofValue?: string
  '@context'?: unknown
  [name: string]: unknown
}

/** How a document and the options of its proof become the bytes that are signed. */
export interface Cryptosuite {
  /** Such as `eddsa-jcs-2022`. */
  readonly name: string
  /** Whether a new proof repeats the `@context` of its document, as `eddsa-jcs-2022` has it. Default no. */
  readonly contextInProof?: boolean
  /** For how many proofs of `eddsa-jcs-2022` one of this suite counts, by the work it is. Default 8: RDF has to be made. */
  readonly weight?: number
  /**
   * The bytes a signature covers: the hash of the canonical proof options, then that of the canonical document.
   * The document has no proofs but those that the new one covers (proof chains).
   *
   * @throws A KwaaiError when the document cannot be made canonical: unknown contexts, undeclared terms.
   */
  hash(document: JsonObject, proofOptions: JsonObject, options?: CallOptions): Promise<Uint8Array>
}

/** What a new proof is to say. */
export interface AddProofOptions extends CallOptions {
  signer: Signer
  suite: Cryptosuite
  /** Default `<did>#<multibase>` of the signer's did:key. */
  verificationMethod?: string
  /** Default `assertionMethod`. */
  proofPurpose?: VerificationRelationship
  id?: string
  /** Milliseconds since 1970; `false` leaves the time out. Required to be given by the caller's clock. */
  created: number | false
  expires?: number
  challenge?: string
  domain?: string | readonly string[]
  nonce?: string
  /** Ids of proofs in the document that the new one covers too. */
  previousProof?: string | readonly string[]
}

/** Why a proof does not hold. */
export type ProofFault =
  | 'PROOF_MALFORMED'
  | 'PROOF_SUITE_UNKNOWN'
  | 'PROOF_INVALID_SIGNATURE'
  | 'PROOF_NOT_CANONICAL'
  | 'PROOF_METHOD_UNRESOLVED'
  | 'PROOF_METHOD_NOT_ALLOWED'
  | 'PROOF_WRONG_PURPOSE'
  | 'PROOF_WRONG_CHALLENGE'
  | 'PROOF_WRONG_DOMAIN'
  | 'PROOF_EXPIRED'
  | 'PROOF_FROM_THE_FUTURE'
  | 'PROOF_PREVIOUS_MISSING'
  | 'PROOF_PREVIOUS_INVALID'

/** What came of one proof. */
export interface ProofOutcome {
  proof: Proof
  ok: boolean
  /** Who controls the key that signed; known where the verification method could be resolved. */
  controller?: Did
  code?: ProofFault
  message?: string
}

/** What every proof of a document is held to. */
export interface VerifyProofsOptions extends CallOptions {
  suites: readonly Cryptosuite[]
  resolver: DidResolver
  /** Milliseconds since 1970. */
  now: number
  /** How far clocks may differ. Default 300 000 ms. */
  maxClockSkewMs?: number
  /** Default `assertionMethod`. */
  proofPurpose?: VerificationRelationship
  /** What a proof has to name, where it is given. */
  challenge?: string
  /** One or a set: the same strings as the proof's, in any order. */
  domain?: string | readonly string[]
  /** Most proofs in a document. Default 16; more are refused before any is looked at. */
  maxProofs?: number
}

/** How all proofs of a document are verified: `verifyProofs`, or one that knows suites of others besides. */
export type ProofVerifier = (
  document: Readonly<Record<string, unknown>>,
  options: VerifyProofsOptions
) => Promise<ProofOutcome[]>
