import { createIdentity, type Identity } from '@kwaai/identity'
import { systemClock } from '@kwaai/interface/memory'
import { appendAudit } from '../audit.ts'
import { nodeError } from '../errors.ts'
import { putAside } from '../key-files.ts'
import { keyBytes, keyPath, keysOf, openKey, readKey, type KeyOptions } from '../node-key.ts'
import { bindNode, rotateKey, rotates, type RotationReason } from '../own-credentials.ts'
import { keepCredential, ownCredentials } from './identity-credentials.ts'
import { noIdentity } from './identity-show.ts'
import { keyOptionsOf, tell, withClaim, type IdentityVerb } from './identity-verb.ts'
import type { ParsedOptions } from './options.ts'
import { printable, type Io } from './terminal.ts'

const reasons: readonly RotationReason[] = ['scheduled', 'lost-device', 'compromise']

function reasonOf(options: ParsedOptions): RotationReason | undefined {
  const text = options.text('reason')
  const reason = reasons.find((one) => one === text)
  if (text === undefined || reason !== undefined) return reason
  throw nodeError(
    'ERR_NODE_INVALID_OPTION',
    `Cannot use --reason ${printable(text)}: expected ${reasons.join(', ')}`
  )
}

interface Rotated {
  /** From before; `undefined` where this call only cleared up behind a rotation that was cut off at its end. */
  old: Identity | undefined
  next: Identity
  aside: string | undefined
  controller: Identity | undefined
  encrypted: boolean
}

/**
 * Old and new key sign that one takes the place of the other; then the new one does. The new key is on the disk before
 * anything is signed for it, so that a crash leaves no statement about a key that nobody has: the next call goes on
 * with the same one.
 */
async function rotateKeys(
  dataDir: string,
  reason: RotationReason | undefined,
  keyOptions: KeyOptions,
  io: Io
): Promise<Rotated> {
  const call = { signal: io.signal }
  const stored = await readKey(dataDir, 'identity', call)
  if (stored === undefined) throw noIdentity(dataDir, 'rotate the key', io.env)
  const { identity: old, passphrase = keyOptions.passphrase } = await openKey(
    dataDir,
    'identity',
    stored,
    keyOptions
  )
  const encrypted = passphrase !== undefined
  const keys = keysOf(dataDir)
  const begun = await readKey(dataDir, 'identity-next', call)
  if (begun?.did === old.did) {
    await keys.delete('identity-next', call)
    return { old: undefined, next: old, aside: undefined, controller: undefined, encrypted: stored.encrypted }
  }
  const standing = await readKey(dataDir, 'controller', call)
  const controller =
    standing === undefined ? undefined : (await openKey(dataDir, 'controller', standing, keyOptions)).identity
  const withPassphrase = { ...keyOptions, ...(passphrase === undefined ? {} : { passphrase }) }
  const next =
    begun === undefined
      ? createIdentity()
      : (await openKey(dataDir, 'identity-next', begun, withPassphrase)).identity
  if (begun === undefined) {
    await keys.put('identity-next', await keyBytes('identity-next', next, passphrase, call), call)
  }
  const now = systemClock.now()
  // One that was cut off may have signed already, and who is given two rotations of one key believes neither.
  const { RotationCredential: signed } = (await ownCredentials(dataDir, call)).own
  const verdicts = await Promise.all(signed.map((one) => rotates(one, old.did, next.did, now)))
  if (!verdicts.includes(true)) await keepCredential(dataDir, await rotateKey(old, next, now, reason), call)
  if (controller !== undefined) await keepCredential(dataDir, await bindNode(controller, next, now), call)
  const bytes = await keyBytes('identity', next, passphrase, call)
  const aside = await putAside(dataDir, 'identity', now)
  await keys.put('identity', bytes, { replace: true, ...call })
  await keys.delete('identity-next', call)
  return { old, next, aside, controller, encrypted }
}

/** `kwaai identity rotate` */
export const rotate: IdentityVerb = {
  options: {
    reason: {
      type: 'string',
      value: '<reason>',
      describe: `rotate: why, told to others: ${reasons.join(', ')}`
    }
  },
  async run(dataDir, options, io) {
    const reason = reasonOf(options)
    const keyOptions = await keyOptionsOf(options, io)
    const { old, next, aside, controller, encrypted } = await withClaim(dataDir, 'rotate the key', () =>
      rotateKeys(dataDir, reason, keyOptions, io)
    )
    const data = { from: old?.did ?? null, to: next.did, reason: reason ?? null }
    await appendAudit(dataDir, { kind: 'identity/rotated', data }, { signal: io.signal })
    const path = keyPath(dataDir, 'identity')
    const facts = {
      did: next.did,
      peerId: next.peerId,
      rotatedFrom: old?.did ?? null,
      controller: controller?.did ?? null,
      path,
      encrypted,
      aside: aside ?? null
    }
    tell(options, io, facts, [
      ...(old === undefined
        ? ['A rotation that was cut off at its end is done now.']
        : [`${old.did} is now`, `${next.did}. Both have signed it.`]),
      `Peer id  ${next.peerId}`,
      `Key      ${path} (${encrypted ? 'encrypted' : 'not encrypted'})`,
      ...(aside === undefined ? [] : [`Old key  ${aside}`]),
      ...(controller === undefined ? [] : [`${controller.did} has signed for the new key.`]),
      'The peer id is another one: addresses that end in the old one (--bootstrap …/p2p/…) no longer lead here, records',
      'and credentials under the old key stay with it, and who knows this node by it needs the rotation credential.'
    ])
    return 0
  }
}
