import { erase } from './audit-erase.ts'
import { exportAudit, prove } from './audit-export.ts'
import { misuse, type AuditVerb } from './audit-verb.ts'
import { verifyAudit } from './audit-verify.ts'
import type { Command } from './command.ts'
import { dataDirOf, dataDirOptions } from './node-options.ts'
import { passphraseOptions } from './passphrase.ts'
import { printable } from './terminal.ts'

const verbs: Readonly<Record<string, AuditVerb>> = { verify: verifyAudit, prove, export: exportAudit, erase }

/** `kwaai audit` */
export const audit: Command = {
  name: 'audit',
  summary: "Verify the node's log, prove an entry, export or erase what is kept about a person",
  usage: '[verify [<file>] | prove <entry> | export <did or account> | erase <did or account>…] [options]',
  options: {
    ...Object.assign({}, ...Object.values(verbs).map(({ options }) => options)),
    tiles: {
      type: 'string',
      value: '<folder>',
      describe: 'export: write the log as files that any web host can serve; verify: verify those'
    },
    ...passphraseOptions,
    ...dataDirOptions,
    json: { type: 'boolean', describe: 'Print JSON' }
  },
  maxPositionals: 17,
  async run(options, io) {
    const [name = 'verify', ...args] = options.positionals
    const verb = Object.hasOwn(verbs, name) ? verbs[name] : undefined
    if (verb === undefined || args.length > verb.maxArgs)
      throw misuse(`Cannot understand "audit ${printable(options.positionals.join(' '))}"`)
    return verb.run({ dataDir: dataDirOf(options, io), options, args, io })
  }
}
