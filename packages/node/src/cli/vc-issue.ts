import { parseDid } from '@kwaai/identity'
import {
  addProof,
  eddsaJcs2022,
  issue as issueCredential,
  networkCredential,
  verify,
  type Credential,
  type NetworkClaims,
  type NetworkType,
  type StatusEntry
} from '@kwaai/identity/vc'
import { KwaaiError } from '@kwaai/interface'
import { systemClock } from '@kwaai/interface/memory'
import { verifyOptions } from '../credentials/verifying.ts'
import { nodeError } from '../errors.ts'
import { parseExpiry } from './keys.ts'
import { printable } from './terminal.ts'
import { idOf, note, readDocument, writeDocument, type VcContext, type VcVerb } from './vc-verb.ts'

/** `name=text`, or `name:=` and JSON. */
function parseClaims(list: readonly string[]): unknown {
  const claims: Record<string, unknown> = {}
  for (const text of list) {
    const match = /^([A-Za-z][A-Za-z0-9]*)(:?=)([\s\S]*)$/.exec(text)
    const [, name, equals, value] = match ?? []
    if (name === undefined || value === undefined || Object.hasOwn(claims, name)) throw refuse(text)
    try {
      claims[name] = equals === ':=' ? JSON.parse(value) : value
    } catch {
      throw refuse(text)
    }
  }
  return claims
}

function refuse(text: string): Error {
  return nodeError(
    'ERR_NODE_INVALID_OPTION',
    `Cannot use --claim ${printable(text)}: expected name=text, or name:=JSON such as probes:=12, each name once`
  )
}

/** The DID a person may mean by a did:key, a peer id, or KwaaiNet's did:peer; other DIDs stay as they are. */
function subjectOf(text: string | undefined): string {
  if (text === undefined) {
    throw nodeError(
      'ERR_NODE_INVALID_OPTION',
      'Cannot issue a credential about nobody: name the --subject by its DID or peer id'
    )
  }
  try {
    return parseDid(text)
  } catch (error) {
    if (/^did:(?!key:|peer:)[a-z0-9]+:./.test(text)) return text
    throw nodeError(
      'ERR_NODE_INVALID_OPTION',
      `Cannot use --subject ${printable(text)}: it is no DID and no peer id`,
      { cause: error }
    )
  }
}

function typed(context: VcContext, issuer: string, status: readonly StatusEntry[]): Credential {
  const { options } = context
  const expires = options.text('expires')
  const now = systemClock.now()
  return networkCredential({
    type: (options.text('type') ?? '') as NetworkType,
    issuer,
    subject: subjectOf(options.text('subject')),
    claims: parseClaims(options.list('claim')) as NetworkClaims[NetworkType],
    validFrom: now,
    ...(expires === undefined ? {} : { validUntil: parseExpiry(expires, now) }),
    status
  })
}

/** `kwaai vc issue` */
export const issue: VcVerb = {
  options: {
    type: {
      type: 'string',
      value: '<type>',
      describe: 'issue: a type of the network, such as UptimeCredential'
    },
    subject: { type: 'string', value: '<did>', describe: 'issue: whom it is about: a DID, or a peer id' },
    claim: {
      type: 'string',
      value: '<name=text>',
      multiple: true,
      describe: 'issue: a claim, or name:=JSON for what is no text'
    },
    expires: { type: 'string', value: '<when>', describe: 'issue: when it ends: 12h, 30d, 4w or a date' },
    'status-url': {
      type: 'string',
      value: '<url>',
      describe: 'issue: where the status lists of this issuer are published, said once'
    },
    'no-status': { type: 'boolean', describe: 'issue: without a status entry: it can then not be revoked' }
  },
  minArgs: 0,
  maxArgs: 1,
  async run(context) {
    const { options, args, io, folder } = context
    const [file] = args
    if ((file === undefined) === (options.text('type') === undefined)) {
      throw nodeError(
        'ERR_NODE_INVALID_OPTION',
        'Cannot issue it: give either --type with --subject and claims, or a file (- for standard input) with the credential'
      )
    }
    const call = { signal: io.signal }
    const url = options.text('status-url')
    if (url !== undefined) await folder.setStatusUrl(url, call)
    const signer = await context.identity()
    const wanted = file === undefined ? typed(context, signer.did, []) : await readDocument(file, io)
    // What would be refused must not take an entry.
    const plain = await signed(wanted, signer)
    const withEntry = !options.flag('no-status') && wanted.credentialStatus === undefined
    const entries = withEntry ? await folder.allocate(signer, call) : []
    const credential =
      entries.length === 0 ? plain : await signed({ ...wanted, credentialStatus: entries }, signer)
    const { id } = await folder.keep(credential, 'issued', call)
    writeDocument(context, credential)
    note(
      context,
      `Kept as ${id}${entries.length > 0 ? '; "kwaai vc revoke" takes it back' : '; it has no status entry and cannot be revoked'}`
    )
    return 0
  }
}

async function signed(
  credential: Credential,
  signer: Parameters<typeof issueCredential>[1]
): Promise<Credential> {
  try {
    return (await issueCredential(credential, signer, { now: systemClock.now() })) as Credential
  } catch (cause) {
    if (!KwaaiError.is(cause)) throw cause
    throw nodeError('ERR_NODE_CREDENTIAL_INVALID', cause.message, { cause })
  }
}

/** `kwaai vc cosign`: the second signature of what two have to sign. */
export const cosign: VcVerb = {
  options: {},
  minArgs: 1,
  maxArgs: 1,
  async run(context) {
    const { args, io, folder } = context
    const credential = await readDocument(args[0] as string, io)
    const signer = await context.identity()
    const result = await verify(credential, { ...verifyOptions(), signal: io.signal })
    const failed = result.checks.find((check) => check.required && !check.ok)
    if (failed !== undefined) {
      throw nodeError(
        'ERR_NODE_CREDENTIAL_INVALID',
        `Cannot sign it too: its ${failed.name} does not hold. ${failed.message}`
      )
    }
    if (idOf(credential.credentialSubject) !== signer.did) {
      throw nodeError(
        'ERR_NODE_CREDENTIAL_INVALID',
        `Cannot sign it too: it is not about ${signer.did}, which would sign`
      )
    }
    const both = (await addProof(credential, {
      signer,
      suite: eddsaJcs2022,
      created: systemClock.now(),
      signal: io.signal
    })) as Credential
    const { id } = await folder.keep(both, 'imported', { signal: io.signal })
    writeDocument(context, both)
    note(context, `Signed too, and kept as ${id}`)
    return 0
  }
}
