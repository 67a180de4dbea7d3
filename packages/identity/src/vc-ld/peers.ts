import { KwaaiError } from '@kwaai/interface'
import { ERR_IDENTITY_MISSING_PEER } from '../errors.ts'

/**
 * What becomes of an optional peer dependency that is not there: `import('…').catch(missingPeer('…'))`. Bundlers let
 * an import pass that they cannot resolve only where it is caught on the spot.
 *
 * @throws (when called) A KwaaiError `ERR_IDENTITY_MISSING_PEER` that names it.
 */
export function missingPeer(name: string): (cause: unknown) => never {
  return (cause) => {
    throw new KwaaiError(
      ERR_IDENTITY_MISSING_PEER,
      `Cannot canonicalise linked data: the package ${name} is not installed. Install it beside @kwaai/identity`,
      { cause, details: { package: name } }
    )
  }
}
