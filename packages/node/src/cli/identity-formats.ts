import {
  parseJson,
  publicKeyToMultibase,
  seedFromJwk,
  seedFromMultibase,
  seedFromProtobuf,
  seedToJwk,
  seedToMultibase,
  seedToProtobuf,
  type Identity
} from '@kwaai/identity'
import { nodeError } from '../errors.ts'

/** How a key is written into a file. */
export type KeyFormat = 'libp2p' | 'multikey' | 'jwk'

const utf8 = new TextEncoder()

/** A private key in one of the formats; all but `libp2p` are text. */
export function writeKey(identity: Identity, format: KeyFormat): Uint8Array {
  const seed = identity.exportSeed()
  if (format === 'libp2p') return seedToProtobuf(seed)
  if (format === 'jwk') return utf8.encode(`${JSON.stringify(seedToJwk(seed))}\n`)
  const publicKeyMultibase = publicKeyToMultibase({ type: 'Ed25519', bytes: identity.publicKey })
  const multikey = {
    '@context': 'https://w3id.org/security/multikey/v1',
    id: `${identity.did}#${publicKeyMultibase}`,
    type: 'Multikey',
    controller: identity.did,
    publicKeyMultibase,
    secretKeyMultibase: seedToMultibase(seed)
  }
  return utf8.encode(`${JSON.stringify(multikey)}\n`)
}

function unreadable(cause: unknown): Error {
  return nodeError(
    'ERR_NODE_KEY_UNREADABLE',
    'Cannot import the key: it is no Ed25519 key as libp2p (also in base64), a Multikey, a JWK or kwaai writes it',
    { cause }
  )
}

/**
 * The seed in a file that is not sealed: of libp2p and KwaaiNet's `identity.key` (68 bytes, or these in base64), a
 * Multikey (JSON or `z3u2…` alone), or a JWK.
 *
 * @throws A KwaaiError `ERR_NODE_KEY_UNREADABLE`.
 */
export function readSeed(bytes: Uint8Array): Uint8Array {
  try {
    // A libp2p key begins with its type, which no text does.
    if (bytes[0] === 0x08) return seedFromProtobuf(bytes)
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes).trim()
    if (text.startsWith('{')) {
      const json = parseJson(text) as Record<string, unknown>
      if (typeof json['secretKeyMultibase'] !== 'string') return seedFromJwk(json as never)
      return seedOfMultikey(json['secretKeyMultibase'], json['publicKeyMultibase'])
    }
    if (text.startsWith('z')) return seedFromMultibase(text)
    if (!/^[\w+/=-]+$/.test(text)) throw new TypeError('no text of a key')
    return seedFromProtobuf(new Uint8Array(Buffer.from(text, 'base64')))
  } catch (error) {
    throw unreadable(error)
  }
}

function seedOfMultikey(secret: string, publicKey: unknown): Uint8Array {
  const seed = seedFromMultibase(secret)
  const own = seedToProtobuf(seed).subarray(36)
  if (publicKey !== undefined && publicKey !== publicKeyToMultibase({ type: 'Ed25519', bytes: own }))
    throw new TypeError('the two halves of the Multikey do not belong together')
  return seed
}
