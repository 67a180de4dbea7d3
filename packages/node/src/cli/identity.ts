import { nodeError } from '../errors.ts'
import type { Command } from './command.ts'
import { exportKey } from './identity-export.ts'
import { importKey } from './identity-import.ts'
import { passphrase } from './identity-passphrase.ts'
import { phrase } from './identity-phrase.ts'
import { rotate } from './identity-rotate.ts'
import { show } from './identity-show.ts'
import type { IdentityVerb } from './identity-verb.ts'
import { dataDirOf, dataDirOptions } from './node-options.ts'
import { passphraseOptions } from './passphrase.ts'
import { printable } from './terminal.ts'

const verbs: Readonly<Record<string, IdentityVerb>> = {
  show,
  phrase,
  export: exportKey,
  import: importKey,
  rotate,
  passphrase
}

/** Options of all verbs. */
const common: readonly string[] = [...Object.keys({ ...dataDirOptions, ...passphraseOptions }), 'json']

/** `kwaai identity` */
export const identity: Command = {
  name: 'identity',
  summary: 'Show, make, move and change the keys of a node and of who stands behind it',
  usage: '[show | phrase | export | import | rotate | passphrase] [options]',
  options: {
    ...Object.assign({}, ...Object.values(verbs).map(({ options }) => options)),
    ...passphraseOptions,
    ...dataDirOptions,
    json: { type: 'boolean', describe: 'Print JSON' }
  },
  maxPositionals: 1,
  async run(options, io) {
    const [name = 'show'] = options.positionals
    const verb = Object.hasOwn(verbs, name) ? verbs[name] : undefined
    if (verb === undefined) {
      throw nodeError(
        'ERR_NODE_INVALID_OPTION',
        `Cannot understand "identity ${printable(name)}". "kwaai identity --help" shows the usage`
      )
    }
    const foreign = Object.keys(identity.options).find(
      (option) => options.given(option) && !common.includes(option) && !Object.hasOwn(verb.options, option)
    )
    if (foreign !== undefined) {
      throw nodeError('ERR_NODE_INVALID_OPTION', `Cannot use --${foreign} with "kwaai identity ${name}"`)
    }
    return verb.run(dataDirOf(options, io), options, io)
  }
}
