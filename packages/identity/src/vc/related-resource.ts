import type { JsonObject } from '../json.ts'
import { failed, fine, unchecked, type Finding } from './checks.ts'
import { digestsOf, matches, matchesPublished, type Digest } from './digest.ts'
import { fetchWithin, type FetchWithinOptions } from './fetch-within.ts'
import { isObject, listOf } from './shape.ts'

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
  options: FetchWithinOptions,
  mayFetch: boolean
): Promise<Finding> {
  const known = publishedResourceFinding(document)
  if (!known.ok) return known
  const unknown = resourcesOf(document).filter(
    ({ url, digests }) => matchesPublished(url, digests) === undefined
  )
  if (unknown.length === 0) return fine
  if (!mayFetch) return unchecked('nothing is fetched for what does not hold')
  if (options.fetchDocument === undefined || unknown.length > maxFetched)
    return failed('RESOURCE_UNAVAILABLE', `The related resource ${unknown[0]?.url} was not fetched`)
  for (const { url, digests } of unknown) {
    const found = await fetchWithin(url, maxResourceBytes, options)
    if (found === undefined)
      return failed('RESOURCE_UNAVAILABLE', `The related resource ${url} could not be had`)
    if ('code' in found) return found
    if (!matches(found, digests))
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
