import type { CallOptions, Clock, KeyValueStore, Signer } from '@kwaai/interface'
import { equalBytes, fromBase64, parseDecimal, textOf, toBase64, utf8 } from './bytes.ts'
import { openCheckpoint, parseCheckpoint, type Checkpoint } from './checkpoint.ts'
import { HASH_BYTES, MAX_NOTE_BYTES, MAX_PROOF_HASHES, NOTE_COSIGNATURE } from './constants.ts'
import {
  ERR_AUDIT_BAD_SIGNATURE,
  ERR_AUDIT_INCONSISTENT,
  ERR_AUDIT_MALFORMED,
  ERR_AUDIT_STALE,
  ERR_AUDIT_WRONG_LOG,
  auditError,
  type AuditErrorCode
} from './errors.ts'
import { verifyConsistency } from './merkle.ts'
import { checkNoteKey, cosignNote, formatSignatureLine, parseNote, type NoteKey } from './note.ts'
import { createQueue } from './queue.ts'

/** Who a witness is, and which logs it looks at. */
export interface WitnessInit {
  /** Names the witness, such as `witness.example.org/w1`. */
  name: string
  /** The logs, by the key they sign with; a log's origin is the name of its key. */
  logs: readonly NoteKey[]
}

/** What a witness works with. */
export interface WitnessComponents {
  /** Where it keeps the last checkpoint of each log, under `witness/`. One witness a store. */
  store: KeyValueStore
  /** The witness's own key, used for nothing else: its signatures do not name it. */
  signer: Signer
  clock: Clock
}

/** What a log asks of a witness. */
export interface WitnessRequest {
  /** The size of the last checkpoint the witness has cosigned; 0 for none. */
  oldSize: number
  /** The consistency proof from there. */
  proof: readonly Uint8Array[]
  /** The signed checkpoint. */
  checkpoint: string
}

/** What a witness answers: a signature line to append to the checkpoint, or why it does not sign. */
export type WitnessAnswer =
  | { ok: true; cosignature: string }
  | {
      ok: false
      code: AuditErrorCode
      message: string
      /** Where the request began with another size than the witness has seen: that one. */
      size?: number
    }

/** A witness: it signs a log's checkpoint only where that log has kept everything it had before. */
export interface Witness {
  /** The key its cosignatures are checked with. */
  readonly key: NoteKey
  addCheckpoint(request: WitnessRequest, options?: CallOptions): Promise<WitnessAnswer>
  /** Answers `POST …/add-checkpoint` (C2SP tlog-witness). */
  fetch(request: Request): Promise<Response>
}

const maxRequestBytes = MAX_NOTE_BYTES + 64 * 64

/**
 * Makes a witness. What it has seen is on the store before it signs; of two requests at once the second is held
 * against what the first left.
 *
 * @throws A KwaaiError `ERR_AUDIT_INVALID_INIT` when a name or a key cannot be one.
 */
export function createWitness(init: WitnessInit, components: WitnessComponents): Witness {
  const { store, signer, clock } = components
  const key = checkNoteKey({ name: init.name, type: NOTE_COSIGNATURE, publicKey: signer.publicKey })
  const logs = init.logs.map(checkNoteKey)
  const inTurn = createQueue()
  const keyOf = (origin: string): string => `witness/${origin}`

  const add = async (request: WitnessRequest, options: CallOptions): Promise<WitnessAnswer> => {
    const note = parseNote(request.checkpoint)
    const { origin } = parseCheckpoint(note.text)
    const known = logs.filter(({ name }) => name === origin)
    if (known.length === 0) return refusal(ERR_AUDIT_WRONG_LOG, `it does not look at the log ${origin}`)
    const { checkpoint } = await openCheckpoint(request.checkpoint, { origin, key: known })
    if (request.oldSize > checkpoint.size)
      return refusal(ERR_AUDIT_MALFORMED, 'the old size is above the size of the checkpoint')
    const kept = await store.get(keyOf(origin), options)
    const last: Checkpoint | undefined = kept === undefined ? undefined : parseCheckpoint(textOf(kept) ?? '')
    const size = last?.size ?? 0
    if (request.oldSize !== size)
      return { ...refusal(ERR_AUDIT_STALE, `the last size it has seen is ${size}`), size }
    if (last !== undefined && size === checkpoint.size && !equalBytes(last.root, checkpoint.root))
      return { ...refusal(ERR_AUDIT_INCONSISTENT, `it has seen another root of size ${size}`), size }
    const consistent =
      last === undefined || size === 0
        ? request.proof.length === 0
        : verifyConsistency(size, checkpoint.size, last.root, checkpoint.root, request.proof)
    if (!consistent)
      return refusal(ERR_AUDIT_INCONSISTENT, `it does not follow from the one of size ${size} it has seen`)
    await store.put(keyOf(origin), utf8(note.text), options)
    const signature = await cosignNote(note.text, init.name, signer, Math.floor(clock.now() / 1_000))
    return { ok: true, cosignature: formatSignatureLine(signature) }
  }
  const addCheckpoint: Witness['addCheckpoint'] = (request, options = {}) =>
    inTurn(async () => {
      try {
        return await add(request, options)
      } catch (error) {
        const code = (error as { code?: AuditErrorCode }).code
        if (code !== ERR_AUDIT_MALFORMED && code !== ERR_AUDIT_BAD_SIGNATURE) throw error
        return { ok: false, code, message: (error as Error).message }
      }
    }, options)

  return {
    key,
    addCheckpoint,
    async fetch(request) {
      if (!new URL(request.url).pathname.endsWith('/add-checkpoint')) return answer(404, 'not found\n')
      if (request.method !== 'POST') return answer(405, 'only POST\n')
      const body = await readBounded(request, maxRequestBytes)
      const parsed = body === undefined ? undefined : parseWitnessRequest(body)
      if (parsed === undefined) return answer(400, 'this is no request to a witness\n')
      const answered = await addCheckpoint(parsed, { signal: request.signal })
      if (answered.ok) return answer(200, answered.cosignature)
      if (answered.size !== undefined) return answer(409, `${answered.size}\n`, 'text/x.tlog.size')
      return answer(statusOf[answered.code] ?? 400, `${answered.message}\n`)
    }
  }
}

