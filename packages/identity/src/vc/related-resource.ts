import type { JsonObject } from '../json.ts'
import { failed, fine, type Finding } from './checks.ts'
import { digestsOf, matches, matchesPublished, type Digest } from './digest.ts'
import { isObject, listOf } from './shape.ts'
import type { VerifyOptions } from './types.ts'

const maxResourceBytes = 4 * 2 ** 20
// Each may cost a request.
const maxFetched = 16

/** The digests that can be judged without asking anybody: those of the published contexts. */
export function publishedResourceFinding(document: JsonObject): Finding {
  for (const { url, digests } of resourcesOf(document))
    if (matchesPublished(url, digests) === false)
      return failed(
        'RESOURCE_MISMATCH',
        `The digest of the related resource ${url} is not that of its content`
      )
  return fine
}

/** Whether every related resource has the digests it is said to have (VC Data Model 2.0, section 5.3). */
export async function resourceFinding(
  document: JsonObject,
  options: VerifyOptions,
  mayFetch: boolean
): Promise<Finding> {
  const known = publishedResourceFinding(document)
  if (!known.ok) return known
  const unknown = resourcesOf(document).filter(
    ({ url, digests }) => matchesPublished(url, digests) === undefined
  )
  if (unknown.length === 0) return fine
  const { fetchDocument, signal } = options
  if (fetchDocument === undefined || !mayFetch || unknown.length > maxFetched)
    return failed('RESOURCE_UNAVAILABLE', `The related resource ${unknown[0]?.url} was not fetched`)
  for (const { url, digests } of unknown) {
    let bytes: Uint8Array | undefined
    try {
      const found = await fetchDocument(url, {
        maxBytes: maxResourceBytes,
        ...(signal === undefined ? {} : { signal })
      })
      bytes = found?.bytes
    } catch {
      signal?.throwIfAborted()
    }
    if (bytes === undefined || bytes.length > maxResourceBytes)
      return failed('RESOURCE_UNAVAILABLE', `The related resource ${url} could not be had`)
    if (!matches(bytes, digests))
      return failed(
        'RESOURCE_MISMATCH',
        `The digest of the related resource ${url} is not that of its content`
      )
  }
  return fine
}

function resourcesOf(document: JsonObject): { url: string; digests: readonly Digest[] }[] {
  return listOf(document['relatedResource']).flatMap((resource) => {
    if (!isObject(resource) || typeof resource['id'] !== 'string') return []
    const digests = digestsOf(resource)
    return digests === undefined ? [] : [{ url: resource['id'], digests }]
  })
}
