import { parseJson, peerIdFromDid } from '@kwaai/identity'
import type { StatusRegistry } from '@kwaai/identity/status'
import { createReplayGuard, verifyPresentation, type Credential, type Presentation } from '@kwaai/identity/vc'
import type { Clock, Did, Logger, Random } from '@kwaai/interface'
import { statusPurposes } from '../credentials/credential-folder.ts'
import { readAtMost } from '../credentials/fetch-document.ts'
import { createChallenges } from './challenges.ts'
import { observedTypes, type Issuing, type ObservedType } from './issuing.ts'

/** Who an issuer's server is, and for whom. */
export interface IssuerHandlerInit {
  issuer: Did
  /** Where it is found: presentations are made for this URL. */
  url: string
  /** Host names, without port, that it answers to besides the loopback names and that of `url`. */
  allowedHosts?: readonly string[]
}

/** What the server of an issuer works with. */
export interface IssuerHandlerComponents {
  issuing: Issuing
  registry: () => Promise<StatusRegistry | undefined>
  clock: Clock
  random: Random
  logger?: Logger
}

/** A server as one function, which never rejects. */
export interface IssuerHandler {
  fetch(request: Request): Promise<Response>
}

const maxBodyBytes = 65_536

class Refused extends Error {
  readonly status: number
  readonly code: string
  constructor(status: number, code: string, message: string) {
    super(message)
    this.status = status
    this.code = code
  }
}

/**
 * The HTTP side of an issuer: `GET /` says who it is, `GET /status/<purpose>` gives the signed status list,
 * `POST /challenge` a challenge, and `POST /credentials` credentials to whoever signs it.
 */
