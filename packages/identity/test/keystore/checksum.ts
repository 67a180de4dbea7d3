import { sha256 } from '@noble/hashes/sha2.js'
import { base64url } from 'multiformats/bases/base64'
import { canonicalizeJson } from '../../src/json.ts'

/** The checksum of a sealed secret, written anew from the README: anybody can make it right. */
export function checksum(json: Record<string, unknown>): string {
  return base64url.baseEncode(sha256(new TextEncoder().encode(canonicalizeJson(json))).subarray(0, 16))
}
