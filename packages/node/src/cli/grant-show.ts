import { grantToText, type Grant } from '@kwaai/identity/grant'
import { didOfText } from './grant-create.ts'
import { grantOf, stateOf, type GrantContext, type GrantState, type GrantVerb } from './grant-verb.ts'
import { jsonText, printable } from './terminal.ts'

function linesOf(grant: Grant, { id, state, origin }: GrantState): string[] {
  const { claims, chain } = grant
  return [
    `Grant    ${id}`,
    `State    ${state}`,
    `Origin   ${origin}`,
    `Owner    ${claims.sub}`,
    ...chain.flatMap(({ claims: { iss, aud, cmd, policy, exp } }, index) => [
      `${index === 0 ? 'Chain   ' : '        '} ${iss}`,
      `           lets ${aud}`,
      `           do ${cmd} until ${new Date(exp * 1000).toISOString()}`,
      ...(policy.length === 0 ? [] : [`           where ${jsonText(policy)}`])
    ])
  ]
}

/** `kwaai grant show` */
export const show: GrantVerb = {
  options: {
    keep: { type: 'boolean', describe: 'show: keep a grant that was received, for this node to use' },
    for: {
      type: 'string',
      value: '<peer>',
      multiple: true,
      describe: 'show --keep: a node that honours it besides its owner, for grants of a controller'
    }
  },
  argument: 'required',
  async run(context) {
    const { options, argument, io, folder } = context
    const grant = await grantOf(argument as string, context)
    if (options.flag('keep')) {
      await folder.keep(grant, options.list('for').map(didOfText), { signal: io.signal })
      const { id, claims } = grant
      const entry = { kind: 'grant/received', subject: claims.iss, data: { id, claims } }
      await folder.record(entry, { signal: io.signal })
    }
    const state = await stateOf(grant, context)
    const facts = { ...state, chain: grant.chain, grant: grantToText(grant) }
    io.stdout.write(
      options.flag('json') ? `${jsonText(facts)}\n` : `${linesOf(grant, state).map(printable).join('\n')}\n`
    )
    return 0
  }
}

async function row(grant: Grant, context: GrantContext): Promise<GrantState & { claims: Grant['claims'] }> {
  return { ...(await stateOf(grant, context)), claims: grant.claims }
}

/** `kwaai grant list` */
export const list: GrantVerb = {
  options: {},
  argument: 'none',
  async run(context) {
    const { options, io, folder } = context
    const grants = await folder.list({ signal: io.signal })
    const rows = await Promise.all(grants.map((grant) => row(grant, context)))
    if (options.flag('json')) {
      io.stdout.write(`${jsonText(rows)}\n`)
      return 0
    }
    if (rows.length === 0) io.stdout.write('No grants are kept. Give one: kwaai grant create <peer>\n')
    for (const { id, state, origin, claims } of rows) {
      const other = origin === 'given' ? `to ${claims.aud}` : `from ${claims.iss}`
      const until = new Date(claims.exp * 1000).toISOString().slice(0, 16)
      io.stdout.write(`${printable(`${id}  ${state}  ${origin} ${other}  ${claims.cmd}  until ${until}Z`)}\n`)
    }
    return 0
  }
}
