import { systemClock } from '@kwaai/interface/memory'
import { nodeError } from '../errors.ts'
import { openGrants } from '../grants/grant-folder.ts'
import { loadIdentity, openKey, readKey } from '../node-key.ts'
import type { Command } from './command.ts'
import { create } from './grant-create.ts'
import { revoke } from './grant-revoke.ts'
import { list, show } from './grant-show.ts'
import type { GrantVerb } from './grant-verb.ts'
import { keyOptionsOf } from './identity-verb.ts'
import { dataDirOf, dataDirOptions } from './node-options.ts'
import { passphraseOptions } from './passphrase.ts'
import { printable } from './terminal.ts'

const verbs: Readonly<Record<string, GrantVerb>> = { list, create, show, revoke }

/** `kwaai grant` */
export const grant: Command = {
  name: 'grant',
  summary: 'Let others use what this node owns: give, show and take back grants',
  usage:
    '[list | create <did or peer id> | show <id or text> | revoke <id or text>] [options]; - is standard input',
  options: {
    ...Object.assign({}, ...Object.values(verbs).map(({ options }) => options)),
    ...passphraseOptions,
    ...dataDirOptions,
    json: { type: 'boolean', describe: 'Print JSON on one line' }
  },
  maxPositionals: 2,
  async run(options, io) {
    const [name = 'list', argument] = options.positionals
    const verb = Object.hasOwn(verbs, name) ? verbs[name] : undefined
    if (verb === undefined || (argument === undefined) !== (verb.argument === 'none')) {
      throw nodeError(
        'ERR_NODE_INVALID_OPTION',
        `Cannot understand "grant ${printable(options.positionals.join(' '))}". "kwaai grant --help" shows the usage`
      )
    }
    const dataDir = dataDirOf(options, io)
    const keyOptions = await keyOptionsOf(options, io)
    // The first grant may be the first thing a folder is used for: then its key is made.
    if (name === 'create' && !options.flag('controller')) await loadIdentity(dataDir, keyOptions)
    const folder = await openGrants(dataDir, { clock: systemClock }, { signal: io.signal })
    try {
      return await verb.run({
        options,
        argument,
        io,
        folder,
        async signer(which) {
          if (which === 'identity') return loadIdentity(dataDir, keyOptions)
          const stored = await readKey(dataDir, which, keyOptions)
          if (stored !== undefined) return (await openKey(dataDir, which, stored, keyOptions)).identity
          throw nodeError(
            'ERR_NODE_KEY_UNREADABLE',
            `Cannot sign for the controller: its key is not in ${dataDir}. "kwaai identity phrase" makes one`
          )
        }
      })
    } finally {
      await folder.close()
    }
  }
}
