import type { JsonObject } from '../json.ts'
import { issue } from '../vc/issue.ts'
import { signPresentation } from '../vc/present.ts'
import { idOf, isObject } from '../vc/shape.ts'
import type { Check, Credential, Presentation, VerifyOptions, VerifyResult } from '../vc/types.ts'
import { verify } from '../vc/verify.ts'
import { verifyPresentation } from '../vc/verify-presentation.ts'
import { objectMember, optionsOf, readBody, textOption } from './body.ts'
import { malformed, problemOfCheck } from './problem.ts'
import type { VcApiContext } from './vc-api.ts'

/** `POST /credentials/issue`: signs `credential` and answers it, with 201. */
export async function issueCredential(request: Request, context: VcApiContext): Promise<Response> {
  const body = await readBody(request, context.maxBodyBytes)
  const options = optionsOf(body)
  const credential = own(objectMember(body, 'credential'), 'issuer', context)
  const issued = await issue(
    credential as object as Credential,
    context.identity,
    await signing(options, context, request)
  )
  return json(201, issued)
}

/** `POST /presentations`: signs `presentation` and answers `{ verifiablePresentation }`, with 201. */
export async function createPresentation(request: Request, context: VcApiContext): Promise<Response> {
  const body = await readBody(request, context.maxBodyBytes)
  const options = optionsOf(body)
  const presentation = own(objectMember(body, 'presentation'), 'holder', context)
  const challenge = textOption(options, 'challenge')
  const domain = textOption(options, 'domain')
  const verifiablePresentation = await signPresentation(
    presentation as object as Presentation,
    context.identity,
    {
      ...(await signing(options, context, request)),
      ...(challenge === undefined ? {} : { challenge }),
      ...(domain === undefined ? {} : { domain })
    }
  )
  return json(201, { verifiablePresentation })
}

/** `POST /credentials/verify`: 200 where every check holds, and a problem with all checks where one does not. */
export async function verifyCredential(request: Request, context: VcApiContext): Promise<Response> {
  const body = await readBody(request, context.maxBodyBytes)
  const options = optionsOf(body)
  const document = objectMember(body, 'verifiableCredential')
  const result = await verify(document as object as Credential, {
    ...(await verifying(document, context, request)),
    ...(bindsSubject(options) ? { holder: textOption(options, 'holder') ?? missingHolder() } : {})
  })
  return answer(result, asked(result, options, 'assertionMethod', ['challenge', 'domain']))
}

/** `POST /presentations/verify`: the same for a presentation. */
export async function verifyPresentationRoute(request: Request, context: VcApiContext): Promise<Response> {
  const body = await readBody(request, context.maxBodyBytes)
  const options = optionsOf(body)
  const document = objectMember(body, 'verifiablePresentation')
  const challenge = textOption(options, 'challenge')
  const domain = textOption(options, 'domain')
  const holder = textOption(options, 'holder')
  const result = await verifyPresentation(document as object as Presentation, {
    ...(await verifying(document, context, request)),
    requireSubjectIsHolder: bindsSubject(options),
    ...(challenge === undefined ? {} : { challenge }),
    ...(domain === undefined ? {} : { domain }),
    ...(holder === undefined ? {} : { holder })
  })
  return answer(result, asked(result, options, 'authentication', []), {
    credentialResults: result.credentials.map(({ ok, checks }) => ({ verified: ok, checks }))
  })
}

/** The handler signs under its own name alone: an issuer or holder given keeps all but its id. */
function own(document: JsonObject, name: 'issuer' | 'holder', { identity }: VcApiContext): JsonObject {
  const party = document[name]
  const { did } = identity
  if (party === undefined) return { ...document, [name]: did }
  if (isObject(party) && party['id'] === undefined) return { ...document, [name]: { ...party, id: did } }
  if (idOf(party) === undefined)
    throw malformed(`The "${name}" is neither a URL nor an object with a URL as its id`)
  return { ...document, [name]: isObject(party) ? { ...party, id: did } : did }
}

async function signing(
  options: JsonObject,
  context: VcApiContext,
  { signal }: Request
): Promise<
  { suite: Awaited<ReturnType<VcApiContext['suites']['named']>>; now: number; signal: AbortSignal } & Pick<
    VerifyOptions,
    'contexts'
  >
> {
  const { contexts } = context.init
  return {
    suite: await context.suites.named(textOption(options, 'cryptosuite')),
    now: context.now(),
    signal,
    ...(contexts === undefined ? {} : { contexts })
  }
}

async function verifying(
  document: JsonObject,
  context: VcApiContext,
  { signal }: Request
): Promise<VerifyOptions> {
  const { identity: _identity, maxBodyBytes: _max, clock: _clock, ...options } = context.init
  return { ...options, suites: await context.suites.of(document), now: context.now(), signal }
}

function bindsSubject(options: JsonObject): boolean {
  const binding = textOption(options, 'subjectBinding')
  if (binding !== undefined && binding !== 'holder' && binding !== 'none')
    throw malformed('The option "subjectBinding" is neither "holder" nor "none"')
  return binding === 'holder'
}

function missingHolder(): never {
  throw malformed('The option "subjectBinding" needs the option "holder": who the credential has to be about')
}

/** What the request asks of the proofs besides the checks. */
function asked(
  { proofs }: VerifyResult,
  options: JsonObject,
  purpose: string,
  names: readonly ('challenge' | 'domain')[]
): Check[] {
  const problems: Check[] = []
  const wrong = (code: NonNullable<Check['code']>, message: string): unknown =>
    problems.push({ name: 'proof', ok: false, required: true, code, message })
  const expected = textOption(options, 'expectedProofPurpose')
  if (expected !== undefined && expected !== purpose)
    wrong('PROOF_WRONG_PURPOSE', `Proofs here are for ${purpose}, not ${expected.slice(0, 80)}`)
  for (const name of names) {
    const value = textOption(options, name)
    if (value !== undefined && !proofs.every(({ proof }) => proof[name] === value))
      wrong(
        name === 'challenge' ? 'PROOF_WRONG_CHALLENGE' : 'PROOF_WRONG_DOMAIN',
        `A proof is for another ${name}`
      )
  }
  return problems
}

function answer(
  result: VerifyResult,
  more: readonly Check[],
  extra: Readonly<Record<string, unknown>> = {}
): Response {
  const bad = [...result.checks.filter(({ ok, required }) => required && !ok), ...more]
  const { checks } = result
  if (bad.length === 0) return json(200, { verified: true, checks, problemDetails: [], ...extra })
  const problemDetails = bad.map(problemOfCheck)
  return json(
    400,
    { ...problemDetails[0], verified: false, checks, problemDetails, ...extra },
    'application/problem+json'
  )
}

function json(status: number, body: unknown, type = 'application/json'): Response {
  return new Response(JSON.stringify(body), {
    status,
    headers: { 'content-type': type, 'cache-control': 'no-store' }
  })
}
