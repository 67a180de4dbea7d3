import { resolve } from 'node:path'
import { appendAudit } from '../audit.ts'
import { nodeError } from '../errors.ts'
import { writeSecretFile } from '../key-files.ts'
import { keyBytes, openKey, readKey, type KeyName, type StoredKey } from '../node-key.ts'
import { writeKey, type KeyFormat } from './identity-formats.ts'
import { noKey } from './identity-show.ts'
import { keyOptionsOf, refuseToShow, tell, type IdentityVerb } from './identity-verb.ts'
import type { ParsedOptions } from './options.ts'
import { newPassphrase } from './passphrase.ts'
import { printable, type Io } from './terminal.ts'

const plainFormats = ['libp2p', 'multikey', 'jwk'] as const

function formatOf(options: ParsedOptions, name: KeyName): KeyFormat | 'encrypted' {
  const text = options.text('format') ?? (name === 'controller' ? 'encrypted' : 'libp2p')
  if (text === 'encrypted') return text
  const format = plainFormats.find((one) => one === text)
  if (format === undefined) {
    throw nodeError(
      'ERR_NODE_INVALID_OPTION',
      `Cannot use --format ${printable(text)}: expected libp2p, multikey, jwk or encrypted`
    )
  }
  if (name === 'controller' && !options.flag('yes')) {
    refuseToShow("the controller's key", 'Export it encrypted, or add --yes')
  }
  return format
}

/** The key in a format, and who it is. */
async function exported(
  dataDir: string,
  name: KeyName,
  stored: StoredKey,
  format: KeyFormat | 'encrypted',
  options: ParsedOptions,
  io: Io
): Promise<{ did: string; bytes: Uint8Array }> {
  const keyOptions = await keyOptionsOf(options, io)
  if (format === 'encrypted' && stored.encrypted && stored.did !== undefined) {
    return { did: stored.did, bytes: stored.bytes }
  }
  const { identity } = await openKey(dataDir, name, stored, keyOptions)
  if (format !== 'encrypted') return { did: identity.did, bytes: writeKey(identity, format) }
  const passphrase = await newPassphrase(options, io, 'the copy of the key')
  return { did: identity.did, bytes: await keyBytes(name, identity, passphrase, { signal: io.signal }) }
}

/** `kwaai identity export` */
export const exportKey: IdentityVerb = {
  options: {
    format: {
      type: 'string',
      value: '<format>',
      describe: 'export: libp2p (default; also what KwaaiNet reads), multikey, jwk or encrypted'
    },
    out: {
      type: 'string',
      value: '<file>',
      describe: 'export: file to write, mode 0600; none is overwritten'
    },
    controller: {
      type: 'boolean',
      describe: "export, import, passphrase: the controller's key instead of the node's"
    },
    yes: {
      type: 'boolean',
      describe: "export: let a secret be seen on the terminal, or a controller's in the clear"
    }
  },
  async run(dataDir, options, io) {
    const name = options.flag('controller') ? 'controller' : 'identity'
    const out = options.text('out')
    const format = formatOf(options, name)
    if (out === undefined && format !== 'encrypted' && io.stdout.isTTY === true && !options.flag('yes')) {
      refuseToShow('the private key', 'Name a file with --out, or add --yes')
    }
    const stored = await readKey(dataDir, name, { signal: io.signal })
    if (stored === undefined) throw noKey(dataDir, name, 'export the key', io.env)
    const { did, bytes } = await exported(dataDir, name, stored, format, options, io)
    const data = { name, did, format }
    // Somebody stands behind the controller's key; the node's is about nobody.
    const about = name === 'controller' ? { subject: did } : {}
    const recordExport = (): Promise<void> =>
      appendAudit(dataDir, { kind: 'identity/exported', data, ...about }, { signal: io.signal })
    if (out !== undefined) {
      const path = resolve(out)
      await writeSecretFile(path, bytes, recordExport)
      const secret = format === 'encrypted' ? 'Its passphrase opens it' : 'Whoever has it is this identity'
      tell(options, io, { did, format, path }, [`${did} is in ${path}. ${secret}.`])
      return 0
    }
    await recordExport()
    // What is no text travels as base64, which import reads too.
    const text =
      format === 'libp2p' ? Buffer.from(bytes).toString('base64') : new TextDecoder().decode(bytes).trim()
    tell(options, io, { did, format, key: text }, [text])
    return 0
  }
}
