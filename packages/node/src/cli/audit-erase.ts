import { rm, stat, writeFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import { ERASURE_LIMITS, eraseSubject, verifyErasureReceipt } from '@kwaai/audit'
import { KwaaiError } from '@kwaai/interface'
import { openSealedFile, sealedFiles, subjectNamed } from '../audit.ts'
import { openCredentials } from '../credentials/credential-folder.ts'
import { folderUnusable } from '../errors.ts'
import { writeSecretFile } from '../key-files.ts'
import { misuse, openSigned, type AuditVerb } from './audit-verb.ts'
import { tell } from './identity-verb.ts'
import { printable } from './terminal.ts'

/** `kwaai audit erase` */
export const erase: AuditVerb = {
  options: {},
  maxArgs: 16,
  async run(context) {
    const { args, options, io, dataDir } = context
    if (args.length === 0)
      throw misuse('Cannot erase nobody: name a DID or an account, or several of one person')
    const name = options.text('out')
    const out = name === undefined ? undefined : resolve(name)
    if (out !== undefined && args.length > 1) throw misuse('Cannot write several receipts into one file')
    await using audit = await openSigned(context)
    // Made now: whoever is forgotten must not be left without a receipt because a folder cannot be written.
    if (out !== undefined) await writeSecretFile(out, new Uint8Array())
    const policy = await audit.log.policy()
    // What an older version kept in the clear no key would take with it.
    for (const [name, scopes] of Object.entries(sealedFiles)) {
      await using file = openSealedFile(dataDir, name, scopes)
      await file.takeOver({ signal: io.signal })
    }
    const subjects = new Set(args.map(subjectNamed))
    await deleteShared(dataDir, subjects, io.signal)
    const erased: { subject: string; entries: number; tombstone: number; receipt: string }[] = []
    const unknown: string[] = []
    // They are kept nowhere, and cannot be made again: whatever fails later, each is told.
    const receipts = new Map<string, string>()
    try {
      try {
        for (const subject of subjects) {
          const bytes = await eraseSubject(audit.log, subject, { signal: io.signal }).catch(
            (error: unknown) => {
              // Of several names of one person not each has to be known here.
              if (args.length === 1 || !KwaaiError.is(error, 'ERR_AUDIT_NOT_FOUND')) throw error
              return undefined
            }
          )
          if (bytes === undefined) {
            unknown.push(subject)
            continue
          }
          const receipt = Buffer.from(bytes).toString('base64')
          if (out === undefined) receipts.set(subject, receipt)
          if (out !== undefined) {
            await writeFile(out, bytes).catch((error: unknown) => {
              receipts.set(subject, receipt)
              throw folderUnusable(`write ${out}`, 'Keep the receipt above', error)
            })
          }
          const verified = await verifyErasureReceipt(bytes, { policy })
          if (!verified.ok) throw new KwaaiError(verified.code, verified.message)
          const { entries, tombstone } = verified.receipt
          erased.push({ subject, entries, tombstone, receipt })
        }
      } finally {
        // Without their keys nothing of them can be read; now the rest of the bytes goes too.
        await forgetAll(dataDir)
      }
    } catch (error) {
      for (const line of receiptLines(receipts)) io.stderr.write(`${line}\n`)
      if (out !== undefined && (await stat(out)).size === 0) await rm(out)
      throw error
    }
    tell(options, io, { erased, unknown, limits: ERASURE_LIMITS }, [
      ...erased.map(
        ({ subject, entries, tombstone }) =>
          `${subject} is forgotten here: the key is destroyed, ${entries} entries cannot be read any more; entry ${tombstone} says so without a name.`
      ),
      ...unknown.map((subject) => `Nothing was kept here about ${subject}.`),
      ...receiptLines(receipts),
      ...(out === undefined ? [] : [`The receipt is ${out}. It names the person, and is kept nowhere else.`]),
      'What this does not reach:',
      ...ERASURE_LIMITS.map((limit) => `- ${limit}`)
    ])
    return 0
  }
}

/** What is about several persons is kept under the key of one: it goes with each of them. */
async function deleteShared(
  dataDir: string,
  subjects: ReadonlySet<string>,
  signal: AbortSignal
): Promise<void> {
  const credentials = openCredentials(dataDir)
  try {
    for (const subject of subjects) await credentials.deleteShared(subject, { signal })
  } finally {
    await credentials.close()
  }
}

/** Writes each file anew, also where another cannot be written: a full disk has room for some. */
async function forgetAll(dataDir: string): Promise<void> {
  const failures: unknown[] = []
  for (const [name, scopes] of Object.entries(sealedFiles)) {
    await using file = openSealedFile(dataDir, name, scopes)
    await file.forget().catch((error: unknown) => failures.push(error))
  }
  if (failures.length > 0) throw failures[0]
}

function receiptLines(receipts: ReadonlyMap<string, string>): string[] {
  return Array.from(
    receipts,
    ([subject, receipt]) =>
      `The receipt of ${printable(subject)} is kept nowhere else. In base64 it is ${receipt}`
  )
}
