import type { BatchOperation, CallOptions, Signer } from '@kwaai/interface'
import { equalBytes, textOf, toHex, utf8 } from './bytes.ts'
import { parseCheckpoint, signCheckpoint, type Checkpoint } from './checkpoint.ts'
import {
  DEFAULT_CHECKPOINT_ENTRIES,
  DEFAULT_CHECKPOINT_MS,
  MAX_BATCH_ENTRIES,
  MAX_DATA_BYTES,
  NOTE_ED25519
} from './constants.ts'
import {
  ERR_AUDIT_INVALID_ENTRY,
  ERR_AUDIT_INVALID_INIT,
  ERR_AUDIT_NOT_FOUND,
  auditError,
  isAuditError
} from './errors.ts'
import { checkpointKey, createLogStore, damaged, dataKey, emptyHead, type LogHead } from './log-store.ts'
import { keepParts, type AuditLogParts } from './log-parts.ts'
import type { AuditEntry, AuditLog, AuditLogComponents, AuditLogInit, StoredEntry } from './log-types.ts'
import { consistencyProof, frontierRoot, inclusionProof, rootAt } from './merkle.ts'
import { checkNoteKey, parseNote, verifySignatures, type Note, type NoteKey } from './note.ts'
import { createQueue } from './queue.ts'
import { decodeRecord, encodeRecord, isKind, type AuditRecord } from './record.ts'
import { commitmentOf, deriveKey, entryTag, openBytes, sealBytes, tagKeyOf } from './sealing.ts'
import { NOBODY as nobody, checkPerson } from './subject-keys.ts'
import { hasTile, parseTilePath, tilePath, tilesOf } from './tiles.ts'
import { formatTlogProof } from './tlog-proof.ts'

const dataPurpose = 'kwaai/audit/data/1'
const saltBytes = 32

/**
 * Opens the log that a store holds, a new one where it holds none.
 *
 * @throws A KwaaiError `ERR_AUDIT_INVALID_INIT` when an option is out of its range.
 */
