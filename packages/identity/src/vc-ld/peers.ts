import { KwaaiError } from '@kwaai/interface'
import { ERR_IDENTITY_MISSING_PEER } from '../errors.ts'

/**
 * Waits for an optional peer dependency.
 *
 * @throws A KwaaiError `ERR_IDENTITY_MISSING_PEER` that names it.
 */
export async function loadPeer<T>(name: string, loading: Promise<T>): Promise<T> {
  return loading.catch((cause: unknown) => {
    throw new KwaaiError(
      ERR_IDENTITY_MISSING_PEER,
      `Cannot canonicalise linked data: the package ${name} is not installed. Install it beside @kwaai/identity`,
      { cause, details: { package: name } }
    )
  })
}
