import { ERR_IDENTITY_NOT_CANONICAL, identityError } from '../errors.ts'
import { canonicalizeJson, type JsonObject } from '../json.ts'
import { canonicalHash } from './canonical-hash.ts'
import type { Cryptosuite } from './types.ts'

function listOf(value: unknown): readonly unknown[] {
  return value === undefined ? [] : Array.isArray(value) ? value : [value]
}

/** Whether the contexts of a document begin with those of its proof, in order. */
function beginsWith(document: unknown, proof: unknown): boolean {
  const contexts = listOf(document)
  const wanted = listOf(proof)
  return (
    wanted.length > 0 &&
    wanted.every((context, i) =>
      typeof context === 'string' || contexts[i] === undefined
        ? context === contexts[i]
        : canonicalizeJson(context) === canonicalizeJson(contexts[i])
    )
  )
}

/**
 * Proofs over the canonical JSON of a document: `eddsa-jcs-2022` (DI EdDSA 1.0, section 3.3). It knows nothing of
 * contexts and terms; whoever verifies credentials holds them to what is declared besides.
 */
export const eddsaJcs2022: Cryptosuite = {
  name: 'eddsa-jcs-2022',
  contextInProof: true,
  weight: 1,
  hash: async (document, proof) => {
    const { proofValue: _, ...proofOptions } = proof
    const context = proofOptions['@context']
    let signed: JsonObject = document
    if (context !== undefined) {
      if (!beginsWith(document['@context'], context)) {
        throw identityError(
          ERR_IDENTITY_NOT_CANONICAL,
          'Cannot hash the document: its @context does not begin with that of its proof'
        )
      }
      signed = { ...document, '@context': context }
    }
    return canonicalHash(canonicalizeJson(proofOptions), canonicalizeJson(signed))
  }
}
