import { p256 } from '@noble/curves/nist.js'
import { sha256 } from '@noble/hashes/sha2.js'
import { base64url } from 'multiformats/bases/base64'
import { concatBytes } from '../src/bytes.ts'

// An authenticator in software (Web Authentication Level 3, section 6): what a page would get of a device.

const text = (value: string): Uint8Array => new TextEncoder().encode(value)
const encode = (bytes: Uint8Array): string => base64url.baseEncode(bytes)

/** CBOR (RFC 8949) of what an attestation needs: whole numbers, bytes, texts and maps. */
function cbor(value: unknown): Uint8Array {
  const head = (major: number, count: number): number[] =>
    count < 24
      ? [(major << 5) | count]
      : count < 256
        ? [(major << 5) | 24, count]
        : [(major << 5) | 25, count >> 8, count & 255]
  if (typeof value === 'number') {
    return Uint8Array.from(value >= 0 ? head(0, value) : head(1, -1 - value))
  }
  if (value instanceof Uint8Array) return concatBytes(head(2, value.length), value)
  if (typeof value === 'string') return concatBytes(head(3, text(value).length), text(value))
  const map = value as Map<unknown, unknown>
  return concatBytes(head(5, map.size), ...[...map].flatMap(([key, each]) => [cbor(key), cbor(each)]))
}

interface Ask {
  challenge: string
  rp?: { id?: string }
  rpId?: string
  user?: { id: string }
}

/** What a device may be made to say otherwise. */
export interface Deviation {
  origin?: string
  rpId?: string
  challenge?: string
  type?: string
  flags?: number
  counter?: number
}

/** A device with one passkey. */
export interface SoftAuthenticator {
  readonly id: string
  make(ask: unknown, deviation?: Deviation): object
  use(ask: unknown, deviation?: Deviation): object
}

const [present, verified, attested] = [0x01, 0x04, 0x40]

/** Makes a device whose key is the same for the same seed. */
export function createSoftAuthenticator(seed: number, origin: string): SoftAuthenticator {
  const secret = new Uint8Array(32).fill(seed)
  const point = p256.getPublicKey(secret, false)
  const idBytes = sha256(point)
  const id = encode(idBytes)
  let counter = 0
  let userHandle = ''

  const clientData = (ask: Ask, type: string, deviation: Deviation): Uint8Array =>
    text(
      JSON.stringify({
        type: deviation.type ?? type,
        challenge: deviation.challenge ?? ask.challenge,
        origin: deviation.origin ?? origin,
        crossOrigin: false
      })
    )
  const authenticatorData = (rpId: string, flags: number, count: number): Uint8Array =>
    concatBytes(sha256(text(rpId)), [flags, 0, 0, count >> 8, count & 255])
  const response = (parts: object): object => ({
    id,
    rawId: id,
    type: 'public-key',
    clientExtensionResults: {},
    response: parts
  })

  return {
    id,
    make(given, deviation = {}) {
      const ask = given as Ask
      userHandle = ask.user?.id ?? ''
      const key = cbor(
        new Map<number, unknown>([
          [1, 2],
          [3, -7],
          [-1, 1],
          [-2, point.slice(1, 33)],
          [-3, point.slice(33)]
        ])
      )
      const flags = deviation.flags ?? present | verified | attested
      const authData = concatBytes(
        authenticatorData(deviation.rpId ?? ask.rp?.id ?? '', flags, deviation.counter ?? counter),
        new Uint8Array(16),
        [idBytes.length >> 8, idBytes.length & 255],
        idBytes,
        key
      )
      const attestation = new Map<string, unknown>([
        ['fmt', 'none'],
        ['attStmt', new Map()],
        ['authData', authData]
      ])
      return response({
        clientDataJSON: encode(clientData(ask, 'webauthn.create', deviation)),
        attestationObject: encode(cbor(attestation))
      })
    },
    use(given, deviation = {}) {
      const ask = given as Ask
      counter++
      const data = authenticatorData(
        deviation.rpId ?? ask.rpId ?? '',
        deviation.flags ?? present | verified,
        deviation.counter ?? counter
      )
      const client = clientData(ask, 'webauthn.get', deviation)
      const signature = p256.sign(concatBytes(data, sha256(client)), secret, { format: 'der', lowS: false })
      return response({
        clientDataJSON: encode(client),
        authenticatorData: encode(data),
        signature: encode(signature),
        ...(userHandle === '' ? {} : { userHandle })
      })
    }
  }
}
