import { systemClock } from '@kwaai/interface/memory'
import { eddsaJcs2022 } from '../data-integrity/eddsa-jcs.ts'
import type { ProofOutcome, VerifyProofsOptions } from '../data-integrity/types.ts'
import { verifyProofs } from '../data-integrity/verify-proofs.ts'
import type { DidResolver } from '../did-document.ts'
import type { JsonObject } from '../json.ts'
import { allHold, failed, fine, named, proofFinding, unreadable, type Finding } from './checks.ts'
import { readDocument } from './read.ts'
import { resourceFinding } from './related-resource.ts'
import { schemaFinding } from './credential-schema.ts'
import { idOf, listOf } from './shape.ts'
import { credentialFault, periodOf } from './structure.ts'
import { checkTerms } from './terms.ts'
import type { Credential, VerifyOptions, VerifyResult } from './types.ts'

const defaultMaxClockSkewMs = 300_000

/** Whatever is no did:key has no document, where the caller gives no resolver. */
const nobody: DidResolver = {
  resolve: () =>
    Promise.resolve({
      didResolutionMetadata: { error: 'methodNotSupported' },
      didDocument: null,
      didDocumentMetadata: {}
    })
}

/** The options of a verification with their defaults: one time for all checks. */
export type Settled = VerifyOptions &
  Required<Pick<VerifyOptions, 'now' | 'maxClockSkewMs'>> & {
    /** For the credential that holds a schema, so that schemas end. */
    skipSchema?: boolean
  }

/** Fills in what was not given. */
export function settle<T extends VerifyOptions>(options: T): T & Settled {
  return {
    ...options,
    now: options.now ?? systemClock.now(),
    maxClockSkewMs: options.maxClockSkewMs ?? defaultMaxClockSkewMs
  }
}

/** What a document's proofs are held to. */
export function proofOptions(options: Settled, more: Partial<VerifyProofsOptions> = {}): VerifyProofsOptions {
  return {
    suites: options.suites ?? [eddsaJcs2022],
    resolver: options.resolver ?? nobody,
    now: options.now,
    maxClockSkewMs: options.maxClockSkewMs,
    ...(options.signal === undefined ? {} : { signal: options.signal }),
    ...more
  }
}

/**
 * Verifies a credential: an object, or its JSON as text or bytes. The answer has every check by name, also those after
 * the first that fails. What is wrong with the credential is in the answer, never thrown.
 *
 * Nothing is fetched for a credential whose structure, proof or controller does not hold: a stranger must not choose
 * what is asked for.
 *
 * @throws Only the signal's reason when it aborts.
 */
export async function verify(
  credential: Credential | string | Uint8Array,
  options: VerifyOptions = {}
): Promise<VerifyResult> {
  options.signal?.throwIfAborted()
  const read = readDocument(credential)
  if ('fault' in read) return { ok: false, checks: unreadable(read.fault), proofs: [] }
  return verifyDocument(read.document, settle(options))
}

/** Verifies a credential that was read already. */
export async function verifyDocument(document: JsonObject, options: Settled): Promise<VerifyResult> {
  const structure = structureFinding(document, options)
  const { proofVerifier = verifyProofs } = options
  const proofs = document['proof'] === undefined ? [] : await proofVerifier(document, proofOptions(options))
  const proof = proofFinding(proofs)
  const issuer = idOf(document['issuer'])
  const controller = controllerFinding(issuer, proofs)
  const trusted = structure.ok && proof.ok && controller.ok
  const [status, schema, policy] = await Promise.all([
    statusFinding(document, options, trusted),
    supportFinding(document, options, trusted),
    policyFinding(document, issuer, options)
  ])
  options.signal?.throwIfAborted()
  const checks = [
    named('structure', structure),
    named('proof', proof),
    named('controller', controller),
    named('period', periodFinding(document, options)),
    named('status', status),
    named('schema', schema),
    named('issuerPolicy', policy),
    named('subjectBinding', bindingFinding(document, options.holder), options.holder !== undefined)
  ]
  return { ok: allHold(checks), checks, proofs, ...(issuer === undefined ? {} : { issuer }) }
}

