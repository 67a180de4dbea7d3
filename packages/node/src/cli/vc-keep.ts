import type { Credential, StatusEntry } from '@kwaai/identity/vc'
import { subjectOfCredential } from '../audit.ts'
import { statusListUrl, statusPurposes } from '../credentials/credential-folder.ts'
import { nodeError } from '../errors.ts'
import { jsonText, printable } from './terminal.ts'
import { credentialLines, verifyDocument, verifyingOptions } from './vc-verify.ts'
import { idOf, note, readJsonText, typesOf, writeDocument, type VcVerb } from './vc-verb.ts'

/** `kwaai vc list` */
export const list: VcVerb = {
  options: {},
  minArgs: 0,
  maxArgs: 0,
  async run({ options, io, folder }) {
    const all = await folder.list({ signal: io.signal })
    if (options.flag('json')) {
      io.stdout.write(`${jsonText(all)}\n`)
      return 0
    }
    if (all.length === 0) io.stdout.write('No credentials are kept here.\n')
    for (const { id, origin, keptAt, credential } of all) {
      const parts = [
        id.slice(0, 12),
        origin.padEnd(8),
        typesOf(credential).join(', ') || 'VerifiableCredential',
        `by ${idOf(credential.issuer)}`,
        `about ${subjectsOf(credential).map(idOf).join(', ') || 'nobody named'}`,
        new Date(keptAt).toISOString().slice(0, 10)
      ]
      io.stdout.write(`${printable(parts.join('  ').replace(/[\t\n]/g, '\ufffd'))}\n`)
    }
    return 0
  }
}

function subjectsOf({ credentialSubject: subject }: Credential): readonly unknown[] {
  return Array.isArray(subject) ? subject : [subject]
}

/** `kwaai vc show`: a credential as it is kept, for other programs. */
export const show: VcVerb = {
  options: {},
  minArgs: 1,
  maxArgs: 1,
  async run(context) {
    const { credential } = await context.folder.find(context.args[0] as string, { signal: context.io.signal })
    writeDocument(context, credential)
    return 0
  }
}

/** `kwaai vc import`: what does not hold is not kept. */
export const importCredential: VcVerb = {
  options: { ...verifyingOptions },
  minArgs: 1,
  maxArgs: 1,
  async run(context) {
    const { args, options, io, folder } = context
    const read = await readJsonText(args[0] as string, io)
    const verified = await verifyDocument(read, options, io)
    if (verified.kind === 'presentation') {
      throw nodeError(
        'ERR_NODE_CREDENTIAL_INVALID',
        'Cannot keep it: it is a presentation, and no credential'
      )
    }
    const failed = verified.checks.find((check) => check.required && !check.ok)
    if (!verified.ok) {
      throw nodeError(
        'ERR_NODE_CREDENTIAL_INVALID',
        `Cannot keep the credential: its ${failed?.name ?? 'structure'} does not hold (${failed?.code ?? ''}). ` +
          `${(failed?.message ?? '').replace(/[^.]$/, '$&.')} Nothing was kept`.trim(),
        { details: { checks: verified.checks } }
      )
    }
    const kept = await folder.keep(read.value as Credential, 'imported', { signal: io.signal })
    if (options.flag('json')) io.stdout.write(`${jsonText(kept)}\n`)
    else io.stdout.write(`Kept as ${kept.id}\n${credentialLines(kept.credential).join('\n')}\n`)
    return 0
  }
}

/** The entry of a credential on the own list for a purpose. */
function entryOn(credential: Credential, url: string | undefined, purpose: string): StatusEntry | undefined {
  if (url === undefined) return undefined
  const { credentialStatus: status = [] } = credential
  const entries = Array.isArray(status) ? (status as readonly StatusEntry[]) : [status as StatusEntry]
  return entries.find(
    (entry) => entry.statusPurpose === purpose && entry.statusListCredential === statusListUrl(url, purpose)
  )
}

/** `kwaai vc revoke` */
export const revoke: VcVerb = {
  options: {
    suspend: { type: 'boolean', describe: 'revoke: only for a while' },
    resume: { type: 'boolean', describe: 'revoke: end a suspension' }
  },
  minArgs: 1,
  maxArgs: 1,
  async run(context) {
    const { args, options, io, folder } = context
    const call = { signal: io.signal }
    const purpose = options.flag('suspend') || options.flag('resume') ? 'suspension' : 'revocation'
    const value = !options.flag('resume')
    const { id, credential } = await folder.find(args[0] as string, call)
    const url = await folder.statusUrl(call)
    const entry = entryOn(credential, url, purpose)
    const signer = await context.identity()
    const registry = await folder.registry(signer, call)
    if (entry === undefined || registry === undefined) {
      throw nodeError(
        'ERR_NODE_CREDENTIAL_UNKNOWN',
        `Cannot revoke ${id}: it is on no status list of this node. Only what was issued here with a status entry can be`
      )
    }
    const index = Number(entry.statusListIndex)
    await registry.set(index, purpose, value, call)
    // Signed now, so that whoever serves the folder need not have the key.
    const published = await registry.credential(purpose, call)
    const done = { id, purpose, index, value, list: published.id }
    const kind = value ? (purpose === 'revocation' ? 'revoked' : 'suspended') : 'resumed'
    const subject = subjectOfCredential(credential)
    await folder.record(
      { kind: `credential/${kind}`, data: done, ...(subject !== undefined && { subject }) },
      call
    )
    if (options.flag('json')) io.stdout.write(`${jsonText(done)}\n`)
    else {
      const what = value
        ? purpose === 'revocation'
          ? 'is revoked for good'
          : 'is suspended'
        : 'stands again'
      io.stdout.write(`${id} ${what}; the list to publish at ${printable(String(published.id))} says so\n`)
    }
    note(context, '"kwaai issuer serve" publishes it, or "kwaai vc status-list" prints it for a web server.')
    return 0
  }
}

/** `kwaai vc status-list`: the signed list, for those who publish it with a web server of their own. */
export const statusList: VcVerb = {
  options: {},
  minArgs: 1,
  maxArgs: 1,
  async run(context) {
    const { args, io, folder } = context
    const registry = await folder.registry(await context.identity(), { signal: io.signal })
    const purpose = args[0] as string
    if (registry === undefined || !(statusPurposes as readonly string[]).includes(purpose)) {
      throw nodeError(
        'ERR_NODE_INVALID_OPTION',
        registry === undefined
          ? 'Cannot print a status list: this node publishes none. "kwaai vc issue --status-url <url>" says where it will'
          : `Cannot print the status list ${printable(purpose)}: there are ${statusPurposes.join(' and ')}`
      )
    }
    writeDocument(context, await registry.credential(purpose, { signal: io.signal }))
    return 0
  }
}
