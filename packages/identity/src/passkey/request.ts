import type { IdentityRefusal, IdentityRequest } from '@kwaai/interface'
import { base64UrlBytes } from './text.ts'
import type { JsonObject } from '../json.ts'
import { encodeBase64Url } from '../multikey.ts'
import { refusal } from './ceremonies.ts'

const statementBytes = 32

/** The parts of a request that every provider keeps; a refusal where they make no sense. */
export function requestFacts({ purpose, account, statement }: IdentityRequest): JsonObject | IdentityRefusal {
  if (purpose === 'enter' && account === undefined && statement === undefined) return { purpose }
  if (purpose === 'link' && account !== undefined && statement?.length === statementBytes) {
    return { purpose, account, statement: encodeBase64Url(statement) }
  }
  return refusal(
    'REQUEST_INVALID',
    'Cannot begin: a link names its account and a statement of 32 bytes, and an entry neither'
  )
}

/** Whether {@link requestFacts} refused. */
export function isRefusal(facts: JsonObject | IdentityRefusal): facts is IdentityRefusal {
  return 'code' in facts
}

/** What a proof repeats of its request. */
export function requestOf(
  facts: JsonObject
): { purpose: 'enter' } | { purpose: 'link'; account: string; statement: Uint8Array } {
  if (facts['purpose'] === 'enter') return { purpose: 'enter' }
  return {
    purpose: 'link',
    account: facts['account'] as string,
    statement: base64UrlBytes(facts['statement'], statementBytes) as Uint8Array
  }
}
