import {
  readNetworkCredential,
  verify as verifyCredential,
  verifyKwaaiLegacy,
  verifyPresentation,
  type Check,
  type Credential,
  type KwaaiLegacyResult,
  type Presentation,
  type VerifyPresentationResult,
  type VerifyResult
} from '@kwaai/identity/vc'
import { systemClock } from '@kwaai/interface/memory'
import { subjectNamed } from '../audit.ts'
import { verifyOptions } from '../credentials/verifying.ts'
import { nodeError } from '../errors.ts'
import type { ParsedOptions } from './options.ts'
import { jsonText, printable, type Io } from './terminal.ts'
import { idOf, readJsonText, typesOf, type VcVerb } from './vc-verb.ts'

/** Options of a verification, for all verbs that verify. */
export const verifyingOptions: VcVerb['options'] = {
  issuer: {
    type: 'string',
    value: '<did>',
    multiple: true,
    describe: 'verify, import: the only issuers to believe'
  },
  offline: { type: 'boolean', describe: 'verify, import: ask nobody; what has a status then does not hold' }
}

/** What came of a document of any kind. */
export type Verified =
  | ({ kind: 'credential' } & VerifyResult)
  | ({ kind: 'presentation' } & VerifyPresentationResult)
  | ({ kind: 'legacy' } & KwaaiLegacyResult)

/** Verifies a credential, a presentation, or a credential of the existing network. */
export async function verifyDocument(
  { text, value }: { text: string; value: unknown },
  options: ParsedOptions,
  io: Io
): Promise<Verified> {
  const document = value as Record<string, unknown> | null
  const contexts: unknown = document?.['@context']
  const has = (list: unknown, name: string): boolean =>
    Array.isArray(list) ? list.includes(name) : list === name
  const [challenge, domain] = [options.text('challenge'), options.text('domain')]
  const presented = has(document?.['type'], 'VerifiablePresentation')
  if (!presented && (challenge !== undefined || domain !== undefined)) {
    // Nobody signs a credential for an occasion: whoever has a copy could send it in place of a presentation.
    throw nodeError(
      'ERR_NODE_CREDENTIAL_INVALID',
      'Cannot verify it for a challenge or a domain: it is no presentation, so nobody signed it for that. ' +
        'Ask its holder for what "kwaai vc present" makes'
    )
  }
  const holder = options.text('holder')
  if (has(contexts, 'https://kwaai.ai/credentials/v1')) {
    const legacy = await verifyKwaaiLegacy(text, { now: systemClock.now() })
    return { kind: 'legacy', ...held(believed(legacy, options.list('issuer')), holder) }
  }
  const settings = {
    ...verifyOptions({ offline: options.flag('offline'), issuers: options.list('issuer') }),
    signal: io.signal
  }
  const bound = holder === undefined ? {} : { holder }
  if (presented) {
    const result = await verifyPresentation(value as Presentation, {
      ...settings,
      ...bound,
      ...(challenge === undefined ? {} : { challenge }),
      ...(domain === undefined ? {} : { domain })
    })
    return { kind: 'presentation', ...result }
  }
  return { kind: 'credential', ...(await verifyCredential(value as Credential, { ...settings, ...bound })) }
}

/** A legacy credential knows no policy; the issuers to believe are told by their did:key. */
function believed(result: KwaaiLegacyResult, issuers: readonly string[]): KwaaiLegacyResult {
  if (issuers.length === 0 || (result.issuer !== undefined && issuers.includes(result.issuer))) return result
  const check: Check = {
    name: 'issuerPolicy',
    ok: false,
    required: true,
    code: 'ISSUER_NOT_AUTHORIZED',
    message: 'The issuer is none of those to believe.'
  }
  return { ...result, ok: false, checks: [...result.checks, check] }
}

/** Nor does it know a holder to be compared with. */
function held(result: KwaaiLegacyResult, holder: string | undefined): KwaaiLegacyResult {
  if (holder === undefined) return result
  const ok = result.subject !== undefined && result.subject === subjectNamed(holder)
  const check: Check = {
    name: 'subjectBinding',
    ok,
    required: true,
    ...(ok ? {} : { code: 'SUBJECT_NOT_HOLDER', message: 'The credential is not about its holder.' })
  }
  return { ...result, ok: result.ok && ok, checks: [...result.checks, check] }
}

