import type { Clock, Did, Signer } from '@kwaai/interface'
import { systemClock } from '@kwaai/interface/memory'
import { createIdentity } from '../identity.ts'
import type { VerifyOptions } from '../vc/types.ts'
import { createPresentation, issueCredential, verifyCredential, verifyPresentationRoute } from './handlers.ts'
import { malformed, problemOfError, problemResponse, RequestProblem } from './problem.ts'
import { createSuites, type Suites } from './suites.ts'

/** What the handler is made of. */
export interface VcApiInit extends Pick<
  VerifyOptions,
  'resolver' | 'status' | 'issuerPolicy' | 'fetchDocument' | 'contexts' | 'maxClockSkewMs' | 'limits'
> {
  /** Who issues and presents: a did:key. Default a new one. */
  identity?: Signer
  /** Largest body, in bytes. Default 1 MiB. */
  maxBodyBytes?: number
  clock?: Pick<Clock, 'now'>
}

/** An HTTP handler, and the DID under which it signs. */
export interface VcApi {
  fetch(request: Request): Promise<Response>
  readonly issuer: Did
}

/** What every route has. */
export interface VcApiContext {
  init: VcApiInit
  identity: Signer
  suites: Suites
  now(): number
  maxBodyBytes: number
}

type Route = (request: Request, context: VcApiContext) => Promise<Response>

const routes: Readonly<Record<string, Route>> = {
  '/credentials/issue': issueCredential,
  '/credentials/verify': verifyCredential,
  '/presentations': createPresentation,
  '/presentations/verify': verifyPresentationRoute
}

/**
 * Makes a handler with the routes of the W3C VC-API 1.0: `POST /credentials/issue`, `/credentials/verify`,
 * `/presentations` and `/presentations/verify`. Whoever reaches it gets whatever is asked for signed: put it behind an
 * authorization of your own.
 */
export function createVcApi(init: VcApiInit = {}): VcApi {
  const identity = init.identity ?? createIdentity()
  const { clock = systemClock } = init
  const context: VcApiContext = {
    init,
    identity,
    suites: createSuites(init.contexts),
    now: () => clock.now(),
    maxBodyBytes: init.maxBodyBytes ?? 2 ** 20
  }
  return {
    issuer: identity.did,
    fetch: async (request) => {
      try {
        const { pathname } = new URL(request.url)
        const route = Object.hasOwn(routes, pathname) ? routes[pathname] : undefined
        if (route === undefined) {
          throw malformed(`There is no such route; there are POST ${Object.keys(routes).join(', ')}`, 404)
        }
        if (request.method !== 'POST') throw malformed('The route takes POST alone', 405, { allow: 'POST' })
        return await route(request, context)
      } catch (error) {
        return problemResponse(problemOfError(error) ?? unexpected)
      }
    }
  }
}

const unexpected = new RequestProblem({
  type: 'about:blank',
  title: 'Something went wrong here',
  status: 500,
  detail: 'The request could not be handled, and it was not its fault'
})
