import type { CallOptions, Did } from '@kwaai/interface'
import type { Cryptosuite, Proof, ProofFault, ProofOutcome, ProofVerifier } from '../data-integrity/types.ts'
import type { DidResolver } from '../did-document.ts'

/** One or several. */
export type OneOrMany<T> = T | readonly T[]

/** Whoever or whatever claims are about. */
export interface CredentialSubject {
  id?: string
  [claim: string]: unknown
}

/** Where a verifier learns whether a credential was revoked or suspended (Bitstring Status List 1.0, section 2.1). */
export interface StatusEntry {
  id?: string
  type: string
  statusPurpose?: string
  statusListIndex?: string
  statusListCredential?: string
  [name: string]: unknown
}

/** A credential (VC Data Model 2.0; 1.1 where its first context says so). */
export interface Credential {
  '@context': OneOrMany<string | Readonly<Record<string, unknown>>>
  id?: string
  type: OneOrMany<string>
  issuer?: string | { id: string; [name: string]: unknown }
  /** XSD date times, of data model 2.0. */
  validFrom?: string
  validUntil?: string
  /** The same of data model 1.1. */
  issuanceDate?: string
  expirationDate?: string
  credentialSubject: OneOrMany<CredentialSubject>
  credentialStatus?: OneOrMany<StatusEntry>
  credentialSchema?: OneOrMany<{ id: string; type: string; [name: string]: unknown }>
  proof?: OneOrMany<Proof>
  [name: string]: unknown
}

/** A presentation: credentials shown by a holder. */
export interface Presentation {
  '@context': OneOrMany<string | Readonly<Record<string, unknown>>>
  id?: string
  type: OneOrMany<string>
  holder?: string | { id: string; [name: string]: unknown }
  verifiableCredential?: OneOrMany<Credential>
  proof?: OneOrMany<Proof>
  [name: string]: unknown
}

/** The parts of the promise that a credential makes. */
export type CheckName =
  | 'structure'
  | 'proof'
  | 'controller'
  | 'period'
  | 'status'
  | 'schema'
  | 'issuerPolicy'
  | 'subjectBinding'

/** What one verification may do, all documents in it together. Every limit has its default where it is left out. */
export interface VerificationLimits {
  /** Documents asked for: DID documents, status lists, schemas and related resources, each once. Default 64. */
  documents?: number
  /** Bytes of them; of status lists also once inflated. Default 16 MiB. */
  bytes?: number
  /** Proofs of all documents, each by the `weight` of its suite: 1 for `eddsa-jcs-2022`, 8 for others. Default 256. */
  proofs?: number
  /** Steps of holding all documents to their contexts, each of 5 microseconds at most. Default 200 000. */
  termWork?: number
  /**
   * Steps of holding credentials to schemas: a part of a schema with a part of a credential is one, as are 50 places at
   * which a pattern is tried. Default 4 000 000.
   */
  schemaWork?: number
}

/** Which limit a verification has passed. */
export type BudgetFault =
  | 'BUDGET_DOCUMENTS'
  | 'BUDGET_BYTES'
  | 'BUDGET_PROOFS'
  | 'BUDGET_TERM_WORK'
  | 'BUDGET_SCHEMA_WORK'

/** That a limit is passed, which one, and how it is raised. */
export interface BudgetRefusal {
  ok: false
  code: BudgetFault
  message: string
}

/** What is left to one verification. It is handed to whatever works for it. */
export interface VerificationBudget {
  readonly spent: Readonly<Required<VerificationLimits>>
  left(limit: keyof VerificationLimits): number
  /** Takes an amount. Past the limit it answers that, then and ever after. */
  spend(limit: keyof VerificationLimits, amount: number): BudgetRefusal | undefined
  /** The answer to a question, which `asked` is asked only once. */
  once<T>(asked: object, question: string, ask: () => Promise<T>): Promise<T>
}