export function createAuditLog(init: AuditLogInit, components: AuditLogComponents): AuditLog {
  const { store, clock, random, keys } = components
  const { checkpointEntries = DEFAULT_CHECKPOINT_ENTRIES, checkpointMs = DEFAULT_CHECKPOINT_MS } = init
  if (!(checkpointEntries >= 1) || !(checkpointMs >= 0))
    throw auditError(
      ERR_AUDIT_INVALID_INIT,
      'Cannot open the log: checkpointEntries or checkpointMs is out of range'
    )
  const signerNow = (): Signer => {
    if (components.signer !== undefined) return components.signer
    throw auditError(ERR_AUDIT_INVALID_INIT, 'Cannot sign the log: it was opened without a signer')
  }
  const keyOf = (origin: string): NoteKey =>
    checkNoteKey({ name: origin, type: NOTE_ED25519, publicKey: signerNow().publicKey })
  const firstOrigin = init.origin ?? `kwaai-audit/${toHex(random.bytes(16))}`
  checkNoteKey({ name: firstOrigin, type: NOTE_ED25519, publicKey: new Uint8Array(32) })
  const exclusive = components.exclusive ?? createQueue()
  const logStore = createLogStore(store)
  let signedAt = clock.now()

  const lastSigned = async (options?: CallOptions): Promise<string | undefined> => {
    const bytes = await store.get(checkpointKey, options)
    return bytes === undefined ? undefined : (textOf(bytes) ?? '')
  }
  /** An empty log has its name for ever too, once somebody has seen it. */
  const signedOrigin = async (options?: CallOptions): Promise<string> => {
    const last = await lastSigned(options)
    return last === undefined ? firstOrigin : readSigned(last).checkpoint.origin
  }
  const headOf = async (options?: CallOptions): Promise<LogHead> => {
    const head = (await logStore.head(options)) ?? emptyHead(await signedOrigin(options))
    if (init.origin !== undefined && head.origin !== init.origin)
      throw auditError(
        ERR_AUDIT_INVALID_INIT,
        `Cannot open the log: it is not ${init.origin} but ${head.origin}`
      )
    return head
  }
  const sizeOf = async (seq: number, options?: CallOptions): Promise<number> => {
    const { size } = (await headOf(options)).frontier
    if (!(Number.isSafeInteger(seq) && seq >= 0 && seq < size))
      throw auditError(ERR_AUDIT_NOT_FOUND, `Cannot find entry ${seq}: the log has ${size}, from 0 on`)
    return size
  }

  /** What was signed last, where what is kept goes on from it. */
  const checkKept = async (
    { frontier }: LogHead,
    options?: CallOptions
  ): Promise<(ReturnType<typeof readSigned> & { text: string }) | undefined> => {
    const root = frontierRoot(frontier)
    if (!equalBytes(await rootAt(frontier.size, logStore.hashes(frontier.size, options)), root))
      throw damaged('its entries are not those its head was made of')
    const text = await lastSigned(options)
    if (text === undefined) return undefined
    const { note, checkpoint: before } = readSigned(text)
    const kept =
      before.size <= frontier.size && (await rootAt(before.size, logStore.hashes(frontier.size, options)))
    if (!kept || !equalBytes(kept, before.root))
      throw damaged(`it does not begin with the ${before.size} entries that were signed`)
    return { note, checkpoint: before, text }
  }
  const sign = async ({ origin, frontier }: LogHead, options?: CallOptions): Promise<string> => {
    const { size } = frontier
    const signed = await signCheckpoint({ origin, size, root: frontierRoot(frontier) }, signerNow())
    await store.put(checkpointKey, utf8(signed), options)
    signedAt = clock.now()
    return signed
  }
  const signNow = async (options?: CallOptions): Promise<string> => {
    const head = await headOf(options)
    const last = await checkKept(head, options)
    // After a change of keys the same size is signed anew.
    if (
      last?.checkpoint.size === head.frontier.size &&
      (await verifySignatures(last.note, [keyOf(head.origin)])).length > 0
    )
      return last.text
    return sign(head, options)
  }
  const signedSize = async (options?: CallOptions): Promise<number> => {
    const last = await lastSigned(options)
    return last === undefined ? 0 : readSigned(last).checkpoint.size
  }
  const isDue = (waiting: number): boolean =>
    components.signer !== undefined &&
    (waiting >= checkpointEntries || clock.now() - signedAt >= checkpointMs)
  /** The entries are kept by now: whoever appended them would append them again if this failed. */
  const signDue = async (head: LogHead): Promise<void> => {
    try {
      await sign(head)
    } catch (error) {
      components.onUnsigned?.(error)
    }
  }

  const appendNow: AuditLogParts['appendNow'] = async (entries, options = {}) => {
    const head = await headOf(options)
    const signed = await signedSize(options)
    if (signed > head.frontier.size)
      throw damaged(`${signed} entries were signed, ${head.frontier.size} are there`)
    const due = isDue(head.frontier.size + entries.length - signed)
    // What does not follow from what was signed is told before anything is kept on top of it.
    if (due) await checkKept(head, options)
    const records: AuditRecord[] = []
    const data: BatchOperation[] = []
    for (const entry of entries) {
      const seq = head.frontier.size + records.length
      const key = await keys.make(entry.subject ?? nobody, options)
      const salt = entry.salt ?? random.bytes(saltBytes)
      const record: AuditRecord = {
        v: 1,
        seq,
        at: Math.max(0, Math.floor(clock.now())),
        kind: entry.kind,
        ...(entry.subject !== undefined && { subject: entryTag(tagKeyOf(key.secret), seq) }),
        commitment: commitmentOf(salt, entry.data)
      }
      records.push(record)
      if (entry.keepData === false) continue
      const text = new Uint8Array([...salt, ...entry.data])
      const value = sealBytes(deriveKey(key.secret, dataPurpose), encodeRecord(record), text, random)
      data.push({ type: 'put', key: dataKey(seq), value })
    }
    const { operations, head: next } = await logStore.append(head, records.map(encodeRecord), options)
    await store.batch([...operations, ...data, ...(options.operations ?? [])], options)
    if (due) await signDue(next)
    return records
  }

  const read = async (
    record: AuditRecord,
    secret: Uint8Array,
    options?: CallOptions
  ): Promise<StoredEntry & { unopened?: true }> => {
    const sealed = await store.get(dataKey(record.seq), options)
    if (sealed === undefined) return { record }
    const text = openBytes(deriveKey(secret, dataPurpose), encodeRecord(record), sealed)
    if (text === undefined) return { record, unopened: true }
    return { record, salt: text.slice(0, saltBytes), data: text.slice(saltBytes) }
  }

  const proofOf = async (seq: number, checkpoint: string, options: CallOptions): Promise<string> => {
    const { size } = parseCheckpoint(parseNote(checkpoint).text)
    const proof = await inclusionProof(seq, size, logStore.hashes(size, options))
    return formatTlogProof({ index: seq, proof, checkpoint, extra: await logStore.entry(seq, options) })
  }

  const appendAll: AuditLog['appendAll'] = async (entries, options = {}) => {
    if (entries.length < 1 || entries.length > MAX_BATCH_ENTRIES)
      throw auditError(
        ERR_AUDIT_INVALID_ENTRY,
        `Cannot append ${entries.length} entries: 1 to ${MAX_BATCH_ENTRIES} go at once`
      )
    // Copies, since the caller may change its arrays while this waits for its turn.
    const own = entries.map(checkedEntry)
    return exclusive(() => appendNow(own, options), options)
  }

  const log: AuditLog = {
    append: async (entry, options) => void (await appendAll([entry], options)),
    appendAll,
    size: async (options) => (await headOf(options)).frontier.size,
    async policy(options) {
      const { origin } = await headOf(options)
      return { origin, key: keyOf(origin) }
    },
    checkpoint: (options = {}) => exclusive(() => signNow(options), options),
    async entry(seq, options = {}) {
      await sizeOf(seq, options)
      const record = decodeRecord(await logStore.entry(seq, options))
      const key = await keys.get(options.subject ?? nobody, options)
      if (key === undefined) return { record }
      const { unopened: _, ...found } = await read(record, key.secret, options)
      return found
    },
    async *entriesOf(subject, options = {}) {
      const key = await keys.get(subject ?? nobody, options)
      if (key === undefined) return
      const tags = tagKeyOf(key.secret)
      const { size } = (await headOf(options)).frontier
      for await (const bytes of logStore.entries(0, size, options)) {
        const record = decodeRecord(bytes)
        if (record.subject !== (subject === undefined ? undefined : entryTag(tags, record.seq))) continue
        const { data, salt, unopened } = await read(record, key.secret, options)
        // Taken away it would be forgotten; changed it is not to be left out without a word.
        if (unopened === true && subject !== undefined)
          throw damaged(`the data of entry ${record.seq} is not what was sealed`)
        if (data !== undefined && salt !== undefined) yield { record, data, salt }
      }
    },
    async prove(seq, options = {}) {
      await sizeOf(seq, options)
      return proofOf(seq, await log.checkpoint(options), options)
    },
    async proveConsistency(from, options = {}) {
      const checkpoint = await log.checkpoint(options)
      const { size } = parseCheckpoint(parseNote(checkpoint).text)
      if (!(Number.isSafeInteger(from) && from >= 0 && from <= size))
        throw auditError(ERR_AUDIT_NOT_FOUND, `Cannot prove from ${from} on: the log has ${size} entries`)
      return { proof: await consistencyProof(from, size, logStore.hashes(size, options)), checkpoint }
    },
    async file(path, options = {}) {
      const checkpoint = await lastSigned(options)
      if (checkpoint === undefined) return undefined
      if (path === 'checkpoint') return utf8(checkpoint)
      const { size } = readSigned(checkpoint).checkpoint
      const place = parseTilePath(path)
      return place !== undefined && hasTile(size, place) ? logStore.tile(place, options) : undefined
    },
    async *files(options = {}) {
      const checkpoint = await log.checkpoint(options)
      const { size } = parseCheckpoint(parseNote(checkpoint).text)
      for (const place of tilesOf(size))
        yield { path: tilePath(place), bytes: await logStore.tile(place, options) }
      yield { path: 'checkpoint', bytes: utf8(checkpoint) }
    },
    async [Symbol.asyncDispose]() {
      if (components.signer !== undefined && (await headOf()).frontier.size > 0) await log.checkpoint()
    }
  }
  const proveNow: AuditLogParts['proveNow'] = async (seq, options = {}) =>
    proofOf(seq, await signNow(options), options)
  keepParts(log, { components, logStore, exclusive, appendNow, proveNow })
  return log
}

/** The checkpoint as the store has it: one that cannot be read is damage, and no fault of whoever asks. */
function readSigned(text: string): { note: Note; checkpoint: Checkpoint } {
  try {
    const note = parseNote(text)
    return { note, checkpoint: parseCheckpoint(note.text) }
  } catch (error) {
    if (isAuditError(error)) throw damaged('its last checkpoint cannot be read')
    throw error
  }
}

function checkedEntry({ kind, subject, data }: AuditEntry): AuditEntry {
  if (!isKind(kind))
    throw auditError(
      ERR_AUDIT_INVALID_ENTRY,
      `Cannot append ${JSON.stringify(kind.slice(0, 80))}: a kind has lower-case segments, such as "grant/made"`
    )
  if (data.length > MAX_DATA_BYTES)
    throw auditError(
      ERR_AUDIT_INVALID_ENTRY,
      `Cannot append the entry: its data of ${data.length} bytes is more than ${MAX_DATA_BYTES}`
    )
  return { kind, data: data.slice(), ...(subject !== undefined && { subject: checkPerson(subject) }) }
}
