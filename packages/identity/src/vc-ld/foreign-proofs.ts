// oxlint-disable-next-line typescript/triple-slash-reference -- packages without types: users of the sources need ours
/// <reference path="../types/digitalbazaar.d.ts" />
import type { JsonObject } from '../json.ts'
import { circumstanceFault, purposeOf } from '../data-integrity/circumstances.ts'
import { isProofObject, proofsOf, readProof } from '../data-integrity/read-proof.ts'
import type {
  Proof,
  ProofFault,
  ProofOutcome,
  ProofVerifier,
  VerifyProofsOptions
} from '../data-integrity/types.ts'
import { verifyProofs } from '../data-integrity/verify-proofs.ts'
import { parseDateTime } from '../date-time.ts'
import { resolveVerificationMethod, type MethodOutcome } from '../verification-method.ts'
import {
  checkLinkedData,
  createContextLoader,
  defaultLimits,
  type KnownContexts,
  type LoadedDocument
} from './contexts.ts'
import { missingPeer } from './peers.ts'

/** Which proofs of others are verified. */
export interface ForeignProofsInit {
  /**
   * Suites as `@digitalbazaar/vc` takes them, for whatever is not among the caller's own: a `DataIntegrityProof` with
   * a cryptosuite of `@digitalbazaar`, or a signature suite. Default: `DataIntegrityProof` with `eddsa-rdfc-2022`.
   */
  foreignSuites?: readonly object[]
  /** Contexts known besides the bundled ones. */
  contexts?: KnownContexts
}

function failed(proof: Proof, code: ProofFault, message: string): ProofOutcome {
  return { proof, ok: false, code, message }
}

/**
 * Verifies proofs as {@link verifyProofs} does, and hands those of suites that the caller has not given itself to
 * `@digitalbazaar/vc`, each alone, with keys that are resolved and held to their purpose here. A proof of such a
 * suite has to be the issuer's or the holder's, and cannot cover other proofs: that package does not know chains.
 */
export function createForeignProofVerifier(init: ForeignProofsInit = {}): ProofVerifier {
  return async (document, options) => {
    const outcomes = await verifyProofs(document, options)
    const proofs = proofsOf(document)
    return Promise.all(
      outcomes.map((outcome, i) =>
        outcome.code === 'PROOF_SUITE_UNKNOWN' && isProofObject(proofs[i])
          ? verifyForeign(document, proofs[i], init, options)
          : outcome
      )
    )
  }
}

async function verifyForeign(
  document: Readonly<Record<string, unknown>>,
  proof: Proof,
  init: ForeignProofsInit,
  options: VerifyProofsOptions
): Promise<ProofOutcome> {
  const read = readProof(proof)
  if ('malformed' in read) {
    return failed(proof, 'PROOF_MALFORMED', `The proof's "${read.malformed}" is missing or not of its form.`)
  }
  if (read.previous.length > 0) {
    return failed(proof, 'PROOF_SUITE_UNKNOWN', 'A proof of a suite of others cannot cover other proofs.')
  }
  const fault = circumstanceFault(read, options)
  if (fault !== undefined) return failed(proof, fault.code, fault.message)
  const purpose = purposeOf(options)
  const method = await resolveVerificationMethod(proof.verificationMethod, purpose, options)
  if (!method.ok) {
    const code = method.code === 'METHOD_UNRESOLVED' ? 'PROOF_METHOD_UNRESOLVED' : 'PROOF_METHOD_NOT_ALLOWED'
    return failed(proof, code, method.message)
  }
  const { controller } = method
  try {
    checkLinkedData(document, init.contexts ?? {}, defaultLimits)
  } catch (error) {
    return { ...failed(proof, 'PROOF_NOT_CANONICAL', (error as Error).message), controller }
  }
  const answer = await ask({ ...document, proof }, proof, method, init, options)
  options.signal?.throwIfAborted()
  if (answer === true) return { proof, ok: true, controller }
  return answer === undefined
    ? { ...failed(proof, 'PROOF_SUITE_UNKNOWN', 'No suite was given for the proof.'), controller }
    : { ...failed(proof, 'PROOF_INVALID_SIGNATURE', answer), controller }
}

/** What `@digitalbazaar/vc` says of a document with one proof: yes, that it has no suite, or why not. */
async function ask(
  document: JsonObject | Record<string, unknown>,
  proof: Proof,
  method: MethodOutcome & { ok: true },
  { foreignSuites, contexts }: ForeignProofsInit,
  options: VerifyProofsOptions
): Promise<true | string | undefined> {
  const vc = await import('@digitalbazaar/vc').catch(missingPeer('@digitalbazaar/vc'))
  const asked = {
    // It writes into what it is given.
    suite: foreignSuites === undefined ? [await defaultSuite()] : [...foreignSuites],
    documentLoader: createKeyLoader(proof.verificationMethod, purposeOf(options), method, contexts),
    now: new Date(momentWithin(document, options.now)),
    // Our own check of the status follows, and takes more than its yes.
    checkStatus: async () => ({ verified: true })
  }
  const copy = structuredClone(document)
  const { results, error } =
    purposeOf(options) === 'authentication'
      ? ((
          await vc.verify({
            ...asked,
            presentation: copy,
            challenge: proof.challenge ?? '-',
            domain: options.domain
          })
        ).presentationResult ?? {})
      : await vc.verifyCredential({ ...asked, credential: copy })
  const [result] = results ?? []
  if (result?.verified === true && result.purposeResult?.valid === true) return true
  // An error of verification holds those that led to it.
  const why = result?.error ?? (error as { errors?: readonly unknown[] } | undefined)?.errors?.[0] ?? error
  if (!(why instanceof Error)) return 'The proof does not hold.'
  return why.name === 'NotFoundError' ? undefined : (why.message.split('\n')[0] as string).slice(0, 300)
}

async function defaultSuite(): Promise<object> {
  const [{ DataIntegrityProof }, { cryptosuite }] = await Promise.all([
    import('@digitalbazaar/data-integrity').catch(missingPeer('@digitalbazaar/data-integrity')),
    import('@digitalbazaar/eddsa-rdfc-2022-cryptosuite').catch(
      missingPeer('@digitalbazaar/eddsa-rdfc-2022-cryptosuite')
    )
  ])
  return new DataIntegrityProof({ cryptosuite })
}

/** A time at which the document is valid, where there is one: its period is a check of its own. */
function momentWithin(document: Readonly<Record<string, unknown>>, now: number): number {
  const from = parseDateTime(document['validFrom'] ?? document['issuanceDate']) ?? now
  const until = parseDateTime(document['validUntil'] ?? document['expirationDate']) ?? now
  return Math.max(from, Math.min(now, until))
}

/** Contexts, the key that was resolved, and of its controller what was found out: that it allows the key. */
function createKeyLoader(
  id: string,
  purpose: string,
  { method, controller }: MethodOutcome & { ok: true },
  contexts: KnownContexts | undefined
): (url: string) => Promise<LoadedDocument> {
  const loadContext = createContextLoader(contexts)
  const documents = new Map<string, unknown>([
    [id, { '@context': 'https://w3id.org/security/multikey/v1', ...method, id }],
    [controller, { '@context': 'https://www.w3.org/ns/did/v1', id: controller, [purpose]: [id] }]
  ])
  return async (url) => {
    const document = documents.get(url)
    return document === undefined ? loadContext(url) : { contextUrl: null, documentUrl: url, document }
  }
}
