import { sha256 } from '@noble/hashes/sha2.js'
import { verify } from '@kwaai/identity'
import type { Signer } from '@kwaai/interface'
import { concatBytes, equalBytes, fromBase64, textOf, toBase64, toHex, utf8 } from './bytes.ts'
import { MAX_NOTE_BYTES, MAX_NOTE_SIGNATURES, NOTE_COSIGNATURE, NOTE_ED25519 } from './constants.ts'
import { ERR_AUDIT_BAD_SIGNATURE, ERR_AUDIT_INVALID_INIT, ERR_AUDIT_MALFORMED, auditError } from './errors.ts'

/** A key whose signatures a note may have: of a log, or of a witness. */
export interface NoteKey {
  /** Without spaces and `+`, such as `example.com/log`. */
  name: string
  /** 1: Ed25519 over the note's text. 4: a witness's timestamped cosignature. */
  type: 1 | 4
  /** The Ed25519 public key, 32 bytes. */
  publicKey: Uint8Array
}

/** One signature line of a note. */
export interface NoteSignature {
  name: string
  /** The four bytes that, with the name, say whose key and what kind of signature it is; hexadecimal. */
  keyId: string
  /** What follows the key id: 64 bytes for a log, 72 for a witness. */
  signature: Uint8Array
}

/** A note as it was read. Nothing of it is to be believed before a signature of a known key was verified. */
export interface Note {
  /** What is signed, with its last newline. */
  text: string
  signatures: readonly NoteSignature[]
}

/** What a signature of a known key says. */
export interface VerifiedSignature {
  key: NoteKey
  /** Seconds since 1970 UTC at which a witness signed; 0 for a log. */
  timestamp: number
}

const keyName = /^[^\s+\p{Cc}\p{Z}]{1,255}$/u
const signatureLine = /^\u2014 ([^\s+\p{Z}]+) ([A-Za-z0-9+/=]+)$/u
const signatureBytes = 64

/** The key id of a note key: four bytes in hexadecimal (C2SP signed-note). */
export function noteKeyId(key: NoteKey): string {
  return toHex(sha256(concatBytes(utf8(`${key.name}\n`), [key.type], key.publicKey)).subarray(0, 4))
}

/** The key as a text to hand on, `<name>+<key id>+<base64>`, a "vkey" (C2SP signed-note). */
export function formatNoteKey(key: NoteKey): string {
  return `${checkNoteKey(key).name}+${noteKeyId(key)}+${toBase64(concatBytes([key.type], key.publicKey))}`
}

/**
 * Reads a key that {@link formatNoteKey} wrote.
 *
 * @throws A KwaaiError `ERR_AUDIT_MALFORMED`.
 */
export function parseNoteKey(text: string): NoteKey {
  const [name = '', id, encoded = ''] = text.split(/\+([0-9a-f]{8})\+/)
  const bytes = fromBase64(encoded)
  const type = bytes?.[0]
  if (bytes?.length === 33 && (type === NOTE_ED25519 || type === NOTE_COSIGNATURE) && keyName.test(name)) {
    const key: NoteKey = { name, type, publicKey: bytes.slice(1) }
    if (noteKeyId(key) === id) return key
  }
  throw auditError(
    ERR_AUDIT_MALFORMED,
    'Cannot read the key: it is not <name>+<key id>+<key> of an Ed25519 key'
  )
}

/**
 * Gives the key back where it can be one.
 *
 * @throws A KwaaiError `ERR_AUDIT_INVALID_INIT`.
 */
export function checkNoteKey(key: NoteKey): NoteKey {
  if (keyName.test(key.name) && key.publicKey.length === 32 && [1, 4].includes(key.type)) return key
  throw auditError(
    ERR_AUDIT_INVALID_INIT,
    `Cannot use the note key ${JSON.stringify(key.name.slice(0, 80))}: its name has to be without spaces and "+", the key of 32 bytes`
  )
}

/**
 * Reads a note, without verifying it.
 *
 * @throws A KwaaiError `ERR_AUDIT_MALFORMED` for all that is not exactly in the format, or larger than 64 KiB or 64
 * signatures.
 */
export function parseNote(note: string | Uint8Array): Note {
  if (note.length > MAX_NOTE_BYTES) throw malformed(`it is longer than ${MAX_NOTE_BYTES} bytes`)
  const whole = typeof note === 'string' ? note : textOf(note)
  if (whole === undefined || !whole.isWellFormed()) throw malformed('it is not UTF-8')
  for (let at = 0; at < whole.length; at++) {
    const code = whole.charCodeAt(at)
    if (code < 0x20 && code !== 0x0a) throw malformed('it has control characters')
  }
  // The last empty line ends the text.
  const end = whole.lastIndexOf('\n\n')
  if (end < 0 || !whole.endsWith('\n')) throw malformed('it is not a text, an empty line and signature lines')
  const text = whole.slice(0, end + 1)
  const signatures = whole.slice(end + 2, -1).split('\n')
  if (signatures.length > MAX_NOTE_SIGNATURES)
    throw malformed(`it has more than ${MAX_NOTE_SIGNATURES} signatures`)
  return { text, signatures: signatures.map(parseSignatureLine) }
}

