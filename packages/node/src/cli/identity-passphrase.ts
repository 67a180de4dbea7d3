import { appendAudit } from '../audit.ts'
import { nodeError } from '../errors.ts'
import {
  keyPath,
  openKey,
  readKey,
  resealKey,
  standingKey,
  withKeyLock,
  type KeyName,
  type KeyOptions
} from '../node-key.ts'
import { noKey } from './identity-show.ts'
import { keyOptionsOf, tell, type IdentityVerb } from './identity-verb.ts'
import type { ParsedOptions } from './options.ts'
import { newPassphrase, ofTheNext } from './passphrase.ts'
import type { Io } from './terminal.ts'

interface Changed {
  did: string
  peerId: string
  changed: boolean
  /** From now on. */
  encrypted: boolean
}

/** A keyboard may write one letter in two ways; they open the same. */
const same = (a: string | undefined, b: string | undefined): boolean =>
  a?.normalize('NFC') === b?.normalize('NFC')

async function change(
  dataDir: string,
  name: KeyName,
  options: ParsedOptions,
  io: Io,
  keyOptions: KeyOptions
): Promise<Changed> {
  const call = { signal: io.signal }
  const stored = await readKey(dataDir, name, call)
  if (stored === undefined) throw noKey(dataDir, name, 'change the passphrase', io.env)
  if (name === 'identity' && (await standingKey(dataDir, 'identity-next', call)) !== undefined) {
    // Its new key is under the passphrase of the old one, and could not be opened any more.
    throw nodeError(
      'ERR_NODE_IDENTITY_EXISTS',
      'Cannot change the passphrase: a rotation has begun and did not end. "kwaai identity rotate" ends it'
    )
  }
  const { identity, passphrase: old } = await openKey(dataDir, name, stored, keyOptions)
  const what = `the key ${keyPath(dataDir, name)}`
  const next = options.flag('remove') ? undefined : await newPassphrase(options, io, what, ofTheNext)
  const facts = { did: identity.did, peerId: identity.peerId, encrypted: next !== undefined }
  if (same(old, next)) return { ...facts, changed: false }
  // What cannot be recorded is not done. Somebody stands behind the controller's key.
  const about = name === 'controller' ? { subject: identity.did } : {}
  const data = { name, did: identity.did, encrypted: facts.encrypted }
  const beforePut = (): Promise<void> =>
    appendAudit(dataDir, { kind: 'identity/passphrase-changed', data, ...about }, call)
  await resealKey(dataDir, name, identity, next, { ...call, beforePut })
  return { ...facts, changed: true }
}

/** `kwaai identity passphrase` */
export const passphrase: IdentityVerb = {
  options: {
    [ofTheNext.option]: {
      type: 'string',
      value: '<file>',
      describe: `passphrase: file whose one line is the new one; ${ofTheNext.variable} has it otherwise`
    },
    remove: { type: 'boolean', describe: "passphrase: keep the node's key without one from now on" },
    controller: {
      type: 'boolean',
      describe: "export, import, passphrase: the controller's key instead of the node's"
    }
  },
  async run(dataDir, options, io) {
    const name = options.flag('controller') ? 'controller' : 'identity'
    if (options.flag('remove') && name === 'controller') {
      throw nodeError(
        'ERR_NODE_INVALID_OPTION',
        "Cannot use --remove with --controller: a controller's key is always encrypted"
      )
    }
    if (options.flag('remove') && options.given(ofTheNext.option)) {
      throw nodeError(
        'ERR_NODE_INVALID_OPTION',
        `Cannot use --remove with --${ofTheNext.option}: the one takes the passphrase away, the other gives one`
      )
    }
    if ((await readKey(dataDir, name, { signal: io.signal })) === undefined)
      throw noKey(dataDir, name, 'change the passphrase', io.env)
    const keyOptions = await keyOptionsOf(options, io)
    // A node that runs has its key in memory, and reads of this file no more than whose it is.
    const { did, peerId, changed, encrypted } = await withKeyLock(
      dataDir,
      () => change(dataDir, name, options, io, keyOptions),
      { signal: io.signal }
    )
    const path = keyPath(dataDir, name)
    tell(options, io, { did, peerId, path, changed, encrypted }, linesOf({ changed, encrypted }, path))
    return 0
  }
}

function linesOf({ changed, encrypted }: Pick<Changed, 'changed' | 'encrypted'>, path: string): string[] {
  if (!changed)
    return [
      `${path} ${encrypted ? 'has this passphrase' : 'has no passphrase'} already; nothing was changed.`
    ]
  return encrypted
    ? [
        `${path} is encrypted under the new passphrase. Without it the key is lost.`,
        'A node that runs goes on, and needs it at its next start. Copies of the key keep the passphrase they had.'
      ]
    : [
        `${path} is not encrypted any more: whoever reads it is this node.`,
        'A command that is given a passphrase, in KWAAI_PASSPHRASE too, encrypts it again.'
      ]
}
