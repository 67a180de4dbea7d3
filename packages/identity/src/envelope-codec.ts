import { concatBytes } from './bytes.ts'
import { ENVELOPE_DOMAIN, SIGNATURE_BYTES } from './constants.ts'
import { ERR_IDENTITY_ENVELOPE_MALFORMED, identityError } from './errors.ts'

/** The four fields of `proto/envelope.proto`. */
export interface EnvelopeFields {
  payload: Uint8Array<ArrayBuffer>
  context: string
  /** The public key with its multicodec prefix. */
  signer: Uint8Array<ArrayBuffer>
  signature: Uint8Array<ArrayBuffer>
}

const encoder = new TextEncoder()
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** The bytes an envelope's signature covers; every part has its length before it, so that no two cuts are alike. */
export function signedBytes(context: string, signer: Uint8Array, payload: Uint8Array): Uint8Array {
  const contextBytes = encoder.encode(context)
  return concatBytes(
    encoder.encode(ENVELOPE_DOMAIN),
    uint32(contextBytes.length),
    contextBytes,
    uint32(signer.length),
    signer,
    uint32(payload.length),
    payload
  )
}

/** Writes the one encoding of an envelope. */
export function encodeEnvelope(fields: EnvelopeFields): Uint8Array {
  const parts = [fields.payload, encoder.encode(fields.context), fields.signer, fields.signature]
  return concatBytes(
    ...parts.flatMap((part, i) =>
      part.length === 0 ? [] : [[((i + 1) << 3) | 2], varint(part.length), part]
    )
  )
}

/**
 * Reads the one encoding of an envelope; the fields are copies.
 *
 * @throws A KwaaiError `ERR_IDENTITY_ENVELOPE_MALFORMED` for all other bytes.
 */
export function decodeEnvelope(bytes: Uint8Array): EnvelopeFields {
  const parts: Uint8Array<ArrayBuffer>[] = Array.from({ length: 4 }, () => new Uint8Array())
  let at = 0
  let last = 0
  while (at < bytes.length) {
    const tag = bytes[at++] as number
    const field = tag >> 3
    if ((tag & 7) !== 2 || field < 1 || field > 4) throw malformed(`tag ${tag} is unknown`)
    if (field <= last) throw malformed(`field ${field} comes twice or out of order`)
    last = field
    let length = 0
    let shift = 0
    for (;;) {
      // Four groups of seven bits reach 256 MiB, and the caller has bounded the whole.
      if (at >= bytes.length || shift > 21) throw malformed(`the length of field ${field} does not end`)
      const byte = bytes[at++] as number
      length |= (byte & 0x7f) << shift
      shift += 7
      if (byte < 0x80) {
        if (byte === 0) throw malformed(`field ${field} is empty or its length is not the shortest`)
        break
      }
    }
    if (length > bytes.length - at) throw malformed(`field ${field} is longer than the envelope`)
    parts[field - 1] = concatBytes(bytes.subarray(at, at + length))
    at += length
  }
  const [payload, context, signer, signature] = parts as [
    EnvelopeFields['payload'],
    Uint8Array,
    EnvelopeFields['signer'],
    EnvelopeFields['signature']
  ]
  if (signature.length !== SIGNATURE_BYTES) throw malformed(`its signature has ${signature.length} bytes`)
  let text
  try {
    text = decoder.decode(context)
  } catch {
    throw malformed('its context is not UTF-8')
  }
  return { payload, context: text, signer, signature }
}

function malformed(why: string): Error {
  return identityError(ERR_IDENTITY_ENVELOPE_MALFORMED, `Cannot open the envelope: ${why}`)
}

function uint32(value: number): number[] {
  return [value >>> 24, (value >>> 16) & 0xff, (value >>> 8) & 0xff, value & 0xff]
}

function varint(value: number): number[] {
  const out: number[] = []
  let rest = value
  for (; rest >= 0x80; rest >>>= 7) out.push((rest & 0x7f) | 0x80)
  return [...out, rest]
}