/** Why a check does not hold. */
export type CheckFault =
  | ProofFault
  | BudgetFault
  | 'NOT_CHECKED'
  | 'STRUCTURE_INVALID'
  | 'CONTEXT_UNKNOWN'
  | 'TERM_UNDECLARED'
  | 'PROOF_MISSING'
  | 'ISSUER_NOT_CONTROLLER'
  | 'PERIOD_NOT_YET'
  | 'PERIOD_OVER'
  | 'STATUS_REVOKED'
  | 'STATUS_SUSPENDED'
  | 'STATUS_SET'
  | 'STATUS_UNAVAILABLE'
  | 'STATUS_INVALID'
  | 'SCHEMA_MISMATCH'
  | 'SCHEMA_UNAVAILABLE'
  | 'SCHEMA_UNSUPPORTED'
  | 'RESOURCE_MISMATCH'
  | 'RESOURCE_UNAVAILABLE'
  | 'ISSUER_NOT_AUTHORIZED'
  | 'SUBJECT_NOT_HOLDER'
  | 'HOLDER_NOT_SIGNER'
  | 'PRESENTATION_REPLAYED'
  | 'CREDENTIAL_INVALID'

/** What came of one check. */
export interface Check {
  name: CheckName
  ok: boolean
  /** Whether the credential fails with it. A check that is only reported is not required. */
  required: boolean
  code?: CheckFault
  /** One plain sentence. */
  message?: string
}

/** What came of a verification. Never an error for what an attacker can choose. */
export interface VerifyResult {
  /** Every required check holds. */
  ok: boolean
  /** All of them, in the order of {@link CheckName}, also after the first that fails. */
  checks: readonly Check[]
  /** Each proof of the document, and who signed it. */
  proofs: readonly ProofOutcome[]
  /** The issuer, where the structure says one. */
  issuer?: string
}

/** What came of the verification of a presentation. */
export interface VerifyPresentationResult extends VerifyResult {
  holder?: string
  /** One for each credential, in order. */
  credentials: readonly VerifyResult[]
}

/** What came of asking whether a credential still stands. */
export interface StatusOutcome {
  ok: boolean
  code?:
    | 'STATUS_REVOKED'
    | 'STATUS_SUSPENDED'
    | 'STATUS_SET'
    | 'STATUS_UNAVAILABLE'
    | 'STATUS_INVALID'
    | BudgetFault
  message?: string
}

/** Tells whether a credential with a `credentialStatus` still stands; `@kwaai/identity/status` has one. */
export interface StatusChecker {
  check(
    credential: Credential,
    options: CallOptions & {
      now: number
      /** What is left to the verification that asks. */
      budget?: VerificationBudget
    }
  ): Promise<StatusOutcome>
}

/** Says whether an issuer may issue a type: a function of TRQP's shape. */
export type IssuerPolicy = (question: {
  issuer: string
  types: readonly string[]
  now: number
  signal?: AbortSignal
}) => boolean | Promise<boolean>

/** Fetches what a credential refers to; never called for contexts. Resolves to `undefined` where there is nothing. */
export type DocumentFetcher = (
  url: string,
  options: CallOptions & { maxBytes: number }
) => Promise<{ bytes: Uint8Array; mediaType?: string } | undefined>

/** What {@link VerifyResult} rests on. */
export interface VerifyOptions extends CallOptions {
  /** Default `eddsa-jcs-2022` alone. */
  suites?: readonly Cryptosuite[]
  /** How proofs are verified. Default `verifyProofs`; `@kwaai/identity/vc-ld` has one for suites of others. */
  proofVerifier?: ProofVerifier
  /** Default did:key alone. */
  resolver?: DidResolver
  /** Milliseconds since 1970. Default: the system's clock. */
  now?: number
  maxClockSkewMs?: number
  /** Default: a credential with a `credentialStatus` fails with `STATUS_UNAVAILABLE`. */
  status?: StatusChecker
  /** Asked about an issuer who is proven to have issued. Default: every issuer may issue everything. */
  issuerPolicy?: IssuerPolicy
  /** For `credentialSchema` and `relatedResource`. Default: what has to be fetched is not available. */
  fetchDocument?: DocumentFetcher
  /** Contexts known besides the bundled ones: by URL, the JSON-LD context document. */
  contexts?: Readonly<Record<string, Readonly<Record<string, unknown>>>>
  /** Who has to be the subject of the credential. */
  holder?: Did
  /** How much all that is verified in this call may cost together. */
  limits?: VerificationLimits
  /** For a verification that is a part of another one: what is left to that one. `limits` do not count then. */
  budget?: VerificationBudget
}
