// oxlint-disable-next-line typescript/triple-slash-reference -- packages without types: users of the sources need ours
/// <reference path="../types/digitalbazaar.d.ts" />
import { KwaaiError } from '@kwaai/interface'
import { ERR_IDENTITY_NOT_CANONICAL } from '../errors.ts'
import type { LoadedDocument } from './contexts.ts'
import { missingPeer } from './peers.ts'

// Deep comparisons of blank nodes for one document: poison graphs need exponentially many. Own choice: so many take
// about a second in a browser, and are enough for five hundred objects that look alike.
const maxDeepIterations = 512

/**
 * The canonical N-Quads of what a JSON-LD document means (RDFC-1.0), in safe mode.
 *
 * @throws A KwaaiError `ERR_IDENTITY_NOT_CANONICAL` or `ERR_IDENTITY_MISSING_PEER`.
 */
export async function canonicalizeRdf(
  document: unknown,
  documentLoader: (url: string) => Promise<LoadedDocument>,
  signal?: AbortSignal
): Promise<string> {
  const { cryptosuite } = await import('@digitalbazaar/eddsa-rdfc-2022-cryptosuite').catch(
    missingPeer('@digitalbazaar/eddsa-rdfc-2022-cryptosuite')
  )
  try {
    return await cryptosuite.canonize(document, {
      documentLoader,
      safe: true,
      base: null,
      maxDeepIterations,
      ...(signal && { signal })
    })
  } catch (cause) {
    signal?.throwIfAborted()
    throw new KwaaiError(ERR_IDENTITY_NOT_CANONICAL, `Cannot canonicalise the document: ${reasonOf(cause)}`, {
      cause
    })
  }
}

interface JsonLdFailure {
  message?: string
  details?: { cause?: unknown; event?: { message?: string; details?: Readonly<Record<string, unknown>> } }
}

/** The deepest reason that an error of the processor gives, in one line. */
function reasonOf(error: unknown): string {
  const { message, details } = error as JsonLdFailure
  if (details?.cause instanceof Error) return reasonOf(details.cause)
  const event = details?.event
  const text =
    event?.message === undefined
      ? (message ?? String(error))
      : `${event.message} ${JSON.stringify(event.details?.['property'] ?? event.details?.['value'] ?? '')}`
  return (text.split('\n')[0] as string).slice(0, 300)
}
