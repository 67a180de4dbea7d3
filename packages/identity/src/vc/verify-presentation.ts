import type { ProofOutcome } from '../data-integrity/types.ts'
import { verifyProofs } from '../data-integrity/verify-proofs.ts'
import type { JsonObject } from '../json.ts'
import { allHold, failed, fine, named, proofFinding, unreadable, type Finding } from './checks.ts'
import { ownDocuments } from './present.ts'
import { readDocument } from './read.ts'
import type { ReplayGuard } from './replay-guard.ts'
import { idOf, listOf } from './shape.ts'
import { presentationFault } from './structure.ts'
import { checkTerms } from './terms.ts'
import type {
  CheckName,
  Presentation,
  VerifyOptions,
  VerifyPresentationResult,
  VerifyResult
} from './types.ts'
import { bindingFinding, proofOptions, settle, verifyDocument, type Settled } from './verify.ts'

/** What a presentation is held to, besides what each credential in it is. */
export interface VerifyPresentationOptions extends VerifyOptions {
  /** What the holder had to sign. Give it: without one, a presentation made for another occasion is accepted. */
  challenge?: string
  /** Whom the presentation has to be for. */
  domain?: string
  /**
   * Whether each credential has to be about its holder. Default true. The data model lets others present a credential;
   * with false the check is reported all the same.
   */
  requireSubjectIsHolder?: boolean
  /** Accepts each presentation once. */
  replayGuard?: ReplayGuard
}

/**
 * Verifies a presentation: an object, or its JSON as text or bytes. The checks are those of the presentation, and each
 * of the credentials in it has its own; where a credential fails one, the presentation fails the same with
 * `CREDENTIAL_INVALID`.
 *
 * @throws Only the signal's reason when it aborts.
 */
export async function verifyPresentation(
  presentation: Presentation | string | Uint8Array,
  options: VerifyPresentationOptions = {}
): Promise<VerifyPresentationResult> {
  options.signal?.throwIfAborted()
  const read = readDocument(presentation)
  if ('fault' in read) return { ok: false, checks: unreadable(read.fault), proofs: [], credentials: [] }
  const { document } = read
  const settled = settle(options)
  const structure = structureFinding(document, settled)
  const { proofVerifier = verifyProofs } = settled
  const proofs = document['proof'] === undefined ? [] : await proofVerifier(document, authentication(settled))
  const proof = proofFinding(proofs)
  const holder = idOf(document['holder']) ?? proofs.find(({ ok }) => ok)?.controller
  // Nothing is asked for on behalf of somebody whose signature does not hold.
  const credentials = await credentialsOf(document, holder, settled, structure.ok && proof.ok)
  const controller = signerFinding(document, proofs, settled)
  const own = { structure, proof, controller }
  const checks = [
    ...(['structure', 'proof', 'controller', 'period', 'status', 'schema', 'issuerPolicy'] as const).map(
      (name) => named(name, together(name, own[name as keyof typeof own] ?? fine, credentials))
    ),
    named('subjectBinding', subjects(credentials), settled.requireSubjectIsHolder !== false)
  ]
  if (
    allHold(checks) &&
    settled.replayGuard !== undefined &&
    !(await isFirst(settled.replayGuard, proofs, settled))
  )
    checks[1] = named('proof', failed('PRESENTATION_REPLAYED', 'The presentation was accepted before'))
  settled.signal?.throwIfAborted()
  return { ok: allHold(checks), checks, proofs, credentials, ...(holder === undefined ? {} : { holder }) }
}

type SettledPresentation = Settled & VerifyPresentationOptions

function authentication(options: SettledPresentation): ReturnType<typeof proofOptions> {
  const { challenge, domain } = options
  return proofOptions(options, {
    proofPurpose: 'authentication',
    ...(challenge === undefined ? {} : { challenge }),
    ...(domain === undefined ? {} : { domain })
  })
}

function structureFinding(document: JsonObject, { contexts }: Settled): Finding {
  const fault = presentationFault(document)
  if (fault !== undefined) return failed('STRUCTURE_INVALID', fault)
  const terms = checkTerms(document, contexts, ownDocuments)
  return terms === undefined ? fine : failed(terms.code, terms.message)
}

/** Every credential, each held to everything. Only objects get here: the structure has been looked at. */
async function credentialsOf(
  document: JsonObject,
  holder: string | undefined,
  options: SettledPresentation,
  trusted: boolean
): Promise<VerifyResult[]> {
  const required = options.requireSubjectIsHolder !== false
  const { status: _status, fetchDocument: _fetch, ...offline } = options
  const held: Settled = trusted ? options : offline
  const { holder: _, ...rest } = held
  const results: VerifyResult[] = []
  for (const credential of presentationFault(document) === undefined
    ? listOf(document['verifiableCredential'])
    : []) {
    const { checks, ...result } = await verifyDocument(credential as JsonObject, rest)
    const binding = named('subjectBinding', bindingFinding(credential as JsonObject, holder ?? ''), required)
    const all = [...checks.slice(0, -1), binding]
    results.push({ ...result, ok: allHold(all), checks: all })
  }
  return results
}

/** The holder has to be who signed, and who the caller wants. */
function signerFinding(
  document: JsonObject,
  proofs: readonly ProofOutcome[],
  options: SettledPresentation
): Finding {
  const said = idOf(document['holder'])
  const signers = new Set(proofs.flatMap(({ controller }) => (controller === undefined ? [] : [controller])))
  if (said !== undefined && !signers.has(said as never))
    return failed('HOLDER_NOT_SIGNER', 'The presentation is not signed by its holder')
  if (signers.size === 0)
    return failed('HOLDER_NOT_SIGNER', 'Nobody is known to have signed the presentation')
  if (
    options.holder !== undefined &&
    !(said === undefined ? signers.has(options.holder) : said === options.holder)
  )
    return failed('HOLDER_NOT_SIGNER', 'The presentation is by another than the holder who was expected')
  return fine
}

/** The presentation's own finding, or that a credential failed the same. */
function together(name: CheckName, own: Finding, credentials: readonly VerifyResult[]): Finding {
  if (!own.ok) return own
  for (const [i, { checks }] of credentials.entries()) {
    const bad = checks.find((check) => check.name === name && check.required && !check.ok)
    if (bad !== undefined)
      return failed('CREDENTIAL_INVALID', `Credential ${i + 1}: ${bad.code}. ${bad.message ?? ''}`.trim())
  }
  return fine
}

function subjects(credentials: readonly VerifyResult[]): Finding {
  const other = credentials.findIndex(({ checks }) => checks.at(-1)?.ok !== true)
  return other === -1 ? fine : failed('SUBJECT_NOT_HOLDER', `Credential ${other + 1} is not about the holder`)
}

/**
 * A challenge is good once; where there is none, each signature is, whosever: a proof that somebody else put beside it
 * makes it no new one.
 */
async function isFirst(
  guard: ReplayGuard,
  proofs: readonly ProofOutcome[],
  { challenge, domain, signal }: SettledPresentation
): Promise<boolean> {
  const keys =
    challenge === undefined ? proofs.map(({ proof }) => [proof.proofValue]) : [[challenge, domain ?? null]]
  try {
    for (const key of keys)
      if ((await guard.claim(JSON.stringify(key), signal === undefined ? {} : { signal })) !== true)
        return false
    return keys.length > 0
  } catch {
    signal?.throwIfAborted()
    return false
  }
}
