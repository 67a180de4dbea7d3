import { join } from 'node:path'
import {
  formatNoteKey,
  parseNoteKey,
  parseTlogProof,
  verifyBundle,
  verifyErasureReceipt,
  verifyFiles,
  verifyTlogProof,
  type Checked,
  type Checkpoint,
  type LogPolicy
} from '@kwaai/audit'
import { KwaaiError } from '@kwaai/interface'
import { openSigned, policyOf, type AuditContext, type AuditVerb } from './audit-verb.ts'
import { nodeError } from '../errors.ts'
import { tell } from './identity-verb.ts'
import { readInput } from './input.ts'
import { jsonText, type Io } from './terminal.ts'

const maxFileBytes = 80 * 2 ** 20

/** `kwaai audit verify` */
export const verifyAudit: AuditVerb = {
  options: {
    tiles: {
      type: 'string',
      value: '<folder>',
      describe: 'verify: the exported log in this folder, not the own one'
    },
    key: {
      type: 'string',
      value: '<key>',
      describe:
        'verify: the key of the log, <name>+<id>+<key>, as "kwaai audit verify" prints it; default the own one'
    },
    seen: {
      type: 'string',
      value: '<file>',
      describe: 'verify: a checkpoint from before, which the log has to go on from'
    }
  },
  maxArgs: 1,
  async run(context) {
    const { options, args, io } = context
    const given = options.text('key')
    const key = given === undefined ? undefined : parseNoteKey(given)
    const seenFile = options.text('seen')
    const more = {
      signal: io.signal,
      ...(seenFile !== undefined && { seen: (await read(seenFile, io)).toString() })
    }
    const [file] = args
    const folder = options.text('tiles')
    if (key !== undefined && (file !== undefined || folder !== undefined)) {
      const policy = policyOf(key)
      return report(
        context,
        policy,
        file === undefined
          ? await verifyFiles(
              (path) => readIfThere(join(folder as string, ...path.split('/')), io),
              policy,
              more
            )
          : await verifyFile(await read(file, io), policy)
      )
    }
    await using audit = await openSigned(context)
    const policy = key === undefined ? await audit.log.policy() : policyOf(key)
    if (file !== undefined) return report(context, policy, await verifyFile(await read(file, io), policy))
    if (folder !== undefined) {
      const reader = (path: string): Promise<Uint8Array | undefined> =>
        readIfThere(join(folder, ...path.split('/')), io)
      return report(context, policy, await verifyFiles(reader, policy, more))
    }
    await audit.log.checkpoint({ signal: io.signal })
    return report(
      context,
      policy,
      await verifyFiles((path, call) => audit.log.file(path, call), policy, more)
    )
  }
}

/** What is told of what was verified. */
interface Facts {
  [name: string]: unknown
  checkpoint: Checkpoint
}

/** A proof, a bundle or a receipt: whichever it is. */
async function verifyFile(bytes: Buffer, policy: LogPolicy): Promise<Checked<Facts>> {
  const text = bytes.toString()
  if (text.startsWith('c2sp.org/tlog-proof')) {
    const found = await verifyTlogProof(text, policy)
    return found.ok ? { ok: true, proves: parseTlogProof(text).index, checkpoint: found.checkpoint } : found
  }
  const bundle = await verifyBundle(bytes, { policy })
  if (bundle.ok) {
    const { subject, exportedAt, entries } = bundle.bundle
    return {
      ok: true,
      subject,
      exportedAt,
      entries: entries.length,
      signer: bundle.signer,
      checkpoint: bundle.checkpoint
    }
  }
  const receipt = await verifyErasureReceipt(bytes, { policy })
  if (receipt.ok)
    return { ok: true, ...receipt.receipt, signer: receipt.signer, checkpoint: receipt.checkpoint }
  // Of another purpose each is malformed to the other: what is wrong with the one it is, is told.
  return bundle.code === 'ERR_AUDIT_MALFORMED' ? receipt : bundle
}

function report({ options, io }: AuditContext, policy: LogPolicy, result: Checked<Facts>): number {
  if (!result.ok) {
    if (!options.flag('json')) throw new KwaaiError(result.code, result.message)
    io.stdout.write(`${jsonText({ valid: false, code: result.code, message: result.message })}\n`)
    return 1
  }
  const { ok: _, checkpoint, ...rest } = result
  const key = Array.isArray(policy.key) ? policy.key[0] : policy.key
  const facts: Record<string, unknown> = {
    ...rest,
    origin: checkpoint.origin,
    size: checkpoint.size,
    root: Buffer.from(checkpoint.root).toString('base64'),
    key: formatNoteKey(key)
  }
  const lines = Object.entries(facts).map(([name, value]) => `${name.padEnd(10)}  ${String(value)}`)
  tell(options, io, { valid: true, ...facts }, ['Every check holds.', ...lines])
  return 0
}

async function readIfThere(path: string, io: Io): Promise<Uint8Array | undefined> {
  return read(path, io).catch((error: Error) => {
    if ((error.cause as NodeJS.ErrnoException | undefined)?.code === 'ENOENT') return undefined
    throw error
  })
}

async function read(path: string, io: Io): Promise<Buffer> {
  const bytes = await readInput(path, io, maxFileBytes + 1)
  if (bytes.length <= maxFileBytes) return Buffer.from(bytes)
  throw nodeError('ERR_NODE_FILE_UNREADABLE', `Cannot read ${path}: it is above ${maxFileBytes} bytes`)
}
