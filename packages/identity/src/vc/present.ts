import type { Signer } from '@kwaai/interface'
import { addProof } from '../data-integrity/add-proof.ts'
import type { Proof } from '../data-integrity/types.ts'
import { checkJson, type JsonObject } from '../json.ts'
import {
  controllerOf,
  definedOf,
  refuse,
  signingOptions,
  withProofContext,
  type IssueOptions
} from './issue.ts'
import { CREDENTIALS_V1, CREDENTIALS_V2, idOf } from './shape.ts'
import { presentationFault } from './structure.ts'
import { checkTerms } from './terms.ts'
import type { Credential, Presentation } from './types.ts'

/** How credentials are presented. */
export interface PresentOptions extends Omit<IssueOptions, 'previousProof'> {
  /** What the verifier asked to be signed, so that a presentation is good for one occasion. */
  challenge?: string
  /** Whom the presentation is for. */
  domain?: string
  /** The URL of the presentation. */
  id?: string
  /** Default `2.0`. */
  dataModel?: '2.0' | '1.1'
}

/** A presentation with its proof. */
export type SignedPresentation = Presentation & { holder: string; proof: Proof | readonly Proof[] }

/** What is below these names is looked at by itself. */
export const ownDocuments: ReadonlySet<string> = new Set(['verifiableCredential'])

/**
 * Presents credentials: the holder signs them for a challenge and a domain.
 *
 * @throws A KwaaiError `ERR_IDENTITY_INVALID_CREDENTIAL`, and whatever {@link addProof} throws.
 */
export async function present(
  credentials: readonly Credential[],
  holder: Signer,
  options: PresentOptions = {}
): Promise<SignedPresentation> {
  const { id, dataModel = '2.0', verificationMethod } = options
  const presentation: Presentation = {
    '@context': [dataModel === '1.1' ? CREDENTIALS_V1 : CREDENTIALS_V2],
    ...(id === undefined ? {} : { id }),
    type: ['VerifiablePresentation'],
    holder: controllerOf(holder, verificationMethod),
    ...(credentials.length === 0 ? {} : { verifiableCredential: credentials })
  }
  return signPresentation(presentation, holder, options)
}

/**
 * Signs a presentation that stands already; a holder that is left out is the signer.
 *
 * @throws A KwaaiError `ERR_IDENTITY_INVALID_CREDENTIAL`, and whatever {@link addProof} throws.
 */
export async function signPresentation(
  presentation: Presentation,
  holder: Signer,
  options: PresentOptions = {}
): Promise<SignedPresentation> {
  const controller = controllerOf(holder, options.verificationMethod)
  const document: JsonObject = withProofContext({ holder: controller, ...definedOf(presentation) })
  checkJson(document)
  const fault = presentationFault(document)
  if (fault !== undefined) refuse('structure', 'STRUCTURE_INVALID', fault)
  const terms = checkTerms(document, options.contexts, ownDocuments)
  if (terms !== undefined) refuse('structure', terms.code, terms.message)
  if (idOf(document['holder']) !== controller)
    refuse('controller', 'HOLDER_NOT_SIGNER', `Its holder is not ${controller}, who signs`)
  const { challenge, domain, proofId } = options
  const signed = await addProof(document, {
    ...signingOptions(holder, options),
    proofPurpose: 'authentication',
    ...(proofId === undefined ? {} : { id: proofId }),
    ...(challenge === undefined ? {} : { challenge }),
    ...(domain === undefined ? {} : { domain })
  })
  return signed as object as SignedPresentation
}
