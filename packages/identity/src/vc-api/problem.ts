import { KwaaiError } from '@kwaai/interface'
import type { Check, CheckFault } from '../vc/types.ts'

// VC Data Model 2.0, section 7.2, and Bitstring Status List 1.0, section 3.5: types of problems by what failed.
const dataModel = 'https://www.w3.org/TR/vc-data-model#'
const types = {
  parsing: `${dataModel}PARSING_ERROR`,
  cryptography: `${dataModel}CRYPTOGRAPHIC_SECURITY_ERROR`,
  malformed: `${dataModel}MALFORMED_VALUE_ERROR`,
  range: `${dataModel}RANGE_ERROR`,
  status: 'https://www.w3.org/ns/credentials/status-list#STATUS_VERIFICATION_ERROR',
  none: 'about:blank'
}

/** One problem (RFC 9457). */
export interface Problem {
  type: string
  title: string
  status: number
  detail: string
  [name: string]: unknown
}

/** A request that is answered with a problem. */
export class RequestProblem extends Error {
  readonly problem: Problem
  readonly headers: Readonly<Record<string, string>>
  constructor(problem: Problem, headers: Readonly<Record<string, string>> = {}) {
    super(problem.detail)
    this.problem = problem
    this.headers = headers
  }
}

/** A request whose body or options are not of their form. */
export function malformed(
  detail: string,
  status = 400,
  headers: Readonly<Record<string, string>> = {}
): RequestProblem {
  return new RequestProblem(
    { type: types.malformed, title: 'The request is malformed', status, detail },
    headers
  )
}

/** A body that is no JSON with one meaning. */
export function unparsable(detail: string): RequestProblem {
  return new RequestProblem({ type: types.parsing, title: 'The body cannot be read', status: 400, detail })
}

/** A check that does not hold, as a problem. */
export function problemOfCheck({ name, code, message }: Pick<Check, 'name' | 'code' | 'message'>): Problem {
  return {
    type: typeOf(code),
    title: `The check "${name}" does not hold`,
    status: 400,
    detail: message ?? `${code}`,
    check: name,
    ...(code === undefined ? {} : { code })
  }
}

function typeOf(code: CheckFault | undefined): string {
  if (code === undefined) return types.none
  if (code.startsWith('PROOF_')) return types.cryptography
  if (code.startsWith('PERIOD_')) return types.range
  if (code.startsWith('STATUS_')) return types.status
  return ['ISSUER_NOT_CONTROLLER', 'HOLDER_NOT_SIGNER', 'PRESENTATION_REPLAYED'].includes(code)
    ? types.cryptography
    : types.malformed
}

/** What is thrown at issuing, as a problem; `undefined` for what is no fault of whoever asks. */
export function problemOfError(error: unknown): RequestProblem | undefined {
  if (error instanceof RequestProblem) return error
  if (!(error instanceof KwaaiError)) return undefined
  const { code, message } = error
  if (code === 'ERR_IDENTITY_MISSING_PEER')
    return new RequestProblem({
      type: types.none,
      title: 'The cryptosuite is not available',
      status: 400,
      detail: message,
      code
    })
  if (!/^ERR_IDENTITY_(?:INVALID_(?:CREDENTIAL|JSON|PROOF)|NOT_CANONICAL)$/.test(code)) return undefined
  return new RequestProblem({
    type: types.malformed,
    title: 'It is not signed',
    status: 400,
    detail: message,
    code,
    ...error.details
  })
}

/** A problem as a response. */
export function problemResponse({ problem, headers }: RequestProblem): Response {
  return new Response(JSON.stringify(problem), {
    status: problem.status,
    headers: { 'content-type': 'application/problem+json', ...headers }
  })
}
