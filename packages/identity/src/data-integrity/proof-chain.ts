import type { JsonObject } from '../json.ts'
import type { ReadProof } from './read-proof.ts'
import type { Proof, ProofFault } from './types.ts'

/** The proofs of one document by their ids. */
export interface ProofIndex {
  readonly byId: ReadonlyMap<string, Proof>
  /** Ids that more than one proof has. */
  readonly twice: ReadonlySet<string>
}

/** Indexes whatever stands under `proof`. */
export function indexProofs(proofs: readonly unknown[]): ProofIndex {
  const byId = new Map<string, Proof>()
  const twice = new Set<string>()
  for (const proof of proofs) {
    const id = (proof as Proof | null)?.id
    if (typeof id !== 'string') continue
    if (byId.has(id)) twice.add(id)
    byId.set(id, proof as Proof)
  }
  return { byId, twice }
}

/** Why the place of a proof among the others is not right, or `undefined` when it is. */
export function chainFault(
  read: ReadProof,
  index: ProofIndex
): { code: ProofFault; message: string } | undefined {
  const { id } = read.proof
  if (id !== undefined && index.twice.has(id)) {
    return { code: 'PROOF_MALFORMED', message: 'The proof has the id of another.' }
  }
  for (const previous of read.previous) {
    if (!index.byId.has(previous) || index.twice.has(previous)) {
      return {
        code: 'PROOF_PREVIOUS_MISSING',
        message: `The proof covers ${JSON.stringify(previous)}, which is not one proof of the document.`
      }
    }
  }
  return leadsBack(read.proof, index)
    ? { code: 'PROOF_MALFORMED', message: 'The proof covers itself, in one step or in several.' }
    : undefined
}

/** Whether the proofs before a proof come back to it or to each other. The number of proofs bounds it. */
function leadsBack(proof: Proof, index: ProofIndex): boolean {
  const onPath = new Set<Proof>()
  const done = new Set<Proof>()
  const visit = (at: Proof): boolean => {
    if (done.has(at)) return false
    if (onPath.has(at)) return true
    onPath.add(at)
    const previous: readonly unknown[] = Array.isArray(at.previousProof)
      ? at.previousProof
      : [at.previousProof]
    const back = previous.some((id) => {
      const next = typeof id === 'string' ? index.byId.get(id) : undefined
      return next !== undefined && visit(next)
    })
    onPath.delete(at)
    done.add(at)
    return back
  }
  return visit(proof)
}

/**
 * The document as a proof covers it: without its proofs, but with those that `previousProof` names, in that order
 * (VC Data Integrity 1.0, sections 4.3 and 4.5). All of them are in the index.
 */
export function coveredDocument(
  document: Readonly<Record<string, unknown>>,
  previous: readonly string[],
  index: ProofIndex
): JsonObject {
  const { proof: _, ...rest } = document
  return (
    previous.length === 0 ? rest : { ...rest, proof: previous.map((id) => index.byId.get(id)) }
  ) as JsonObject
}