function checkLines(checks: readonly Check[], indent = ''): string[] {
  return checks.map(({ name, ok, required, code, message }) => {
    const state = required ? (ok ? 'ok' : 'FAILED') : '-'
    const told = [...(code === undefined ? [] : [code]), ...(message === undefined ? [] : [message])].join(
      ': '
    )
    return `${indent}${state.padEnd(6)}  ${name.padEnd(14)}  ${ok && required ? '' : told}`.trimEnd()
  })
}

/** What a credential says, for people: who says what about whom. */
export function credentialLines(credential: Credential, indent = ''): string[] {
  const subject = Array.isArray(credential.credentialSubject)
    ? credential.credentialSubject[0]
    : credential.credentialSubject
  const lines = [
    `Type     ${typesOf(credential).join(', ') || 'none of its own'}`,
    `Issuer   ${idOf(credential.issuer)}`,
    `Subject  ${idOf(subject) || 'not named'}`
  ]
  const read = readNetworkCredential(credential)
  if (read.ok) {
    for (const [name, value] of Object.entries(read.credential.claims)) {
      lines.push(`  ${name} ${typeof value === 'string' ? value : JSON.stringify(value)}`)
    }
  }
  // A value with a line feed in it could show a line of its own.
  return lines.map((line) => indent + printable(line.replace(/[\t\n]/g, '\ufffd')))
}

/** All checks by name, for people. */
export function verifiedText(verified: Verified, value: unknown): string {
  const lines: string[] = []
  if (verified.kind === 'presentation') {
    lines.push(verified.ok ? 'The presentation holds.' : 'The presentation does not hold.')
    lines.push(`Holder   ${verified.holder ?? 'not named'}`, ...checkLines(verified.checks))
    const { verifiableCredential: shown = [] } = value as Presentation
    const all = Array.isArray(shown) ? (shown as readonly Credential[]) : [shown as Credential]
    for (const [i, result] of verified.credentials.entries()) {
      lines.push('', `Credential ${i + 1} ${result.ok ? 'holds' : 'does not hold'}.`)
      const credential = all[i]
      if (result.ok && credential !== undefined) lines.push(...credentialLines(credential, '  '))
      lines.push(...checkLines(result.checks, '  '))
    }
  } else {
    lines.push(verified.ok ? 'The credential holds.' : 'The credential does not hold.')
    if (verified.kind === 'legacy') lines.push('It is one of the existing network, with legacy assurance.')
    const failed = verified.checks.some(({ name, ok }) => name === 'structure' && !ok)
    if (!failed) lines.push(...credentialLines(value as Credential))
    lines.push(...checkLines(verified.checks))
  }
  return `${lines.map(printable).join('\n')}\n`
}

/** `kwaai vc verify` */
export const verify: VcVerb = {
  options: {
    ...verifyingOptions,
    challenge: {
      type: 'string',
      value: '<text>',
      describe: 'verify, present: what the verifier asked to be signed'
    },
    domain: { type: 'string', value: '<name>', describe: 'verify, present: whom the presentation is for' },
    holder: {
      type: 'string',
      value: '<did>',
      describe: 'verify: who has to be the subject of the credential, and to have signed a presentation'
    }
  },
  minArgs: 1,
  maxArgs: 1,
  async run({ options, args, io }) {
    const read = await readJsonText(args[0] as string, io)
    if (typeof read.value !== 'object' || read.value === null || Array.isArray(read.value)) {
      throw nodeError('ERR_NODE_CREDENTIAL_INVALID', 'Cannot verify it: expected one JSON object')
    }
    const verified = await verifyDocument(read, options, io)
    io.stdout.write(options.flag('json') ? `${jsonText(verified)}\n` : verifiedText(verified, read.value))
    return verified.ok ? 0 : 1
  }
}