function structureFinding(document: JsonObject, { contexts }: Settled): Finding {
  const fault = credentialFault(document)
  if (fault !== undefined) return failed('STRUCTURE_INVALID', fault)
  const terms = checkTerms(document, contexts)
  return terms === undefined ? fine : failed(terms.code, terms.message)
}

/** The issuer has to control a key that signed; others may sign beside it. */
function controllerFinding(issuer: string | undefined, proofs: readonly ProofOutcome[]): Finding {
  if (issuer === undefined) return failed('ISSUER_NOT_CONTROLLER', 'The credential names no issuer')
  return proofs.some(({ controller }) => controller === issuer)
    ? fine
    : failed('ISSUER_NOT_CONTROLLER', `No proof is by a key of the issuer ${issuer.slice(0, 200)}`)
}

function periodFinding(document: JsonObject, { now, maxClockSkewMs }: Settled): Finding {
  const { from, until } = periodOf(document)
  if (from > now + maxClockSkewMs) return failed('PERIOD_NOT_YET', 'The credential is not valid yet')
  if (until < now - maxClockSkewMs) return failed('PERIOD_OVER', 'The credential is no longer valid')
  return fine
}

const notAsked = 'Nobody was asked, because the credential itself does not hold'

async function statusFinding(document: JsonObject, options: Settled, trusted: boolean): Promise<Finding> {
  if (document['credentialStatus'] === undefined) return fine
  if (options.status === undefined)
    return failed(
      'STATUS_UNAVAILABLE',
      'The credential can be revoked, and there is nothing to ask whether it was'
    )
  if (!trusted) return failed('STATUS_UNAVAILABLE', notAsked)
  try {
    const { ok, code, message } = await options.status.check(document as object as Credential, {
      now: options.now,
      ...(options.signal === undefined ? {} : { signal: options.signal })
    })
    return ok ? fine : failed(code ?? 'STATUS_INVALID', message ?? 'The credential no longer stands')
  } catch (error) {
    options.signal?.throwIfAborted()
    return failed(
      'STATUS_UNAVAILABLE',
      error instanceof Error ? error.message : 'The status could not be asked'
    )
  }
}

/** What stands elsewhere and has to fit: related resources, and schemas. */
async function supportFinding(document: JsonObject, options: Settled, trusted: boolean): Promise<Finding> {
  if (document['relatedResource'] !== undefined) {
    const finding = await resourceFinding(document, options, trusted)
    if (!finding.ok) return finding
  }
  if (document['credentialSchema'] === undefined || options.skipSchema === true) return fine
  return trusted ? schemaFinding(document, options) : failed('SCHEMA_UNAVAILABLE', notAsked)
}

async function policyFinding(
  document: JsonObject,
  issuer: string | undefined,
  { issuerPolicy, now, signal }: Settled
): Promise<Finding> {
  if (issuerPolicy === undefined) return fine
  if (issuer === undefined) return failed('ISSUER_NOT_AUTHORIZED', 'The credential names no issuer')
  const types = listOf(document['type']).filter((type) => typeof type === 'string')
  try {
    if ((await issuerPolicy({ issuer, types, now, ...(signal === undefined ? {} : { signal }) })) === true)
      return fine
  } catch (error) {
    signal?.throwIfAborted()
    const why = error instanceof Error ? error.message : 'for no reason given'
    return failed('ISSUER_NOT_AUTHORIZED', `The policy could not be asked: ${why}`)
  }
  return failed('ISSUER_NOT_AUTHORIZED', 'The issuer may not issue this type')
}

/** Whether a credential is about somebody alone. */
export function bindingFinding(document: JsonObject, holder: string | undefined): Finding {
  if (holder === undefined) return { ok: true, message: 'Nobody was named to compare the subject with' }
  const subjects = listOf(document['credentialSubject'])
  return subjects.length > 0 && subjects.every((subject) => idOf(subject) === holder)
    ? fine
    : failed('SUBJECT_NOT_HOLDER', 'The credential is not about its holder')
}
