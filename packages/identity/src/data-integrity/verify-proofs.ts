import { verifyEd25519 } from '../ed25519.ts'
import type { JsonObject } from '../json.ts'
import { resolveVerificationMethod } from '../verification-method.ts'
import { circumstanceFault, purposeOf, shown } from './circumstances.ts'
import { chainFault, coveredDocument, indexProofs, type ProofIndex } from './proof-chain.ts'
import { decodeProofValue } from './proof-value.ts'
import { isProofObject, proofsOf, readProof, type ReadProof } from './read-proof.ts'
import type { Cryptosuite, Proof, ProofFault, ProofOutcome, VerifyProofsOptions } from './types.ts'

const defaultMaxProofs = 16

// What stands for a proof that is none, so that whoever reads the outcome need not look.
const noProof: Proof = Object.freeze({ type: '', verificationMethod: '', proofPurpose: '' })

function failed(proof: Proof, code: ProofFault, message: string): ProofOutcome {
  return { proof, ok: false, code, message }
}

/**
 * What every proof of a document is worth, in order (VC Data Integrity 1.0, sections 4.4 and 4.5): one outcome each,
 * none left out, whatever its type. A document holds when it has a proof and all of them are ok; a proof of a chain
 * holds only when all that it covers hold. Rejects only when the signal aborts.
 */
export async function verifyProofs(
  document: Readonly<Record<string, unknown>>,
  options: VerifyProofsOptions
): Promise<ProofOutcome[]> {
  options.signal?.throwIfAborted()
  const proofs = proofsOf(document)
  const most = options.maxProofs ?? defaultMaxProofs
  if (proofs.length > most) {
    const message = `The document has ${proofs.length} proofs, more than the ${most} allowed.`
    return proofs.map((proof) => failed(isProofObject(proof) ? proof : noProof, 'PROOF_MALFORMED', message))
  }
  const index = indexProofs(proofs)
  const outcomes = await Promise.all(proofs.map((proof) => verifyProof(document, proof, index, options)))
  failChains(outcomes)
  return outcomes
}

/** A proof falls with those before it. Each round that changes something fails one more proof, so there is an end. */
function failChains(outcomes: ProofOutcome[]): void {
  const bad = new Set(outcomes.flatMap(({ ok, proof }) => (ok || proof.id === undefined ? [] : [proof.id])))
  for (let changed = bad.size > 0; changed;) {
    changed = false
    for (const [i, { ok, proof, controller }] of outcomes.entries()) {
      const { previousProof } = proof
      if (!ok || previousProof === undefined) continue
      if (!(typeof previousProof === 'string' ? [previousProof] : previousProof).some((id) => bad.has(id)))
        continue
      const outcome = failed(proof, 'PROOF_PREVIOUS_INVALID', 'A proof that this one covers does not hold.')
      outcomes[i] = controller === undefined ? outcome : { ...outcome, controller }
      if (proof.id !== undefined) bad.add(proof.id)
      changed = true
    }
  }
}

async function verifyProof(
  document: Readonly<Record<string, unknown>>,
  value: unknown,
  index: ProofIndex,
  options: VerifyProofsOptions
): Promise<ProofOutcome> {
  if (!isProofObject(value)) return failed(noProof, 'PROOF_MALFORMED', 'The proof is no object.')
  const { type, cryptosuite } = value
  if (typeof type !== 'string' || (cryptosuite !== undefined && typeof cryptosuite !== 'string')) {
    return failed(value, 'PROOF_MALFORMED', 'The proof has no type, or a cryptosuite that is no text.')
  }
  const suite =
    type === 'DataIntegrityProof' ? options.suites.find(({ name }) => name === cryptosuite) : undefined
  if (suite === undefined) {
    return failed(value, 'PROOF_SUITE_UNKNOWN', `No suite was given for ${shown(cryptosuite ?? type)}.`)
  }
  const read = readProof(value)
  if ('malformed' in read) {
    return failed(value, 'PROOF_MALFORMED', `The proof's "${read.malformed}" is missing or not of its form.`)
  }
  const fault = chainFault(read, index) ?? circumstanceFault(read, options)
  if (fault !== undefined) return failed(value, fault.code, fault.message)
  return verifySignature(document, read, suite, index, options)
}

async function verifySignature(
  document: Readonly<Record<string, unknown>>,
  { proof, signature: encoded, previous }: ReadProof,
  suite: Cryptosuite,
  index: ProofIndex,
  options: VerifyProofsOptions
): Promise<ProofOutcome> {
  const { signal } = options
  const signature = decodeProofValue(encoded)
  if (signature === undefined) {
    return failed(proof, 'PROOF_MALFORMED', 'The proof\'s "proofValue" is not 64 bytes in base58btc.')
  }
  const method = await resolveVerificationMethod(proof.verificationMethod, purposeOf(options), options)
  if (!method.ok) {
    const code = method.code === 'METHOD_UNRESOLVED' ? 'PROOF_METHOD_UNRESOLVED' : 'PROOF_METHOD_NOT_ALLOWED'
    return failed(proof, code, method.message)
  }
  const { key, controller } = method
  if (key.type !== 'Ed25519') {
    return {
      ...failed(
        proof,
        'PROOF_METHOD_NOT_ALLOWED',
        `${suite.name} signs with Ed25519; the key is one of ${key.type}.`
      ),
      controller
    }
  }
  let hash: Uint8Array
  try {
    const { proofValue: _, ...proofOptions } = proof
    hash = await suite.hash(coveredDocument(document, previous, index), proofOptions as JsonObject, {
      ...(signal && { signal })
    })
  } catch (error) {
    signal?.throwIfAborted()
    const message = error instanceof Error ? error.message : String(error)
    return { ...failed(proof, 'PROOF_NOT_CANONICAL', message), controller }
  }
  return (await verifyEd25519(key.bytes, hash, signature))
    ? { proof, ok: true, controller }
    : {
        ...failed(
          proof,
          'PROOF_INVALID_SIGNATURE',
          'The signature is not that of the key over this document.'
        ),
        controller
      }
}
