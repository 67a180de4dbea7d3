import type { DidResolver } from '@kwaai/identity'
import { createStatusChecker } from '@kwaai/identity/status'
import { createDidResolver, type StatusChecker, type VerifyOptions } from '@kwaai/identity/vc'
import { fetchDocument } from './fetch-document.ts'

/** How this machine verifies the credentials of others. */
export interface Verifying {
  /** Ask nobody: did:web, status lists and schemas are then not available. */
  offline?: boolean
  /** The only issuers to believe. Default: any, which says who issued and not whether to believe it. */
  issuers?: readonly string[]
}

/** The options of a verification: did:key and did:web, status lists fetched and kept while the process runs. */
export function verifyOptions({ offline = false, issuers = [] }: Verifying = {}): VerifyOptions {
  const known = new Set(issuers)
  const policy =
    known.size === 0 ? {} : { issuerPolicy: ({ issuer }: { issuer: string }) => known.has(issuer) }
  if (offline) return { resolver: createDidResolver(), ...policy }
  const resolver: DidResolver = createDidResolver({ web: { fetch } })
  const status: StatusChecker = createStatusChecker({}, { fetchDocument, resolver })
  return { resolver, status, fetchDocument, ...policy }
}
