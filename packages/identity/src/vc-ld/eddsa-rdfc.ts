import { canonicalHash } from '../data-integrity/canonical-hash.ts'
import type { Cryptosuite } from '../data-integrity/types.ts'
import { ERR_IDENTITY_NOT_CANONICAL, identityError } from '../errors.ts'
import { canonicalizeRdf } from './canonical-rdf.ts'
import { checkLinkedData, createContextLoader, defaultLimits, type KnownContexts } from './contexts.ts'

// What limits a proof is read by its name, and the signature covers the IRI alone: a context of the document could give
// it another name, and nobody would hold the proof to it.
const readByName: readonly (readonly [name: string, iri: string])[] = [
  ['expires', '<https://w3id.org/security#expiration>'],
  ['challenge', '<https://w3id.org/security#challenge>'],
  ['domain', '<https://w3id.org/security#domain>'],
  ['previousProof', '<https://w3id.org/security#previousProof>']
]

/** How `eddsa-rdfc-2022` is to work. */
export interface EddsaRdfcInit {
  /** Contexts known besides the bundled ones; a bundled one cannot be replaced. */
  contexts?: KnownContexts
  /** Most objects and list items of a document. Default 4096. */
  maxNodes?: number
  /** Most characters of names and strings of a document. Default 256 Ki. */
  maxCharacters?: number
}

/**
 * Proofs over the RDF that a document means: `eddsa-rdfc-2022` (DI EdDSA 1.0, section 3.2), with `jsonld` and
 * `rdf-canonize` underneath, in safe mode: a term that no context declares is an error. The optional peer
 * `@digitalbazaar/eddsa-rdfc-2022-cryptosuite` is loaded with the first document.
 */
export function createEddsaRdfc2022(init: EddsaRdfcInit = {}): Cryptosuite {
  const { contexts = {}, maxNodes, maxCharacters } = { ...defaultLimits, ...init }
  const documentLoader = createContextLoader(contexts)
  return {
    name: 'eddsa-rdfc-2022',
    hash: async (document, proof, { signal } = {}) => {
      signal?.throwIfAborted()
      const { proofValue: _, ...proofOptions } = proof
      // The proof is read under the contexts of its document (DI EdDSA 1.0, section 3.2.5).
      const options = { ...proofOptions, '@context': document['@context'] }
      checkLinkedData([document, options], contexts, { maxNodes, maxCharacters })
      const canonicalOptions = await canonicalizeRdf(options, documentLoader, signal)
      for (const [name, iri] of readByName)
        if (canonicalOptions.includes(iri) && !Object.hasOwn(options, name))
          throw identityError(
            ERR_IDENTITY_NOT_CANONICAL,
            `Cannot canonicalise the proof: it says "${name}" under another name`
          )
      return canonicalHash(canonicalOptions, await canonicalizeRdf(document, documentLoader, signal))
    }
  }
}
