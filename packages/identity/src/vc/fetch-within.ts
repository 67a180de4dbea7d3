import type { HashName } from './digest.ts'
import type { BudgetRefusal, DocumentFetcher, VerificationBudget } from './types.ts'

/** A document that was fetched, and its hashes as far as somebody asked for them. */
export interface FetchedDocument {
  bytes: Uint8Array
  hashes: Map<HashName, Uint8Array>
}

/** What {@link fetchWithin} needs of a verification. */
export interface FetchWithinOptions {
  fetchDocument?: DocumentFetcher
  budget: VerificationBudget
  signal?: AbortSignal
}

/**
 * Fetches a document on the budget of a verification, and within it only once; `undefined` where it cannot be had.
 * Rejects only when the signal aborts.
 */
export async function fetchWithin(
  url: string,
  maxBytes: number,
  { fetchDocument, budget, signal }: FetchWithinOptions
): Promise<FetchedDocument | BudgetRefusal | undefined> {
  if (fetchDocument === undefined) return undefined
  return budget.once(fetchDocument, `${maxBytes} ${url}`, async () => {
    const refusal = budget.spend('documents', 1)
    if (refusal !== undefined) return refusal
    let bytes: Uint8Array | undefined
    // What a fetch has read that fails nobody tells: it counts as all that it might have.
    let read = maxBytes
    try {
      bytes = (await fetchDocument(url, { maxBytes, ...(signal === undefined ? {} : { signal }) }))?.bytes
      read = bytes?.length ?? 0
    } catch {
      signal?.throwIfAborted()
    }
    const tooMuch = budget.spend('bytes', read)
    if (bytes === undefined || bytes.length > maxBytes) return undefined
    return tooMuch ?? { bytes, hashes: new Map() }
  })
}
