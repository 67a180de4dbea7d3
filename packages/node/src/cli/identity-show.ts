import { existsSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { peerIdFromDid, publicKeyFromDid, publicKeyToMultibase } from '@kwaai/identity'
import { systemClock } from '@kwaai/interface/memory'
import type { Did } from '@kwaai/interface'
import { nodeError } from '../errors.ts'
import { keyPath, openKey, readKey, type KeyName } from '../node-key.ts'
import { binds } from '../own-credentials.ts'
import { ownCredentials } from './identity-credentials.ts'
import { keyOptionsOf, tell, type IdentityVerb } from './identity-verb.ts'

/** What to do where there is no key yet. */
export function noIdentity(dataDir: string, doing: string, env: NodeJS.ProcessEnv): Error {
  const other = join(env['KWAAINET_HOME'] ?? join(env['HOME'] ?? homedir(), '.kwaainet'), 'identity.key')
  const takeOver = existsSync(other)
    ? `, "kwaai identity import --file ${other}" takes over that of KwaaiNet`
    : ''
  return nodeError(
    'ERR_NODE_NO_IDENTITY',
    `Cannot ${doing}: there is no key in ${dataDir}. "kwaai up" makes one, "kwaai identity phrase" one that 24 words bring back${takeOver}`
  )
}

/** As {@link noIdentity}, of either key. */
export function noKey(dataDir: string, name: KeyName, doing: string, env: NodeJS.ProcessEnv): Error {
  if (name !== 'controller') return noIdentity(dataDir, doing, env)
  return nodeError(
    'ERR_NODE_NO_IDENTITY',
    `Cannot ${doing}: there is no controller's key in ${dataDir}. "kwaai identity phrase" makes one`
  )
}

/** `kwaai identity show` */
export const show: IdentityVerb = {
  options: {},
  async run(dataDir, options, io) {
    const call = { signal: io.signal }
    const keyOptions = await keyOptionsOf(options, io)
    const stored = await readKey(dataDir, 'identity', call)
    const controller = await readKey(dataDir, 'controller', call)
    if (stored === undefined) throw noIdentity(dataDir, 'show the identity', io.env)
    // What the file of an encrypted key says of itself is proven by opening it, and needs no passphrase to be shown.
    const opens = stored.encrypted && (keyOptions.passphrase !== undefined || stored.did === undefined)
    const did: Did = opens
      ? (await openKey(dataDir, 'identity', stored, keyOptions)).identity.did
      : (stored.did as Did)
    const now = systemClock.now()
    const standing = controller?.did
    const { own, count } = await ownCredentials(dataDir, call)
    const bindings = own.BindingCredential.map((one) => binds(one, standing, did, now))
    const bound = (await Promise.all(bindings)).includes(true)
    const facts = {
      did,
      peerId: peerIdFromDid(did),
      publicKeyMultibase: publicKeyToMultibase({ type: 'Ed25519', bytes: publicKeyFromDid(did) }),
      encrypted: stored.encrypted,
      /** False where an encrypted key says so of itself and was not opened. */
      proven: opens || !stored.encrypted,
      path: keyPath(dataDir, 'identity'),
      controller: standing ?? null,
      bound,
      credentials: count
    }
    const state = !facts.encrypted ? 'not encrypted' : facts.proven ? 'encrypted' : 'encrypted, not opened'
    tell(options, io, facts, [
      `DID          ${facts.did}`,
      `Peer id      ${facts.peerId}`,
      `Public key   ${facts.publicKeyMultibase}`,
      `Key          ${facts.path} (${state})`,
      `Controller   ${facts.controller ?? 'none here; "kwaai identity phrase" makes one'}${facts.bound ? ', which has signed for this node' : ''}`,
      `Credentials  ${facts.credentials}${count === 0 ? '' : '; "kwaai vc list" lists them'}`
    ])
    return 0
  }
}
