import { systemClock } from '@kwaai/interface/memory'
import { eddsaJcs2022 } from '../data-integrity/eddsa-jcs.ts'
import type { Cryptosuite, ProofOutcome, VerifyProofsOptions } from '../data-integrity/types.ts'
import { verifyProofs } from '../data-integrity/verify-proofs.ts'
import type { DidResolver } from '../did-document.ts'
import type { JsonObject } from '../json.ts'
import { createVerificationBudget } from './budget.ts'
import {
  allHold,
  failed,
  fine,
  named,
  proofFinding,
  provided,
  unchecked,
  unreadable,
  type Finding
} from './checks.ts'
import { readDocument } from './read.ts'
import { resourceFinding } from './related-resource.ts'
import { schemaFinding } from './credential-schema.ts'
import { orAborted } from '../or-aborted.ts'
import { idOf, isObject, listOf } from './shape.ts'
import { credentialFault, periodOf } from './structure.ts'
import { checkTerms } from './terms.ts'
import type { BudgetRefusal, Check, CheckName, Credential, VerifyOptions, VerifyResult } from './types.ts'

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
  Required<Pick<VerifyOptions, 'now' | 'maxClockSkewMs' | 'budget'>> & {
    /** For the credential that holds a schema, so that schemas end. */
    skipSchema?: boolean
    /** Nobody is asked: the presentation that the credential is in does not hold. */
    askNobody?: boolean
  }

/** Fills in what was not given. A verification begins here, with one budget for all that it comes to. */
export function settle<T extends VerifyOptions>(options: T): T & Settled {
  return {
    ...options,
    now: options.now ?? systemClock.now(),
    maxClockSkewMs: options.maxClockSkewMs ?? defaultMaxClockSkewMs,
    budget: options.budget ?? createVerificationBudget(options.limits)
  }
}

/** What every proof of a document is worth, and all of them together. */
export async function proofsFinding(
  document: JsonObject,
  options: Settled,
  more: Partial<VerifyProofsOptions> = {}
): Promise<{ proofs: ProofOutcome[]; proof: Finding }> {
  if (document['proof'] === undefined) return { proofs: [], proof: proofFinding([]) }
  const {
    budget,
    now,
    maxClockSkewMs,
    signal,
    suites = [eddsaJcs2022],
    proofVerifier = verifyProofs
  } = options
  const weights = listOf(document['proof']).map((one) => weightOf(one, suites))
  const refusal = budget.spend(
    'proofs',
    weights.reduce((sum, weight) => sum + weight, 0)
  )
  if (refusal !== undefined) return { proofs: [], proof: refusal }
  const resolver = resolverWithin(options)
  const proofs = await proofVerifier(document, {
    suites,
    resolver,
    now,
    maxClockSkewMs,
    ...(signal === undefined ? {} : { signal }),
    ...more
  })
  const proof = proofFinding(proofs)
  return { proofs, proof: proof.ok ? proof : (resolver.refusal() ?? proof) }
}

// A proof of RDF takes five times as long, and up to a hundred where its document was made for that.
const weightOfOthers = 8

function weightOf(proof: unknown, suites: readonly Cryptosuite[]): number {
  const { type, cryptosuite } = isObject(proof) ? proof : {}
  const suite = type === 'DataIntegrityProof' ? suites.find(({ name }) => name === cryptosuite) : undefined
  return suite?.weight ?? weightOfOthers
}

/** The resolver on the budget of the verification, in which a DID has one document, however often it is asked for. */
function resolverWithin({ resolver = nobody, budget }: Settled): DidResolver & {
  refusal: () => BudgetRefusal | undefined
} {
  let refusal: BudgetRefusal | undefined
  return {
    async resolve(did, options) {
      const answer = await budget.once(
        resolver,
        did,
        async () => budget.spend('documents', 1) ?? resolver.resolve(did, options)
      )
      if (!('code' in answer)) return answer
      refusal = answer
      return nobody.resolve(did)
    },
    refusal: () => refusal
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
  return orAborted(verifyDocument(read.document, settle(options)), options.signal)
}

/** Verifies a credential that was read already. */
export async function verifyDocument(document: JsonObject, options: Settled): Promise<VerifyResult> {
  const structure = structureFinding(document, options)
  const { proofs, proof } = await proofsFinding(document, options)
  const issuer = idOf(document['issuer'])
  const controller = controllerFinding(issuer, proofs)
  const trusted = structure.ok && proof.ok && controller.ok && options.askNobody !== true
  const [status, schema, policy] = await Promise.all([
    statusFinding(document, options, trusted),
    supportFinding(document, options, trusted),
    policyFinding(document, issuer, options, trusted)
  ])
  options.signal?.throwIfAborted()
  const rest = (name: CheckName, finding: Finding, required = true): Check =>
    named(name, provided(structure, finding), required)
  const checks = [
    named('structure', structure),
    named('proof', proof),
    named('controller', controller),
    rest('period', periodFinding(document, options)),
    rest('status', status),
    rest('schema', schema),
    rest('issuerPolicy', policy),
    rest('subjectBinding', bindingFinding(document, options.holder), options.holder !== undefined)
  ]
  return { ok: allHold(checks), checks, proofs, ...(issuer === undefined ? {} : { issuer }) }
}

function structureFinding(document: JsonObject, options: Settled): Finding {
  const fault = credentialFault(document)
  return fault === undefined ? termsFinding(document, options) : failed('STRUCTURE_INVALID', fault)
}

/** Whether a document keeps to its contexts, on the budget of the verification. */
export function termsFinding(
  document: JsonObject,
  { contexts, budget }: Settled,
  skip?: ReadonlySet<string>
): Finding {
  const work = { most: budget.left('termWork'), taken: 0 }
  const fault = checkTerms(document, contexts, skip, work)
  const refusal = budget.spend('termWork', work.taken)
  if (refusal !== undefined) return refusal
  return fault === undefined ? fine : failed(fault.code, fault.message)
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
  // The other way round, a time that is none would be within every period.
  if (!(from <= now + maxClockSkewMs)) return failed('PERIOD_NOT_YET', 'The credential is not valid yet')
  if (!(until >= now - maxClockSkewMs)) return failed('PERIOD_OVER', 'The credential is no longer valid')
  return fine
}

const notAsked = unchecked('nobody is asked on behalf of what does not hold')

async function statusFinding(document: JsonObject, options: Settled, trusted: boolean): Promise<Finding> {
  if (document['credentialStatus'] === undefined) return fine
  if (options.status === undefined)
    return failed(
      'STATUS_UNAVAILABLE',
      'The credential can be revoked, and there is nothing to ask whether it was'
    )
  if (!trusted) return notAsked
  try {
    const { ok, code, message } = await options.status.check(document as object as Credential, {
      now: options.now,
      budget: options.budget,
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
  return trusted ? schemaFinding(document, options) : notAsked
}

async function policyFinding(
  document: JsonObject,
  issuer: string | undefined,
  { issuerPolicy, now, signal }: Settled,
  trusted: boolean
): Promise<Finding> {
  if (issuerPolicy === undefined) return fine
  if (!trusted || issuer === undefined) return unchecked('it is not proven who issued the credential')
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