/**
 * Reads one signature line, without its newline.
 *
 * @throws A KwaaiError `ERR_AUDIT_MALFORMED`.
 */
export function parseSignatureLine(line: string): NoteSignature {
  const [, name, encoded] = signatureLine.exec(line) ?? []
  const bytes = fromBase64(encoded ?? '')
  if (name === undefined || bytes === undefined || bytes.length < 5)
    throw malformed('a signature line is not a name and a signature in base64')
  return { name, keyId: toHex(bytes.subarray(0, 4)), signature: bytes.slice(4) }
}

/** One signature line with its newline. */
export function formatSignatureLine({ name, keyId, signature }: NoteSignature): string {
  const id = Array.from({ length: 4 }, (_, at) => Number.parseInt(keyId.slice(at * 2, at * 2 + 2), 16))
  return `\u2014 ${name} ${toBase64(concatBytes(id, signature))}\n`
}

/** The note with its signatures, as text. */
export function formatNote({ text, signatures }: Note): string {
  return `${text}\n${signatures.map(formatSignatureLine).join('')}`
}

/**
 * Signs a text as the log of that name.
 *
 * @throws A KwaaiError `ERR_AUDIT_MALFORMED` when the text cannot be a note's, `ERR_AUDIT_INVALID_INIT` when the name
 * cannot be a key's, `ERR_AUDIT_BAD_SIGNATURE` when the signer does not sign with the key it names.
 */
export async function signNote(text: string, name: string, signer: Signer): Promise<NoteSignature> {
  const key = checkNoteKey({ name, type: NOTE_ED25519, publicKey: signer.publicKey })
  const signature = { name, keyId: noteKeyId(key), signature: await signer.sign(utf8(text)) }
  parseNote(formatNote({ text, signatures: [signature] }))
  await checkSignature(text, signature, key)
  return signature
}

/**
 * Cosigns a text as the witness of that name.
 *
 * @param timestamp seconds since 1970 UTC.
 * @throws as {@link signNote}.
 */
export async function cosignNote(
  text: string,
  name: string,
  signer: Signer,
  timestamp: number
): Promise<NoteSignature> {
  const key = checkNoteKey({ name, type: NOTE_COSIGNATURE, publicKey: signer.publicKey })
  const time = new Uint8Array(8)
  new DataView(time.buffer).setBigUint64(0, BigInt(timestamp))
  const signed = await signer.sign(cosignedBytes(text, timestamp))
  const signature = { name, keyId: noteKeyId(key), signature: concatBytes(time, signed) }
  await checkSignature(text, signature, key)
  return signature
}

/** The two lines and the text that a witness signs (C2SP tlog-cosignature). */
function cosignedBytes(text: string, timestamp: number | bigint): Uint8Array {
  return utf8(`cosignature/v1\ntime ${timestamp}\n${text}`)
}

async function checkSignature(text: string, signature: NoteSignature, key: NoteKey): Promise<void> {
  if ((await verifiedBy(text, signature, key)) === undefined)
    throw auditError(
      ERR_AUDIT_BAD_SIGNATURE,
      `Cannot sign the note as ${key.name}: the signer does not sign with the key it names`
    )
}

async function verifiedBy(
  text: string,
  { signature }: NoteSignature,
  key: NoteKey
): Promise<VerifiedSignature | undefined> {
  if (key.type === NOTE_ED25519) {
    const holds = signature.length === signatureBytes && (await verify(key.publicKey, utf8(text), signature))
    return holds ? { key, timestamp: 0 } : undefined
  }
  if (signature.length !== 8 + signatureBytes) return undefined
  const timestamp = new DataView(signature.buffer, signature.byteOffset, 8).getBigUint64(0)
  if (timestamp > BigInt(Number.MAX_SAFE_INTEGER)) return undefined
  const holds = await verify(key.publicKey, cosignedBytes(text, timestamp), signature.subarray(8))
  return holds ? { key, timestamp: Number(timestamp) } : undefined
}

/**
 * The signatures of known keys; those of others are not looked at.
 *
 * @throws A KwaaiError `ERR_AUDIT_BAD_SIGNATURE` when the signature of a known key does not hold: then nothing of the
 * note is to be believed.
 */
export async function verifySignatures(note: Note, keys: readonly NoteKey[]): Promise<VerifiedSignature[]> {
  const verified: VerifiedSignature[] = []
  for (const key of keys) {
    const id = noteKeyId(key)
    for (const signature of note.signatures) {
      if (signature.name !== key.name || signature.keyId !== id) continue
      const found = await verifiedBy(note.text, signature, key)
      if (found === undefined)
        throw auditError(
          ERR_AUDIT_BAD_SIGNATURE,
          `Cannot verify the note: the signature of ${key.name} does not hold`
        )
      // One key counts once, whatever lines it has.
      if (
        !verified.some(
          (known) => equalBytes(known.key.publicKey, key.publicKey) && known.key.type === key.type
        )
      )
        verified.push(found)
    }
  }
  return verified
}

function malformed(why: string): Error {
  return auditError(ERR_AUDIT_MALFORMED, `Cannot read the note: ${why}`)
}
