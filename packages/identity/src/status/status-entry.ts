import type { Credential, StatusEntry } from '../vc/types.ts'

/** An entry whose every field is as it must be. */
export interface CheckedEntry {
  purpose: string
  index: number
  url: string
  /** Bits of the entry. */
  statusSize: number
  /** What each value of a `message` means; empty where the entry has a single bit and says nothing. */
  messages: ReadonlyMap<number, string>
}

/** Most entries of a credential that are looked at; more are refused before any list is fetched. */
const maxEntries = 8
const maxUrlLength = 2_048

/** The entries of a credential, none where it has no `credentialStatus`; or what is wrong with them. */
export function readStatusEntries(credential: Credential): readonly CheckedEntry[] | string {
  const { credentialStatus } = credential
  if (credentialStatus === undefined) return []
  const all: readonly unknown[] = Array.isArray(credentialStatus) ? credentialStatus : [credentialStatus]
  if (all.length === 0 || all.length > maxEntries)
    return `it has ${all.length} status entries, and not 1 to ${maxEntries}`
  const read: CheckedEntry[] = []
  for (const entry of all) {
    if (typeof entry !== 'object' || entry === null) return 'a status entry is no object'
    const checked = readEntry(entry as StatusEntry)
    if (typeof checked === 'string') return checked
    read.push(checked)
  }
  return read
}

// Bitstring Status List 1.0, section 2.1.
function readEntry(entry: StatusEntry): CheckedEntry | string {
  const { id, type, statusPurpose, statusListIndex, statusListCredential, statusSize = 1 } = entry
  if (type !== 'BitstringStatusListEntry') {
    const named = typeof type === 'string' ? `"${type.slice(0, 60)}"` : 'that is no text'
    return `a status entry has a type ${named}, and BitstringStatusListEntry alone is known`
  }
  if (typeof statusPurpose !== 'string' || statusPurpose === '') return 'a status entry has no statusPurpose'
  if (typeof statusListIndex !== 'string' || !/^(?:0|[1-9]\d{0,14})$/.test(statusListIndex)) {
    return 'the statusListIndex of a status entry is not a whole number written as text'
  }
  if (typeof statusListCredential !== 'string' || !isWebUrl(statusListCredential)) {
    return 'the statusListCredential of a status entry is no http or https URL'
  }
  if (id === statusListCredential) return 'the id of a status entry is that of its list'
  if (!Number.isSafeInteger(statusSize) || (statusSize as number) < 1 || (statusSize as number) > 8) {
    return 'the statusSize of a status entry is not 1 to 8'
  }
  const messages = readMessages(entry['statusMessage'], statusSize as number)
  if (typeof messages === 'string') return messages
  return {
    purpose: statusPurpose,
    index: Number(statusListIndex),
    url: statusListCredential,
    statusSize: statusSize as number,
    messages
  }
}

function readMessages(value: unknown, statusSize: number): ReadonlyMap<number, string> | string {
  const messages = new Map<number, string>()
  if (value === undefined) {
    return statusSize === 1 ? messages : 'a status entry of several bits has no statusMessage'
  }
  if (!Array.isArray(value) || value.length !== 2 ** statusSize) {
    return `the statusMessage of a status entry has not ${2 ** statusSize} messages`
  }
  for (const one of value as unknown[]) {
    const { status, message } = (one ?? {}) as { status?: unknown; message?: unknown }
    if (typeof status !== 'string' || !/^0x[0-9a-f]{1,4}$/i.test(status) || typeof message !== 'string') {
      return 'a statusMessage has no hexadecimal status or no message'
    }
    const number = Number.parseInt(status.slice(2), 16)
    if (number >= 2 ** statusSize || messages.has(number)) {
      return 'the statusMessage of a status entry does not name each value once'
    }
    messages.set(number, message)
  }
  return messages
}

function isWebUrl(text: string): boolean {
  if (text.length > maxUrlLength || !URL.canParse(text)) return false
  const { protocol, username, password } = new URL(text)
  return (protocol === 'https:' || protocol === 'http:') && username === '' && password === ''
}
