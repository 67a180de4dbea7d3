import { parseDid, parseJson } from '@kwaai/identity'
import {
  createGrant,
  delegateGrant,
  grantToText,
  isCommand,
  policyFault,
  type Policy
} from '@kwaai/identity/grant'
import type { Did } from '@kwaai/interface'
import { systemClock } from '@kwaai/interface/memory'
import { nodeError } from '../errors.ts'
import { grantOf, type GrantVerb } from './grant-verb.ts'
import { parseExpiry } from './keys.ts'
import { printable } from './terminal.ts'

function refuse(option: string, text: string, why: string): Error {
  return nodeError('ERR_NODE_INVALID_OPTION', `Cannot use ${option}${printable(text)}: ${why}`)
}

/** The did:key behind what a person types. */
export function didOfText(text: string): Did {
  try {
    return parseDid(text)
  } catch {
    throw refuse('', text, 'it is no peer id and no did:key of an Ed25519 key')
  }
}

function policyOf(text: string | undefined): Policy {
  if (text === undefined) return []
  let policy: unknown
  try {
    policy = parseJson(text)
  } catch {
    throw refuse('--policy ', text, 'it is no JSON')
  }
  const fault = policyFault(policy)
  if (fault !== undefined) throw refuse('--policy ', text, fault)
  return policy as Policy
}

/** `kwaai grant create` */
export const create: GrantVerb = {
  options: {
    cmd: {
      type: 'string',
      value: '<command>',
      describe: 'create: what may be done, such as /shard/open; /shard is all below it. Default: /shard/open'
    },
    policy: {
      type: 'string',
      value: '<json>',
      describe: `create: what the arguments have to satisfy, such as '[["<=",".maxTokens",4096]]'`
    },
    expires: {
      type: 'string',
      value: '<when>',
      describe: 'create: when it ends: 12h, 30d, 4w or a date. Default: 30d, or when the one above ends'
    },
    from: { type: 'string', value: '<id>', describe: 'create: hand on a part of a grant that was received' },
    controller: {
      type: 'boolean',
      describe: "create, revoke: sign with the controller's key instead of the node's"
    }
  },
  argument: 'required',
  async run(context) {
    const { options, argument, io, folder, signer } = context
    const aud = didOfText(argument as string)
    const cmd = options.text('cmd') ?? '/shard/open'
    if (!isCommand(cmd)) throw refuse('--cmd ', cmd, 'expected lower-case segments such as /shard/open')
    const policy = policyOf(options.text('policy'))
    const expires = options.text('expires')
    const until = (text: string): number => Math.floor(parseExpiry(text, systemClock.now()) / 1000)
    const from = options.text('from')
    const parent = from === undefined ? undefined : await grantOf(from, context)
    const identity = await signer(options.flag('controller') ? 'controller' : 'identity')
    const grant =
      parent === undefined
        ? await createGrant(identity, { aud, cmd, policy, exp: until(expires ?? '30d') })
        : await delegateGrant(identity, parent, {
            aud,
            cmd,
            policy,
            ...(expires === undefined ? {} : { exp: until(expires) })
          })
    await folder.keep(grant, [], { signal: io.signal })
    const made = { id: grant.id, claims: grant.claims }
    await folder.record({ kind: 'grant/made', subject: aud, data: made }, { signal: io.signal })
    const text = grantToText(grant)
    if (options.flag('json')) {
      io.stdout.write(`${JSON.stringify({ id: grant.id, claims: grant.claims, grant: text })}\n`)
      return 0
    }
    const { exp } = grant.claims
    io.stderr.write(
      `Grant ${grant.id}: ${aud} may ${cmd} until ${new Date(exp * 1000).toISOString()}. Give them this text:\n`
    )
    io.stdout.write(`${text}\n`)
    return 0
  }
}
