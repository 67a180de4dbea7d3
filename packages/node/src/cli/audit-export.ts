import { mkdir, writeFile } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { exportSubject, formatNoteKey } from '@kwaai/audit'
import type { JsonObject } from '@kwaai/identity'
import { openSealedFile, sealedFiles, subjectNamed } from '../audit.ts'
import { openCredentials } from '../credentials/credential-folder.ts'
import { folderUnusable } from '../errors.ts'
import { writeSecretFile } from '../key-files.ts'
import { misuse, openSigned, type AuditVerb } from './audit-verb.ts'
import { tell } from './identity-verb.ts'
import { parseWhole } from './options.ts'

/** `kwaai audit prove` */
export const prove: AuditVerb = {
  options: {
    out: {
      type: 'string',
      value: '<file>',
      describe: 'prove, export, erase: where what comes of it is written'
    }
  },
  maxArgs: 1,
  async run(context) {
    const { args, options, io } = context
    if (args[0] === undefined) throw misuse('Cannot prove nothing: name the place of an entry, from 0')
    const seq = parseWhole('entry', args[0], 0, Number.MAX_SAFE_INTEGER)
    await using audit = await openSigned(context)
    const proof = await audit.log.prove(seq, { signal: io.signal })
    const out = options.text('out')
    if (out !== undefined) await writeSecretFile(resolve(out), Buffer.from(proof))
    if (options.flag('json')) io.stdout.write(`${JSON.stringify({ entry: seq, proof })}\n`)
    else if (out === undefined) io.stdout.write(proof)
    return 0
  }
}

/** `kwaai audit export` */
export const exportAudit: AuditVerb = {
  options: {
    tiles: {
      type: 'string',
      value: '<folder>',
      describe: 'export: write the log as files that any web host can serve'
    }
  },
  maxArgs: 1,
  async run(context) {
    const { args, options, io, dataDir } = context
    const subject = args[0] === undefined ? undefined : subjectNamed(args[0])
    const folder = options.text('tiles')
    if ((subject === undefined) === (folder === undefined))
      throw misuse('Cannot export: name either a person (a DID or an account) or --tiles <folder>')
    await using audit = await openSigned(context)
    if (folder !== undefined) {
      let files = 0
      for await (const { path, bytes } of audit.log.files({ signal: io.signal })) {
        await writeOut(join(folder, ...path.split('/')), bytes)
        files++
      }
      const key = formatNoteKey((await audit.log.policy()).key)
      tell(options, io, { files, folder, key }, [
        `${files} files in ${folder}, to be verified with the key`,
        key
      ])
      return 0
    }
    const out = options.text('out')
    if (out === undefined || subject === undefined)
      throw misuse('Cannot export to nowhere: give --out <file>')
    const also = await elsewhere(dataDir, subject)
    const bundle = await exportSubject(audit.log, subject, { also, signal: io.signal })
    await writeSecretFile(resolve(out), bundle)
    tell(options, io, { subject, file: out, bytes: bundle.length }, [
      `${out} holds in the clear everything that is kept here about ${subject}. Whoever has it can read it.`
    ])
    return 0
  }
}

/** What is kept about a person besides the log, by file. */
async function elsewhere(dataDir: string, subject: string): Promise<JsonObject> {
  const found: Record<string, { key: string; value: string }[]> = {}
  for (const [name, scopes] of Object.entries(sealedFiles)) {
    await using file = openSealedFile(dataDir, name, scopes)
    for await (const [key, value] of file.entriesOf(subject))
      (found[name] ??= []).push({ key, value: Buffer.from(value).toString() })
  }
  // What is about several persons is kept under the key of one of them.
  const credentials = openCredentials(dataDir)
  try {
    for (const shared of await credentials.sharedWith(subject))
      (found['credentials.log'] ??= []).push({
        key: `credential/${shared.id}`,
        value: JSON.stringify(shared)
      })
  } finally {
    await credentials.close()
  }
  return found
}

/** Writes a file of an exported log, with the folders it lies in. */
async function writeOut(path: string, bytes: Uint8Array): Promise<void> {
  try {
    await mkdir(dirname(path), { recursive: true })
    await writeFile(path, bytes, { mode: 0o644 })
  } catch (error) {
    throw folderUnusable(`write ${path}`, 'Name a file in a folder that can be written', error)
  }
}
