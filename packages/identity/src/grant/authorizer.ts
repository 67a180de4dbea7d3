import type {
  Authorizer,
  CallOptions,
  CapabilitySource,
  Clock,
  Did,
  PeerId,
  Random,
  Signer
} from '@kwaai/interface'
import { didFromPeerId } from '../did.ts'
import { ERR_UNAUTHORIZED, identityError } from '../errors.ts'
import { checkJson, type JsonObject, type JsonValue } from '../json.ts'
import { coversCommand, isCommand } from './command.ts'
import type { Grant } from './grant.ts'
import { createInvocation } from './invocation.ts'
import { MAX_JSON_DEPTH } from './limits.ts'
import { satisfiesPolicy } from './policy.ts'
import type { ReplayGuard } from './replay-guard.ts'
import type { Revocations } from './revocation.ts'
import { verifyInvocation } from './verify-invocation.ts'

/** Whose grants open the door. */
export interface GrantAuthorizerInit {
  /** Who does what is asked for: the audience of every invocation. */
  executor: Did
  /** Whose grants are honoured. Default: the executor's own alone; its controller's may be added. */
  subjects?: readonly Did[]
  /** Longest life of an invocation in seconds. Default 300. */
  maxLifeS?: number
}

/** What a {@link createGrantAuthorizer} works with. */
export interface GrantAuthorizerComponents {
  clock: Clock
  revocations: Pick<Revocations, 'find'>
  replays: ReplayGuard
}

/**
 * Makes an authorizer that lets in whoever shows an invocation of a grant: signed by the very peer that asks, for us,
 * covering the command and its arguments, in time, not revoked, and not used before.
 */
export function createGrantAuthorizer(
  init: GrantAuthorizerInit,
  components: GrantAuthorizerComponents
): Authorizer {
  const { executor, subjects, maxLifeS } = init
  const { clock, revocations, replays } = components
  return {
    specification: 'kwaai.authorizer/1',
    async authorize({ peer, command, capability, arguments: args = {} }, { signal } = {}) {
      signal?.throwIfAborted()
      const path = commandPath(command)
      // A program without types hands over what a header or a body had, which may be nothing.
      if (((capability as Uint8Array | undefined) ?? []).length === 0)
        refuse(`no grant was shown; ${path} asks for one`)
      const result = await verifyInvocation(capability, {
        executor,
        invoker: didOf(peer),
        command: path,
        args: factsOf(args),
        now: clock.now(),
        revocations,
        replays,
        ...(subjects === undefined ? {} : { subjects }),
        ...(maxLifeS === undefined ? {} : { maxLifeS }),
        ...(signal === undefined ? {} : { signal })
      })
      const missing = result.checks.find(({ ok, code }) => !ok && code !== 'NOT_CHECKED')
      if (!result.ok) {
        refuse(
          `the grant is not accepted, because ${missing?.message ?? 'it was not checked'}`,
          missing?.code
        )
      }
    }
  }
}

function refuse(why: string, check?: string): never {
  throw identityError(ERR_UNAUTHORIZED, why, check === undefined ? {} : { check })
}

function didOf(peer: PeerId): Did {
  return (
    didOrNone(peer) ??
    refuse('the peer is not named by the peer id of an Ed25519 key, so nobody could have given it a grant')
  )
}

function didOrNone(peer: PeerId): Did | undefined {
  try {
    return didFromPeerId(peer)
  } catch {
    return undefined
  }
}

/** `shard/open` is the command `/shard/open`. */
function commandPath(command: string): string {
  const path = command.startsWith('/') ? command : `/${command}`
  if (!isCommand(path)) refuse('what is asked for is no command')
  return path
}

function factsOf(args: Readonly<Record<string, unknown>>): JsonObject {
  try {
    checkJson(args, MAX_JSON_DEPTH)
    return args as Readonly<Record<string, JsonValue>>
  } catch {
    return refuse('the arguments of what is asked for are no JSON')
  }
}

/** What {@link createGrantCapabilities} shows. */
export interface GrantCapabilitiesInit {
  /** The grants at hand; those of others than the signer are passed over. */
  grants: () => readonly Grant[] | Promise<readonly Grant[]>
  /** Whose grants a peer honours. Default: its own alone. A peer sees the grants it is shown. */
  subjectsOf?: (peer: Did) => readonly Did[] | Promise<readonly Did[]>
  /** Seconds an invocation may wait. Default 60. */
  lifeS?: number
}

/**
 * Makes what is shown to an authorizer of {@link createGrantAuthorizer}: for each request an invocation of its own,
 * resting on the first grant that covers it; nothing where there is none.
 */
export function createGrantCapabilities(
  init: GrantCapabilitiesInit,
  components: { signer: Signer; clock: Clock; random?: Random }
): CapabilitySource {
  const { grants, subjectsOf = (peer) => [peer], lifeS } = init
  const { signer, clock } = components
  return {
    specification: 'kwaai.capability-source/1',
    async capability({ peer, command, arguments: args = {} }, options: CallOptions = {}) {
      options.signal?.throwIfAborted()
      const path = commandPath(command)
      const facts = factsOf(args)
      const aud = didOrNone(peer)
      // Nobody gives grants for a peer whose name is no key.
      if (aud === undefined) return new Uint8Array(0)
      const subjects = await subjectsOf(aud)
      const now = clock.now() / 1000
      const fits = ({ claims, chain }: Grant): boolean =>
        claims.aud === signer.did &&
        subjects.includes(claims.sub) &&
        coversCommand(claims.cmd, path) &&
        chain.every(({ claims: { exp, nbf = 0, policy } }) => {
          return now <= exp && now >= nbf && satisfiesPolicy(policy, facts)
        })
      const grant = (await grants()).find(fits)
      const owner = subjects.includes(signer.did)
      if (grant === undefined && !owner) return new Uint8Array(0)
      const asked = { aud, cmd: path, args: facts, ...(lifeS === undefined ? {} : { lifeS }) }
      return createInvocation(signer, owner || grant === undefined ? asked : { ...asked, grant }, components)
    }
  }
}
