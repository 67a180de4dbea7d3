import { eddsaJcs2022 } from '../data-integrity/eddsa-jcs.ts'
import type { Cryptosuite } from '../data-integrity/types.ts'
import type { ExtraContexts } from '../vc/terms.ts'
import { malformed } from './problem.ts'

/** The cryptosuites of the handler. The second one is loaded with the first request that needs it. */
export interface Suites {
  /** @throws A RequestProblem for a name that is not known. */
  named(name: string | undefined): Promise<Cryptosuite>
  /** Those that a document needs: it is looked at as it comes, so nothing in it is believed. */
  of(document: unknown): Promise<readonly Cryptosuite[]>
}

const rdfc = 'eddsa-rdfc-2022'

/** Makes the suites for contexts known besides the bundled ones. */
export function createSuites(contexts: ExtraContexts | undefined): Suites {
  let loading: Promise<Cryptosuite> | undefined
  const linkedData = (): Promise<Cryptosuite> =>
    (loading ??= import('../vc-ld/eddsa-rdfc.ts').then(({ createEddsaRdfc2022 }) =>
      createEddsaRdfc2022(contexts === undefined ? {} : { contexts })
    ))
  return {
    async named(name = eddsaJcs2022.name) {
      if (name === eddsaJcs2022.name) return eddsaJcs2022
      if (name === rdfc) return linkedData()
      throw malformed(
        `The cryptosuite ${JSON.stringify(name.slice(0, 80))} is not known: there are eddsa-jcs-2022 and ${rdfc}`
      )
    },
    async of(document) {
      return mentions(document, 0) ? [eddsaJcs2022, await linkedData()] : [eddsaJcs2022]
    }
  }
}

function mentions(value: unknown, depth: number): boolean {
  if (value === rdfc) return true
  return (
    typeof value === 'object' &&
    value !== null &&
    depth < 64 &&
    Object.values(value).some((member) => mentions(member, depth + 1))
  )
}
