import { loopbackHost } from '../constants.ts'
import { nodeError } from '../errors.ts'
import type { Command } from './command.ts'
import { nodeOptions } from './node-options.ts'
import type { OptionSpec } from './options.ts'
import { passphraseOptions } from './passphrase.ts'

/** Port of an issuer's server. */
export const defaultIssuerPort = 11_436

const issuerOptions: Record<string, OptionSpec> = {
  port: {
    type: 'string',
    value: '<port>',
    describe: `Port to issue at, default ${defaultIssuerPort}, 0 for any free one`
  },
  host: { type: 'string', value: '<address>', describe: `Address to listen on, default ${loopbackHost}` },
  url: {
    type: 'string',
    value: '<url>',
    describe:
      'Where others reach it, as every credential says for its status; needed for other hosts than this one'
  },
  'probe-interval': {
    type: 'string',
    value: '<s>',
    describe: 'Seconds between two probes of a peer, default 60'
  },
  'throughput-interval': {
    type: 'string',
    value: '<s>',
    describe: 'Seconds between two measured answers, default 3600, 0 for none'
  },
  'min-probes': {
    type: 'string',
    value: '<n>',
    describe: 'Probes before it says anything of a peer, default 10'
  },
  'valid-days': { type: 'string', value: '<n>', describe: 'Days a credential is valid, default 30' }
}

/** `kwaai issuer` */
export const issuer: Command = {
  name: 'issuer',
  summary: 'Run a node that watches its peers and issues credentials of their uptime and throughput',
  usage: 'serve [options]',
  options: {
    ...issuerOptions,
    ...nodeOptions,
    ...passphraseOptions,
    json: { type: 'boolean', describe: 'Print one JSON object a line for each event' }
  },
  maxPositionals: 1,
  events: true,
  async run(options, io) {
    if (options.positionals[0] !== 'serve') {
      throw nodeError('ERR_NODE_INVALID_OPTION', 'Cannot understand it: "kwaai issuer serve" is all there is')
    }
    // Who does not issue need not load the API's server.
    const { serveIssuer } = await import('./issuer-serve.ts')
    return serveIssuer(options, io)
  }
}
