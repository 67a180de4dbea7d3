import type { Did } from '@kwaai/interface'
import { concatBytes } from '../bytes.ts'
import { didFromKey } from '../did-key.ts'
import type { WebAuthnServer } from './web-authn.ts'

// COSE_Key parameters (RFC 9052, section 7; RFC 9053, sections 2.1 and 7.1.1): EC2 on P-256 for ES256.
const kty = 1
const alg = 3
const crv = -1
const x = -2
const y = -3

/** The did:key of a passkey's public key in COSE, or `undefined` where it is not of P-256. */
export function didOfCoseKey(key: Uint8Array, { helpers }: WebAuthnServer): Did | undefined {
  try {
    const map: { get(key: number): unknown } = helpers.decodeCredentialPublicKey(Uint8Array.from(key))
    const [left, right] = [map.get(x), map.get(y)]
    const isP256 = map.get(kty) === 2 && map.get(alg) === -7 && map.get(crv) === 1
    if (!isP256 || !(left instanceof Uint8Array) || !(right instanceof Uint8Array)) return undefined
    if (left.length !== 32 || right.length !== 32) return undefined
    return didFromKey({ type: 'P-256', bytes: concatBytes([2 + ((right[31] as number) & 1)], left) })
  } catch {
    return undefined
  }
}
