import { createRevocation, grantToText } from '@kwaai/identity/grant'
import { nodeError } from '../errors.ts'
import { grantOf, looksLikeRevocation, textOf, type GrantContext, type GrantVerb } from './grant-verb.ts'

async function take(text: string, { folder, io }: GrantContext): Promise<string> {
  const outcome = await folder.revocations.add(text, { signal: io.signal })
  if (outcome.ok) return outcome.revoked.id
  throw nodeError('ERR_NODE_GRANT_INVALID', outcome.message)
}

/** `kwaai grant revoke` */
export const revoke: GrantVerb = {
  options: {},
  argument: 'required',
  async run(context) {
    const { options, argument, io, folder, signer } = context
    const named = argument === '-' ? await textOf('-', io) : (argument as string)
    const json = options.flag('json')
    if (looksLikeRevocation(named)) {
      const id = await take(named, context)
      await folder.record({ kind: 'grant/revoked', data: { id, here: true } }, { signal: io.signal })
      io.stdout.write(
        json ? `${JSON.stringify({ id, revoked: true })}\n` : `${id} opens nothing here any more\n`
      )
      return 0
    }
    const grant = await grantOf(named, context)
    const identity = await signer(options.flag('controller') ? 'controller' : 'identity')
    const statement = grantToText(await createRevocation(identity, grant))
    // Where others own what it opens, they have to know.
    const here = folder.subjects.includes(grant.claims.sub)
    if (here) await take(statement, context)
    const { id, claims } = grant
    const entry = { kind: 'grant/revoked', subject: claims.aud, data: { id, here } }
    await folder.record(entry, { signal: io.signal })
    if (json) {
      io.stdout.write(`${JSON.stringify({ id: grant.id, revoked: here, revocation: statement })}\n`)
      return 0
    }
    io.stderr.write(
      here
        ? `${grant.id} opens nothing here any more. For other nodes that honour it, with kwaai grant revoke <text>:\n`
        : `${grant.id} is about what ${grant.claims.sub} owns. Give them this text, for kwaai grant revoke <text>:\n`
    )
    io.stdout.write(`${statement}\n`)
    return 0
  }
}
