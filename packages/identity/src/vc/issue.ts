import { systemClock } from '@kwaai/interface/memory'
import type { CallOptions, Signer } from '@kwaai/interface'
import { addProof } from '../data-integrity/add-proof.ts'
import { eddsaJcs2022 } from '../data-integrity/eddsa-jcs.ts'
import type { AddProofOptions, Cryptosuite, Proof } from '../data-integrity/types.ts'
import { ERR_IDENTITY_INVALID_CREDENTIAL, identityError } from '../errors.ts'
import { checkJson, type JsonObject } from '../json.ts'
import { readStatusEntries } from '../status/status-entry.ts'
import type { CheckFault, Credential } from './types.ts'
import { publishedResourceFinding } from './related-resource.ts'
import { dataModelOf, idOf, isObject, listOf } from './shape.ts'
import { credentialFault } from './structure.ts'
import { checkTerms, type ExtraContexts } from './terms.ts'

/** How a credential is issued. */
export interface IssueOptions extends CallOptions {
  /** Default `eddsa-jcs-2022`. */
  suite?: Cryptosuite
  /** The time of the proof, in milliseconds since 1970; `false` leaves it out. Default: the system's clock. */
  now?: number | false
  /** The key's DID URL, for issuers that are no did:key. */
  verificationMethod?: string
  /** Contexts known besides the bundled ones, by URL. Do not change it once it was given. */
  contexts?: ExtraContexts
  /** Of the proof: its id, its end in milliseconds since 1970, and the ids of the proofs that it covers. */
  proofId?: string
  expires?: number
  previousProof?: string | readonly string[]
}

/** A credential with its proof. */
export type IssuedCredential<T extends object = Credential> = T & {
  issuer: string | { id: string }
  proof: Proof | readonly Proof[]
}

// VC Data Integrity 1.0, section 2.4.1: injected where the document's contexts do not have the terms of proofs.
const dataIntegrityV2 = 'https://w3id.org/security/data-integrity/v2'

/**
 * Signs a credential. Its data model is that of its first context; an issuer that is left out is the signer. Nothing
 * is signed that {@link verify} would refuse for its structure, its terms, its status entries, or its issuer.
 *
 * @throws A KwaaiError `ERR_IDENTITY_INVALID_CREDENTIAL`, its details `{ check, code }` as in {@link VerifyResult}, and
 * whatever {@link addProof} throws.
 */
export async function issue<
  T extends Omit<Credential, 'issuer' | 'proof'> & Pick<Credential, 'issuer' | 'proof'>
>(credential: T, signer: Signer, options: IssueOptions = {}): Promise<IssuedCredential<T>> {
  const document: JsonObject = withProofContext({ issuer: signer.did, ...definedOf(credential) })
  checkJson(document)
  const fault = credentialFault(document)
  if (fault !== undefined) refuse('structure', 'STRUCTURE_INVALID', fault)
  const terms = checkTerms(document, options.contexts)
  if (terms !== undefined) refuse('structure', terms.code, terms.message)
  const resources = publishedResourceFinding(document)
  if (!resources.ok) refuse('schema', resources.code, resources.message)
  const status = statusFault(document)
  if (status !== undefined) refuse('status', 'STATUS_INVALID', status)
  const controller = controllerOf(signer, options.verificationMethod)
  if (idOf(document['issuer']) !== controller)
    refuse(
      'controller',
      'ISSUER_NOT_CONTROLLER',
      `Its issuer is not ${controller}, who signs; name the key by verificationMethod where the issuer is no did:key`
    )
  const { proofId } = options
  const issued = await addProof(document, {
    ...signingOptions(signer, options),
    ...(proofId === undefined ? {} : { id: proofId })
  })
  return issued as object as IssuedCredential<T>
}

/** Entries of Bitstring Status Lists have to be well-formed; those of other types are for whoever knows the type. */
function statusFault(document: JsonObject): string | undefined {
  const credentialStatus = listOf(document['credentialStatus']).filter(
    (entry) => isObject(entry) && entry['type'] === 'BitstringStatusListEntry'
  )
  if (credentialStatus.length === 0) return undefined
  const read = readStatusEntries({ ...document, credentialStatus } as object as Credential)
  return typeof read === 'string' ? read : undefined
}

/** Members that are `undefined` are no members of JSON. */
export function definedOf(value: object): JsonObject {
  return Object.fromEntries(Object.entries(value).filter(([, member]) => member !== undefined)) as JsonObject
}

/** Adds the context of proofs to a document whose data model does not have their terms. */
export function withProofContext(document: JsonObject): JsonObject {
  const context = document['@context']
  if (dataModelOf(document) !== '1.1' || !Array.isArray(context) || context.includes(dataIntegrityV2))
    return document
  return { ...document, '@context': [...(context as readonly string[]), dataIntegrityV2] }
}

/** The DID that is behind a signature. */
export function controllerOf(signer: Signer, verificationMethod: string | undefined): string {
  return verificationMethod === undefined ? signer.did : (verificationMethod.split('#', 1)[0] ?? '')
}

/** What is said to the proof. */
export function signingOptions(signer: Signer, options: IssueOptions): AddProofOptions {
  const {
    suite = eddsaJcs2022,
    now = systemClock.now(),
    verificationMethod,
    expires,
    previousProof,
    signal
  } = options
  return {
    signer,
    suite,
    created: now,
    ...(verificationMethod === undefined ? {} : { verificationMethod }),
    ...(expires === undefined ? {} : { expires }),
    ...(previousProof === undefined ? {} : { previousProof }),
    ...(signal === undefined ? {} : { signal })
  }
}

/** Says why something is not signed. */
export function refuse(check: string, code: CheckFault, why: string): never {
  throw identityError(ERR_IDENTITY_INVALID_CREDENTIAL, `Cannot sign it: ${why}.`, { check, code })
}
