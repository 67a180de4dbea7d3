import { ERR_IDENTITY_INVALID_PROOF, identityError } from '../errors.ts'
import { checkJson, type JsonObject } from '../json.ts'
import { chainFault, coveredDocument, indexProofs } from './proof-chain.ts'
import { encodeProofValue } from './proof-value.ts'
import { proofsOf, readProof } from './read-proof.ts'
import type { AddProofOptions, Proof } from './types.ts'

function refuse(why: string): never {
  throw identityError(ERR_IDENTITY_INVALID_PROOF, `Cannot add the proof: ${why}`)
}

/** XSD date time, whole seconds, as the published vectors have it. */
function dateTime(name: string, time: number): string {
  // The years 0000 to 9999, which ISO 8601 writes with four digits.
  if (!(time >= -62_167_219_200_000 && time < 253_402_300_800_000)) {
    refuse(`"${name}" has to be milliseconds since 1970 of a year of four digits, not ${time}`)
  }
  return `${new Date(time).toISOString().slice(0, 19)}Z`
}

function methodOf({ signer, verificationMethod }: AddProofOptions): string {
  if (verificationMethod !== undefined) return verificationMethod
  if (!signer.did.startsWith('did:key:')) {
    refuse(`the verification method of ${signer.did} is not known. Name it as "verificationMethod"`)
  }
  return `${signer.did}#${signer.did.slice('did:key:'.length)}`
}

/**
 * A copy of a document with one more proof (VC Data Integrity 1.0, sections 4.2 and 4.3). Proofs that stand in it
 * stay: the new one is beside them (a proof set), and covers those that `previousProof` names (a proof chain).
 *
 * @throws A KwaaiError `ERR_IDENTITY_INVALID_PROOF`, `ERR_IDENTITY_INVALID_JSON` or, from the suite,
 * `ERR_IDENTITY_NOT_CANONICAL`.
 */
export async function addProof<T extends object>(
  document: T,
  options: AddProofOptions
): Promise<T & { proof: Proof | readonly Proof[] }> {
  options.signal?.throwIfAborted()
  const { suite, created, expires, id, challenge, domain, nonce, previousProof } = options
  const existing = proofsOf(document as Record<string, unknown>)
  const proof: Proof = {
    type: 'DataIntegrityProof',
    ...(id === undefined ? {} : { id }),
    cryptosuite: suite.name,
    ...(created === false ? {} : { created: dateTime('created', created) }),
    ...(expires === undefined ? {} : { expires: dateTime('expires', expires) }),
    verificationMethod: methodOf(options),
    proofPurpose: options.proofPurpose ?? 'assertionMethod',
    ...(challenge === undefined ? {} : { challenge }),
    ...(domain === undefined ? {} : { domain }),
    ...(previousProof === undefined ? {} : { previousProof }),
    ...(nonce === undefined ? {} : { nonce })
  }
  const context = (document as Record<string, unknown>)['@context']
  if (suite.contextInProof === true && context !== undefined) proof['@context'] = structuredClone(context)
  const read = readProof({ ...proof, proofValue: 'z' })
  if ('malformed' in read) refuse(`"${read.malformed}" has not the form of Data Integrity 1.0`)
  if (read.created !== undefined && read.expires !== undefined && read.expires <= read.created) {
    refuse('it would expire before it is created')
  }
  const index = indexProofs([...existing, proof])
  const fault = chainFault(read, index)
  if (fault !== undefined) refuse(fault.message)
  const covered = coveredDocument(document as Record<string, unknown>, read.previous, index)
  checkJson(covered)
  const hash = await suite.hash(covered, proof as JsonObject, options)
  proof.proofValue = encodeProofValue(await options.signer.sign(hash))
  return { ...document, proof: existing.length === 0 ? proof : [...(existing as Proof[]), proof] }
}
