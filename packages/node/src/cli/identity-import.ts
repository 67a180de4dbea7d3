import { createIdentity, seedFromProtobuf, type Identity } from '@kwaai/identity'
import { looksSealed, readSealedFacts } from '@kwaai/identity/keystore'
import { systemClock } from '@kwaai/interface/memory'
import { appendAudit } from '../audit.ts'
import { nodeError } from '../errors.ts'
import { putAside } from '../key-files.ts'
import {
  keyBytes,
  keyPath,
  keysOf,
  openSealed,
  resealKey,
  standingKey,
  type KeyName,
  type KeyOptions
} from '../node-key.ts'
import { readSeed } from './identity-formats.ts'
import { keyOptionsOf, tell, withClaim, type IdentityVerb } from './identity-verb.ts'
import { readInput } from './input.ts'
import type { ParsedOptions } from './options.ts'
import { newPassphrase } from './passphrase.ts'
import { printable, type Io } from './terminal.ts'

/** A file kwaai sealed; a JWK and a Multikey are JSON too, and are none. */
function isSealed(bytes: Uint8Array): boolean {
  if (!looksSealed(bytes)) return false
  try {
    readSealedFacts(bytes)
    return true
  } catch {
    return /"kdf"/.test(new TextDecoder().decode(bytes))
  }
}

interface Imported {
  identity: Identity
  /** That of the file it came in. */
  passphrase: string | undefined
}

async function readImported(path: string, io: Io, keyOptions: KeyOptions): Promise<Imported> {
  const bytes = new Uint8Array(await readInput(path, io))
  if (!isSealed(bytes)) return { identity: createIdentity({ seed: readSeed(bytes) }), passphrase: undefined }
  const { secret, passphrase } = await openSealed(path, bytes, keyOptions)
  try {
    return { identity: createIdentity({ seed: seedFromProtobuf(secret) }), passphrase }
  } finally {
    secret.fill(0)
  }
}

async function keep(
  dataDir: string,
  name: KeyName,
  { identity, passphrase: own }: Imported,
  options: ParsedOptions,
  io: Io,
  keyOptions: KeyOptions
): Promise<{ changed: boolean; encrypted: boolean; aside?: string }> {
  const call = { signal: io.signal }
  // Before anything changes: what cannot be recorded is not done. Somebody stands behind the controller's key.
  const about = name === 'controller' ? { subject: identity.did } : {}
  const data = { name, did: identity.did }
  const recordImport = (): Promise<void> =>
    appendAudit(dataDir, { kind: 'identity/imported', data, ...about }, call)
  const standing = await standingKey(dataDir, name, call)
  const before = standing === 'damaged' ? { did: undefined, encrypted: false } : standing
  if (before?.did === identity.did) {
    const { passphrase: given } = keyOptions
    if (before.encrypted || given === undefined) return { changed: false, encrypted: before.encrypted }
    await resealKey(dataDir, name, identity, given, { ...call, beforePut: recordImport })
    return { changed: true, encrypted: true }
  }
  const path = keyPath(dataDir, name)
  if (before !== undefined && !options.flag('replace')) {
    throw nodeError(
      'ERR_NODE_IDENTITY_EXISTS',
      `Cannot import the key: another one stands in ${path}. --replace keeps that one beside it`
    )
  }
  // What was encrypted stays so: under the passphrase given, or that of the file.
  let passphrase = keyOptions.passphrase ?? own
  if (passphrase === undefined && (name === 'controller' || before?.encrypted === true))
    passphrase = await newPassphrase(options, io, `the key ${path}`)
  const bytes = await keyBytes(name, identity, passphrase, call)
  await recordImport()
  const aside = before === undefined ? undefined : await putAside(dataDir, name, systemClock.now())
  await keysOf(dataDir).put(name, bytes, { replace: before !== undefined, ...call })
  return { changed: true, encrypted: passphrase !== undefined, ...(aside === undefined ? {} : { aside }) }
}

/** `kwaai identity import` */
export const importKey: IdentityVerb = {
  options: {
    file: {
      type: 'string',
      value: '<file>',
      describe:
        'import: a key as libp2p, KwaaiNet (~/.kwaainet/identity.key), a Multikey, a JWK or export writes it; - reads standard input'
    },
    controller: {
      type: 'boolean',
      describe: "export, import, passphrase: the controller's key instead of the node's"
    },
    replace: {
      type: 'boolean',
      describe: 'phrase, import: take the place of another key, which is kept beside it'
    }
  },
  async run(dataDir, options, io) {
    const file = options.text('file')
    if (file === undefined) {
      throw nodeError(
        'ERR_NODE_INVALID_OPTION',
        'Cannot import a key: --file names none, and - reads standard input'
      )
    }
    const name = options.flag('controller') ? 'controller' : 'identity'
    const keyOptions = await keyOptionsOf(options, io)
    const imported = await readImported(file, io, keyOptions)
    const { did, peerId } = imported.identity
    const { changed, encrypted, aside } = await withClaim(dataDir, 'import the key', () =>
      keep(dataDir, name, imported, options, io, keyOptions)
    )
    const path = keyPath(dataDir, name)
    tell(options, io, { did, peerId, path, changed, encrypted, ...(aside === undefined ? {} : { aside }) }, [
      changed
        ? `${did} is in ${path} (${encrypted ? 'encrypted' : 'not encrypted'})`
        : `${did} was in ${path} already; nothing was changed`,
      ...(name === 'identity' ? [`Peer id ${peerId}`] : []),
      ...(aside === undefined ? [] : [`The key from before is in ${printable(aside)}`])
    ])
    return 0
  }
}