export function createIssuerHandler(
  init: IssuerHandlerInit,
  components: IssuerHandlerComponents
): IssuerHandler {
  const { issuer, url } = init
  const { issuing, registry, clock, random, logger } = components
  const hosts = new Set(
    [...(init.allowedHosts ?? []), new URL(url).hostname].map((host) => host.toLowerCase())
  )
  const challenges = createChallenges({ clock, random })
  const replayGuard = createReplayGuard({}, { clock })

  const checkCaller = (request: Request): void => {
    const host = request.headers.get('host') ?? new URL(request.url).host
    const parsed = URL.canParse(`http://${host}`) ? new URL(`http://${host}`) : undefined
    // A page of a name that was pointed at this machine shows in Host, one of another site in Origin.
    if (parsed === undefined || !(hosts.has(parsed.hostname.toLowerCase()) || isLoopback(parsed.hostname))) {
      throw new Refused(403, 'host_not_allowed', 'This server does not answer to the name in the Host header')
    }
    const origin = request.headers.get('origin')
    if (
      request.method === 'POST' &&
      origin !== null &&
      (!URL.canParse(origin) || new URL(origin).host !== parsed.host)
    ) {
      throw new Refused(403, 'origin_not_allowed', 'This server does not answer to pages of other sites')
    }
  }

  const statusList = async (purpose: string): Promise<Response> => {
    const lists = (statusPurposes as readonly string[]).includes(purpose) ? await registry() : undefined
    if (lists === undefined) throw new Refused(404, 'not_found', 'There is no such status list')
    const credential = await lists.credential(purpose)
    const { ttl } = credential.credentialSubject as { ttl?: number }
    return answer(200, credential, {
      'content-type': 'application/vc',
      'cache-control': `max-age=${Math.floor((ttl ?? 0) / 1000)}`
    })
  }

  const credentials = async (request: Request): Promise<Response> => {
    const { presentation, types = observedTypes } = await readBody(request)
    if (!Array.isArray(types) || types.length === 0 || !types.every((type) => observedTypes.includes(type))) {
      throw new Refused(400, 'invalid_types', `"types" has to list some of ${observedTypes.join(', ')}`)
    }
    const challenge = challengeOf(presentation)
    if (!challenges.holds(challenge)) {
      throw new Refused(
        403,
        'invalid_challenge',
        'The presentation is not for a challenge from here, or too late'
      )
    }
    const result = await verifyPresentation(presentation as Presentation, {
      challenge,
      domain: url,
      replayGuard,
      now: clock.now(),
      signal: request.signal
    })
    const failed = result.checks.find((check) => check.required && !check.ok)
    const { holder } = result
    if (!result.ok || failed !== undefined || holder === undefined) {
      throw new Refused(
        403,
        failed?.code?.toLowerCase() ?? 'invalid_presentation',
        failed?.message ?? 'The presentation does not hold'
      )
    }
    peerOf(holder)
    const given: Credential[] = []
    const refused: { type: ObservedType; code: string; message: string }[] = []
    for (const type of new Set(types as ObservedType[])) {
      const issued = await issuing.issue(holder, type, { signal: request.signal })
      if ('credential' in issued) given.push(issued.credential)
      else refused.push({ type, code: issued.refused, message: issued.message })
    }
    logger?.log('info', 'issuer.asked', { holder, issued: given.length, refused: refused.length })
    return answer(given.length > 0 ? 200 : 404, { credentials: given, refused })
  }

  const route = async (request: Request): Promise<Response> => {
    checkCaller(request)
    const { pathname } = new URL(request.url)
    const get = request.method === 'GET' || request.method === 'HEAD'
    if (get && pathname === '/') {
      const lists = statusPurposes.map((purpose) => `${url}/status/${purpose}`)
      return answer(200, { issuer, url, types: observedTypes, statusLists: lists })
    }
    const [, purpose] = /^\/status\/([a-z]{1,32})$/.exec(pathname) ?? []
    if (get && purpose !== undefined) return statusList(purpose)
    if (request.method === 'POST' && pathname === '/challenge') {
      const { challenge, expires } = challenges.next()
      return answer(200, { challenge, domain: url, expires: new Date(expires).toISOString() })
    }
    if (request.method === 'POST' && pathname === '/credentials') return credentials(request)
    throw new Refused(404, 'not_found', 'There is nothing here')
  }

  return {
    fetch: (request) =>
      route(request).catch((error: unknown) => {
        if (error instanceof Refused) return problem(error.status, error.code, error.message)
        logger?.log('error', 'issuer.failed', {
          message: error instanceof Error ? error.message : String(error)
        })
        return problem(500, 'internal', 'The issuer failed')
      })
  }
}

async function readBody(request: Request): Promise<{ presentation?: unknown; types?: unknown }> {
  try {
    if (request.body === null) throw new Error('empty')
    const bytes = await readAtMost(request.body, maxBodyBytes)
    const value = parseJson(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
    if (typeof value === 'object' && value !== null && !Array.isArray(value))
      return value as { presentation?: unknown }
  } catch {
    // Told below.
  }
  throw new Refused(
    400,
    'invalid_body',
    `The body has to be one JSON object of at most ${maxBodyBytes} bytes`
  )
}

function challengeOf(presentation: unknown): string {
  const proof = (presentation as { proof?: unknown } | undefined)?.proof
  const challenge = (proof as { challenge?: unknown } | undefined)?.challenge
  return typeof challenge === 'string' ? challenge : ''
}

/** Only keys that are peers can have been watched. */
function peerOf(holder: Did): void {
  try {
    peerIdFromDid(holder)
  } catch {
    throw new Refused(403, 'no_peer', 'The holder is no peer: its DID is not the did:key of an Ed25519 key')
  }
}

function isLoopback(hostname: string): boolean {
  return hostname === 'localhost' || hostname === '[::1]' || /^127(\.\d{1,3}){3}$/.test(hostname)
}

function answer(status: number, body: object, headers: Record<string, string> = {}): Response {
  return new Response(JSON.stringify(body), {
    status,
    headers: { 'content-type': 'application/json', 'x-content-type-options': 'nosniff', ...headers }
  })
}

function problem(status: number, code: string, message: string): Response {
  return answer(status, { error: { code, message } })
}
