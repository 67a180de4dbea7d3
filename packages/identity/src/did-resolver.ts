import type { Clock } from '@kwaai/interface'
import type { DidMethods, DidResolver } from './did-document.ts'
import { didKeyMethods } from './did-key.ts'
import { failedResolution, parseDidUrl } from './did-url.ts'
import { createDidWebMethods, type DidWebInit } from './did-web.ts'
import { shown } from './shown.ts'

/** Which DIDs are resolved besides did:key. */
export interface DidResolverInit {
  /** Further methods by their names; those of packages made for `did-resolver` fit. */
  methods?: DidMethods
  /** Resolves did:web, with this fetch. Left out, did:web is an unknown method. */
  web?: DidWebInit
}

/** What a DID resolver needs. */
export interface DidResolverComponents {
  /** For the age of documents and the time a question may take. Default: the system's clock. */
  clock?: Clock
}

/**
 * Makes a resolver of DID documents: did:key always, did:web where a fetch is given, and further methods. Errors are
 * metadata (`invalidDid`, `unsupportedDidMethod`, `notFound`, …); its promise rejects only when the signal aborts.
 */
export function createDidResolver(
  init: DidResolverInit = {},
  components: DidResolverComponents = {}
): DidResolver {
  const methods = new Map(
    Object.entries({
      ...(init.web === undefined ? {} : createDidWebMethods(init.web, components)),
      ...init.methods,
      ...didKeyMethods
    })
  )
  const resolver: DidResolver = {
    resolve: async (did, options = {}) => {
      options.signal?.throwIfAborted()
      const parsed = parseDidUrl(did)
      if (parsed === undefined) return failedResolution('invalidDid', `"${shown(did)}" is not a DID`)
      const method = methods.get(parsed.method)
      if (method === undefined) {
        return failedResolution(
          'unsupportedDidMethod',
          `there is no resolver for did:${shown(parsed.method)}`
        )
      }
      try {
        return await method(parsed.did, parsed, resolver, options)
      } catch (error) {
        options.signal?.throwIfAborted()
        return failedResolution('internalError', error)
      }
    }
  }
  return resolver
}