const statusOf: Partial<Record<AuditErrorCode, number>> = {
  [ERR_AUDIT_WRONG_LOG]: 404,
  [ERR_AUDIT_BAD_SIGNATURE]: 403,
  [ERR_AUDIT_INCONSISTENT]: 422
}

function refusal(code: AuditErrorCode, why: string): { ok: false; code: AuditErrorCode; message: string } {
  return { ok: false, code, message: `Cannot cosign the checkpoint: ${why}` }
}

function answer(status: number, text: string, type = 'text/plain; charset=utf-8'): Response {
  return new Response(text, { status, headers: { 'content-type': type } })
}

async function readBounded(request: Request, max: number): Promise<string | undefined> {
  const parts: Uint8Array[] = []
  let length = 0
  const reader = request.body?.getReader()
  for (;;) {
    const { done, value } = (await reader?.read()) ?? { done: true, value: undefined }
    if (done) break
    length += (value as Uint8Array).length
    if (length > max) {
      await reader?.cancel()
      return undefined
    }
    parts.push(value as Uint8Array)
  }
  const whole = new Uint8Array(length)
  parts.reduce((at, part) => (whole.set(part, at), at + part.length), 0)
  return textOf(whole)
}

/** The body of `add-checkpoint`: `old <size>`, the proof, an empty line, the checkpoint (C2SP tlog-witness). */
export function formatWitnessRequest({ oldSize, proof, checkpoint }: WitnessRequest): string {
  return [`old ${oldSize}`, ...proof.map(toBase64), '', checkpoint].join('\n')
}

/** Reads the body of `add-checkpoint`; undefined for what is none. */
export function parseWitnessRequest(body: string): WitnessRequest | undefined {
  const end = body.indexOf('\n\n')
  if (end < 0) return undefined
  const [first = '', ...lines] = body.slice(0, end).split('\n')
  const oldSize = first.startsWith('old ') ? parseDecimal(first.slice(4)) : undefined
  const proof = parseHashes(lines)
  if (oldSize === undefined || proof === undefined) return undefined
  return { oldSize, proof, checkpoint: body.slice(end + 2) }
}

/** Hashes of a proof, one in base64 a line; undefined where they are none or more than 63. */
export function parseHashes(lines: readonly string[]): Uint8Array[] | undefined {
  if (lines.length > MAX_PROOF_HASHES) return undefined
  const hashes = lines.map((line) => fromBase64(line) ?? new Uint8Array())
  return hashes.every(({ length }) => length === HASH_BYTES) ? hashes : undefined
}

/**
 * The checkpoint with cosignatures added.
 *
 * @throws A KwaaiError `ERR_AUDIT_MALFORMED` when the whole is no note.
 */
export function addCosignatures(checkpoint: string, cosignatures: readonly string[]): string {
  const whole = checkpoint + cosignatures.join('')
  if (parseNote(whole).text !== parseNote(checkpoint).text)
    throw auditError(ERR_AUDIT_MALFORMED, 'Cannot add the cosignatures: they are no signature lines')
  return whole
}
