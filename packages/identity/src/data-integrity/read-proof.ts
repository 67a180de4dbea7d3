import { parseDateTime } from '../date-time.ts'
import type { Proof } from './types.ts'

/** A proof whose members have the forms that Data Integrity 1.0, section 2.1, asks for. */
export interface ReadProof {
  proof: Proof
  signature: string
  /** Milliseconds since 1970. */
  created?: number
  expires?: number
  domain?: readonly string[]
  /** Ids of the proofs it covers too, each once. */
  previous: readonly string[]
}

// Strings and sets of a proof beyond this are not looked at; own choice.
const maxTextLength = 4096
const maxSet = 16

function isText(value: unknown): value is string {
  return typeof value === 'string' && value !== '' && value.length <= maxTextLength
}

/** The set that one string or a list of them means, or `undefined` when it is none or a string stands twice. */
function readSet(value: unknown): readonly string[] | undefined {
  const list: readonly unknown[] = Array.isArray(value) ? value : [value]
  if (list.length === 0 || list.length > maxSet || !list.every(isText)) return undefined
  return new Set(list).size === list.length ? list : undefined
}

/** The members of a proof that have their form, or the name of the first that has not. */
export function readProof(proof: Proof): ReadProof | { malformed: string } {
  for (const name of ['verificationMethod', 'proofPurpose', 'proofValue'] as const) {
    if (!isText(proof[name])) return { malformed: name }
  }
  for (const name of ['challenge', 'nonce'] as const) {
    if (proof[name] !== undefined && !isText(proof[name])) return { malformed: name }
  }
  if (proof.id !== undefined && !(isText(proof.id) && URL.canParse(proof.id))) return { malformed: 'id' }
  const read: ReadProof = { proof, signature: proof.proofValue as string, previous: [] }
  for (const name of ['created', 'expires'] as const) {
    if (proof[name] === undefined) continue
    const time = parseDateTime(proof[name])
    if (time === undefined) return { malformed: name }
    read[name] = time
  }
  if (proof.domain !== undefined) {
    const domain = readSet(proof.domain)
    if (domain === undefined) return { malformed: 'domain' }
    read.domain = domain
  }
  if (proof.previousProof !== undefined) {
    const previous = readSet(proof.previousProof)
    if (previous === undefined) return { malformed: 'previousProof' }
    read.previous = previous
  }
  return read
}

/** Whether a value could be a proof at all. */
export function isProofObject(value: unknown): value is Proof {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** The proofs of a document in order, whatever they are. */
export function proofsOf(document: Readonly<Record<string, unknown>>): readonly unknown[] {
  const proof = document['proof']
  return proof === undefined ? [] : Array.isArray(proof) ? proof : [proof]
}
