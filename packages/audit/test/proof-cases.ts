import { verifyConsistency, verifyInclusion } from '../src/index.ts'

/** Proofs of RFC 6962 as transparency-dev/merkle publishes them, good and bad. */
export interface ProofCases {
  inclusion: readonly {
    case: string
    leafIdx: number
    treeSize: number
    root: string
    leafHash: string
    proof: readonly string[] | null
    wantErr: boolean
  }[]
  consistency: readonly {
    case: string
    size1: number
    size2: number
    root1: string
    root2: string
    proof: readonly string[] | null
    wantErr: boolean
  }[]
}

const bytes = (text: string | null): Uint8Array =>
  Uint8Array.from(atob(text ?? ''), (character) => character.charCodeAt(0))
const hashes = (proof: readonly string[] | null): Uint8Array[] => (proof ?? []).map(bytes)

/** Runs them all. */
export function runCases(cases: ProofCases): { wrong: string[]; good: number; bad: number } {
  const wrong: string[] = []
  for (const one of cases.inclusion) {
    const { leafIdx, treeSize, leafHash, proof, root } = one
    const held = verifyInclusion(leafIdx, treeSize, bytes(leafHash), hashes(proof), bytes(root))
    if (held === one.wantErr) wrong.push(`inclusion ${one.case}`)
  }
  for (const one of cases.consistency) {
    const held = verifyConsistency(
      one.size1,
      one.size2,
      bytes(one.root1),
      bytes(one.root2),
      hashes(one.proof)
    )
    if (held === one.wantErr) wrong.push(`consistency ${one.case}`)
  }
  const all = [...cases.inclusion, ...cases.consistency]
  const bad = all.filter(({ wantErr }) => wantErr).length
  return { wrong, good: all.length - bad, bad }
}
