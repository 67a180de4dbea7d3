import type { Credential, StatusEntry } from '../vc/types.ts'
import type { StatusList } from './status-list.ts'

/** Milliseconds a reader keeps a list that names no `ttl` (Bitstring Status List 1.0, section 2.2). */
export const DEFAULT_STATUS_TTL_MS = 300_000

/** What {@link statusListCredential} says besides the list. */
export interface StatusListCredentialInit {
  /** Where it is found: the `statusListCredential` of its entries. */
  url: string
  /** The DID that issues it: that of the credentials on the list. */
  issuer: string
  /** What a set entry means: `revocation`, `suspension`, `refresh` or `message`. */
  purpose: string
  list: StatusList
  /** Milliseconds since 1970. */
  validFrom: number
  validUntil?: number
  /** Milliseconds readers may keep it. Default: not said, which means {@link DEFAULT_STATUS_TTL_MS}. */
  ttlMs?: number
}

/** The credential that publishes a list, without a proof. */
export async function statusListCredential(init: StatusListCredentialInit): Promise<Credential> {
  const { url, issuer, purpose, list, validFrom, validUntil, ttlMs } = init
  return {
    '@context': ['https://www.w3.org/ns/credentials/v2'],
    id: url,
    type: ['VerifiableCredential', 'BitstringStatusListCredential'],
    issuer,
    validFrom: isoTime(validFrom),
    ...(validUntil === undefined ? {} : { validUntil: isoTime(validUntil) }),
    credentialSubject: {
      id: `${url}#list`,
      type: 'BitstringStatusList',
      statusPurpose: purpose,
      encodedList: await list.encode(),
      ...(ttlMs === undefined ? {} : { ttl: ttlMs })
    }
  }
}

/** The `credentialStatus` that names an entry of a list. */
export function statusEntry(init: {
  statusListCredential: string
  index: number
  purpose: string
}): StatusEntry {
  return {
    id: `${init.statusListCredential}#${init.index}`,
    type: 'BitstringStatusListEntry',
    statusPurpose: init.purpose,
    statusListIndex: String(init.index),
    statusListCredential: init.statusListCredential
  }
}

function isoTime(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 19)}Z`
}
