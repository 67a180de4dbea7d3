import type { ProofOutcome, VerifyProofsOptions } from '../data-integrity/types.ts'
import type { JsonObject } from '../json.ts'
import { allHold, failed, fine, named, provided, unchecked, unreadable, type Finding } from './checks.ts'
import { orAborted } from '../or-aborted.ts'
import { ownDocuments } from './present.ts'
import { readDocument } from './read.ts'
import type { ReplayGuard } from './replay-guard.ts'
import { idOf, listOf } from './shape.ts'
import { presentationFault } from './structure.ts'
import type {
  CheckName,
  Presentation,
  VerifyOptions,
  VerifyPresentationResult,
  VerifyResult
} from './types.ts'
import {
  bindingFinding,
  proofsFinding,
  settle,
  termsFinding,
  verifyDocument,
  type Settled
} from './verify.ts'

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
  return orAborted(verifyRead(read.document, settle(options)), options.signal)
}

type SettledPresentation = Settled & VerifyPresentationOptions

async function verifyRead(
  document: JsonObject,
  settled: SettledPresentation
): Promise<VerifyPresentationResult> {
  const structure = structureFinding(document, settled)
  const { proofs, proof } = await proofsFinding(document, settled, authentication(settled))
  const signers = new Set(proofs.flatMap(({ controller }) => controller ?? []))
  const holder = holderOf(document, signers, settled)
  // Nothing is asked for on behalf of somebody whose signature does not hold.
  const credentials = await credentialsOf(document, holder, settled, structure.ok && proof.ok)
  const controller = signerFinding(holder, signers, settled)
  const own = { structure, proof, controller }
  const checks = [
    ...Object.entries(own).map(([name, finding]) =>
      named(name as keyof typeof own, together(name as keyof typeof own, finding, credentials))
    ),
    // Where the structure is not in order, there may be credentials that were not found.
    ...(['period', 'status', 'schema', 'issuerPolicy'] as const).map((name) =>
      named(name, provided(structure, together(name, fine, credentials)))
    ),
    named(
      'subjectBinding',
      provided(structure, subjects(credentials)),
      settled.requireSubjectIsHolder !== false
    )
  ]
  // Whom nobody waits for any more must not use a challenge up.
  settled.signal?.throwIfAborted()
  if (
    allHold(checks) &&
    settled.replayGuard !== undefined &&
    !(await isFirst(settled.replayGuard, proofs, settled))
  )
    checks[1] = named('proof', failed('PRESENTATION_REPLAYED', 'The presentation was accepted before'))
  settled.signal?.throwIfAborted()
  return { ok: allHold(checks), checks, proofs, credentials, ...(holder === undefined ? {} : { holder }) }
}

/** What the proofs of a presentation are held to. */
function authentication({ challenge, domain }: SettledPresentation): Partial<VerifyProofsOptions> {
  return {
    proofPurpose: 'authentication',
    ...(challenge === undefined ? {} : { challenge }),
    ...(domain === undefined ? {} : { domain })
  }
}

function structureFinding(document: JsonObject, options: Settled): Finding {
  const fault = presentationFault(document)
  return fault === undefined
    ? termsFinding(document, options, ownDocuments)
    : failed('STRUCTURE_INVALID', fault)
}

/** Every credential, each held to everything. Only objects get here: the structure has been looked at. */
async function credentialsOf(
  document: JsonObject,
  holder: string | undefined,
  options: SettledPresentation,
  trusted: boolean
): Promise<VerifyResult[]> {
  const required = options.requireSubjectIsHolder !== false
  const { holder: _, ...rest } = { ...options, askNobody: !trusted }
  const results: VerifyResult[] = []
  for (const credential of presentationFault(document) === undefined
    ? listOf(document['verifiableCredential'])
    : []) {
    const { checks, ...result } = await verifyDocument(credential as JsonObject, rest)
    const finding = bindingFinding(credential as JsonObject, holder ?? '')
    const sound = checks[0]?.ok === true
    const binding = named('subjectBinding', provided({ ok: sound }, finding), required)
    const all = [...checks.slice(0, -1), binding]
    results.push({ ...result, ok: allHold(all), checks: all })
  }
  return results
}

/**
 * Who presents: whom the presentation names, or else who signed it alone. Where it names nobody and several signed, it
 * is not known, unless one of them was expected: anybody can put a proof beside those that are there.
 */
function holderOf(
  document: JsonObject,
  signers: ReadonlySet<string>,
  { holder }: SettledPresentation
): string | undefined {
  const said = idOf(document['holder'])
  if (said !== undefined || signers.size === 0) return said
  if (holder !== undefined && signers.has(holder)) return holder
  return signers.size === 1 ? [...signers][0] : undefined
}

/** The holder has to be who signed, and who the caller wants. */
function signerFinding(
  holder: string | undefined,
  signers: ReadonlySet<string>,
  options: SettledPresentation
): Finding {
  if (signers.size === 0)
    return failed('HOLDER_NOT_SIGNER', 'Nobody is known to have signed the presentation')
  if (holder === undefined)
    return failed('HOLDER_NOT_SIGNER', 'The presentation names no holder, and several have signed it')
  if (!signers.has(holder)) return failed('HOLDER_NOT_SIGNER', 'The presentation is not signed by its holder')
  if (options.holder !== undefined && holder !== options.holder)
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

/** Whether all are about the holder. Of one that was not looked at that is not known. */
function subjects(credentials: readonly VerifyResult[]): Finding {
  if (credentials.length === 0) return { ok: true, message: 'The presentation has no credentials' }
  const codes = credentials.map(({ checks }) => checks.at(-1)?.code)
  const other = codes.indexOf('SUBJECT_NOT_HOLDER')
  if (other !== -1) return failed('SUBJECT_NOT_HOLDER', `Credential ${other + 1} is not about the holder`)
  return codes.some((code) => code !== undefined) ? unchecked('a credential is not in order') : fine
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
