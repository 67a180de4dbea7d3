import { KwaaiError, type CallOptions } from '@kwaai/interface'
import { parseJson } from '../json.ts'
import { createVerificationBudget } from '../vc/budget.ts'
import type {
  BudgetFault,
  Credential,
  DocumentFetcher,
  VerificationBudget,
  VerificationLimits,
  VerifyOptions,
  VerifyResult
} from '../vc/types.ts'
import { decodeBitstring } from './bitstring.ts'
import { DEFAULT_STATUS_TTL_MS } from './status-credential.ts'

/** A list somebody published, verified. */
export interface PublishedList {
  bits: Uint8Array
  issuer: string
  purposes: readonly string[]
  ttlMs: number
  /** Milliseconds since 1970; the whole of time where nothing is said. */
  validFrom: number
  validUntil: number
}

/** Why there is no list. */
export interface NoList {
  code: 'STATUS_UNAVAILABLE' | 'STATUS_INVALID' | BudgetFault
  message: string
}

/** A list or why there is none, and what it took to find out. */
export interface FetchedList {
  list: PublishedList | NoList
  spent: VerificationLimits
}

// Of what the credential of a list refers to by itself; own choice, as nearly all refer to nothing. Who waits for a list
// must not get another answer because of what somebody else's verification has left, so a list has a budget of its own.
const limitsOfList: VerificationLimits = { documents: 8, bytes: 4 * 2 ** 20, proofs: 16 }

/** What {@link fetchList} works with. */
export interface FetchListComponents {
  fetchDocument: DocumentFetcher
  verify: (credential: Credential, options: VerifyOptions) => Promise<VerifyResult>
  /** Beyond `now` and `signal`, which each call gives. */
  verifyOptions: VerifyOptions
}

/** Fetches a list and verifies its credential: proof, controller, period and all the rest that is asked of any. */
export async function fetchList(
  url: string,
  components: FetchListComponents,
  options: CallOptions & { now: number; maxBytes: number }
): Promise<FetchedList> {
  const budget = createVerificationBudget(limitsOfList)
  const read = { bytes: 0 }
  const list = await fetchAndRead(url, components, { ...options, budget, read })
  const inflated = 'bits' in list ? list.bits.length : 0
  return { list, spent: { ...budget.spent, bytes: budget.spent.bytes + read.bytes + inflated } }
}

async function fetchAndRead(
  url: string,
  { fetchDocument, verify, verifyOptions }: FetchListComponents,
  options: CallOptions & {
    now: number
    maxBytes: number
    budget: VerificationBudget
    read: { bytes: number }
  }
): Promise<PublishedList | NoList> {
  const { now, maxBytes, signal, budget, read } = options
  const call = signal === undefined ? {} : { signal }
  // The credential around the list, and what GZIP and base64 add.
  const maxDocumentBytes = 2 * maxBytes + 65_536
  let bytes: Uint8Array | undefined
  try {
    bytes = (await fetchDocument(url, { maxBytes: maxDocumentBytes, ...call }))?.bytes
  } catch {
    // It may have read as much.
    read.bytes = maxDocumentBytes
    return unavailable(`the list ${url} cannot be fetched`)
  }
  read.bytes = bytes?.length ?? 0
  if (bytes === undefined) return unavailable(`there is no list at ${url}`)
  if (bytes.length > maxDocumentBytes)
    return invalid(`the list ${url} is larger than ${maxDocumentBytes} bytes`)
  let credential: unknown
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes)
    credential = parseJson(text, { maxLength: maxDocumentBytes })
  } catch {
    return invalid(`the list ${url} is not JSON`)
  }
  const result = await verify(credential as Credential, { ...verifyOptions, now, budget, ...call })
  if (!result.ok) {
    const failed = result.checks.find((check) => check.required && !check.ok)
    return invalid(
      `the credential of the list ${url} does not hold: ${failed?.name} ${failed?.code ?? ''}`.trim()
    )
  }
  const ends = result.proofs.map(({ proof }) => proof.expires)
  return readList(url, credential as Credential, ends, maxBytes)
}

async function readList(
  url: string,
  credential: Credential,
  proofsEnd: readonly (string | undefined)[],
  maxBytes: number
): Promise<PublishedList | NoList> {
  const { id, type, issuer, credentialSubject: subject } = credential
  if (!named(type, 'BitstringStatusListCredential'))
    return invalid(`${url} is no BitstringStatusListCredential`)
  // Lists of one issuer must not stand for each other.
  if (id !== undefined && id !== url) return invalid(`the list at ${url} is another one`)
  const issuerId = typeof issuer === 'string' ? issuer : issuer?.id
  if (issuerId === undefined) return invalid(`the list ${url} has no issuer`)
  if (typeof subject !== 'object' || Array.isArray(subject)) return invalid(`${url} has not one subject`)
  const {
    type: kind,
    statusPurpose,
    encodedList,
    ttl = DEFAULT_STATUS_TTL_MS
  } = subject as Record<string, unknown>
  if (!named(kind, 'BitstringStatusList')) return invalid(`the subject of ${url} is no BitstringStatusList`)
  const purposes: unknown[] = Array.isArray(statusPurpose) ? statusPurpose : [statusPurpose]
  if (!purposes.every((one) => typeof one === 'string'))
    return invalid(`the list ${url} has no statusPurpose`)
  if (typeof encodedList !== 'string') return invalid(`the list ${url} has no encodedList`)
  if (!Number.isSafeInteger(ttl) || (ttl as number) < 0)
    return invalid(`the ttl of the list ${url} is no number`)
  try {
    return {
      bits: await decodeBitstring(encodedList, maxBytes),
      issuer: issuerId,
      purposes,
      ttlMs: ttl as number,
      validFrom: timeOf(credential.validFrom, -Infinity),
      validUntil: Math.min(...[credential.validUntil, ...proofsEnd].map((end) => timeOf(end, Infinity)))
    }
  } catch (error) {
    if (!KwaaiError.is(error)) throw error
    return invalid(error.message)
  }
}

function named(types: unknown, name: string): boolean {
  return Array.isArray(types) ? types.includes(name) : types === name
}

/** The credential is verified, so its times are times. */
function timeOf(text: string | undefined, otherwise: number): number {
  return text === undefined ? otherwise : Date.parse(text)
}

function unavailable(message: string): NoList {
  return { code: 'STATUS_UNAVAILABLE', message }
}

function invalid(message: string): NoList {
  return { code: 'STATUS_INVALID', message }
}
