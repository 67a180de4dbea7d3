import { ContextProblem, shown } from './active-context.ts'

const ofCredential = 'https://www.w3.org/2018/credentials#'

/**
 * What is read of a document by its name, by the IRI that the published contexts give that name (VC Data Model 2.0 and
 * 1.1, VC Data Integrity 1.0, Bitstring Status List 1.0). A proof over RDF covers the IRI and not the name, so that whoever holds a credential could
 * write `credentialStatus` or `validUntil` under another name, and nobody would look for it there.
 */
const reserved: ReadonlyMap<string, string> = new Map([
  ...[
    'credentialSubject',
    'credentialStatus',
    'credentialSchema',
    'digestSRI',
    'evidence',
    'expirationDate',
    'holder',
    'issuanceDate',
    'issuer',
    'refreshService',
    'relatedResource',
    'termsOfUse',
    'validFrom',
    'validUntil',
    'verifiableCredential'
  ].map((name) => [`${ofCredential}${name}`, name] as const),
  ...[
    'challenge',
    'digestMultibase',
    'domain',
    'previousProof',
    'proof',
    'proofPurpose',
    'proofValue',
    'verificationMethod'
  ].map((name) => [`https://w3id.org/security#${name}`, name] as const),
  ...[
    'encodedList',
    'statusListCredential',
    'statusListIndex',
    'statusMessage',
    'statusPurpose',
    'statusSize',
    'ttl'
  ].map((name) => [`https://www.w3.org/ns/credentials/status#${name}`, name] as const),
  ['https://w3id.org/security#expiration', 'expires']
])

/**
 * Holds what is read by its name to that name, and to its place: what the document says of itself stands in it, and not
 * in an object further down that has the same id.
 *
 * @param again - the object further down has the id of the document.
 * @throws A ContextProblem.
 */
export function checkReservedName(key: string, iri: string, again: boolean): void {
  const name = reserved.get(iri)
  if (name === undefined) return
  if (name !== key) throw new ContextProblem('STRUCTURE_INVALID', `The name ${shown(key)} stands for ${name}`)
  if (again && iri.startsWith(ofCredential))
    throw new ContextProblem('STRUCTURE_INVALID', `An object further down says the ${name} of the document`)
}
