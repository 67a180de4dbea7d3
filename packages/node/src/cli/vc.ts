import { openCredentials } from '../credentials/credential-folder.ts'
import { nodeError } from '../errors.ts'
import { loadIdentity } from '../node-key.ts'
import type { Command } from './command.ts'
import { keyOptionsOf } from './identity-verb.ts'
import { dataDirOf, dataDirOptions } from './node-options.ts'
import { passphraseOptions } from './passphrase.ts'
import { printable } from './terminal.ts'
import { cosign, issue } from './vc-issue.ts'
import { importCredential, list, revoke, show, statusList } from './vc-keep.ts'
import { present } from './vc-present.ts'
import { request } from './vc-request.ts'
import type { VcVerb } from './vc-verb.ts'
import { verify } from './vc-verify.ts'

const verbs: Readonly<Record<string, VcVerb>> = {
  list,
  issue,
  cosign,
  verify,
  import: importCredential,
  request,
  show,
  present,
  revoke,
  'status-list': statusList
}

/** `kwaai vc` */
export const vc: Command = {
  name: 'vc',
  summary: 'Issue, verify, keep, present and revoke credentials',
  usage:
    '[list | issue [<file>] | verify <file> | import <file> | request <url> | show <id> | present <id>… | revoke <id> | cosign <file> | status-list <purpose>] [options]; - is standard input',
  options: {
    ...Object.assign({}, ...Object.values(verbs).map(({ options }) => options)),
    ...passphraseOptions,
    ...dataDirOptions,
    json: { type: 'boolean', describe: 'Print JSON on one line' }
  },
  maxPositionals: 33,
  async run(options, io) {
    const [name = 'list', ...args] = options.positionals
    const verb = Object.hasOwn(verbs, name) ? verbs[name] : undefined
    if (verb === undefined || args.length < verb.minArgs || args.length > verb.maxArgs) {
      throw nodeError(
        'ERR_NODE_INVALID_OPTION',
        `Cannot understand "vc ${printable(options.positionals.join(' '))}". "kwaai vc --help" shows the usage`
      )
    }
    const dataDir = dataDirOf(options, io)
    const folder = openCredentials(dataDir)
    try {
      return await verb.run({
        options,
        args,
        io,
        folder,
        identity: async () => loadIdentity(dataDir, await keyOptionsOf(options, io))
      })
    } finally {
      await folder.close()
    }
  }
}
