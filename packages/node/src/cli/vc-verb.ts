import type { Identity } from '@kwaai/identity'
import type { Credential } from '@kwaai/identity/vc'
import { parseJson } from '@kwaai/identity'
import type { CredentialFolder } from '../credentials/credential-folder.ts'
import { nodeError } from '../errors.ts'
import { readInput } from './input.ts'
import type { OptionSpec, ParsedOptions } from './options.ts'
import { jsonText, printable, type Io } from './terminal.ts'

/** What a verb of `kwaai vc` works with. */
export interface VcContext {
  options: ParsedOptions
  /** What follows the verb. */
  args: readonly string[]
  io: Io
  folder: CredentialFolder
  /** The key that signs: the node's. */
  identity(): Promise<Identity>
}

/** One verb of `kwaai vc`. */
export interface VcVerb {
  /** Options it has besides the ones of all verbs. */
  options: Record<string, OptionSpec>
  minArgs: number
  maxArgs: number
  /** @returns the exit status. */
  run(context: VcContext): Promise<number>
}

/**
 * Reads the JSON of a file or of standard input.
 *
 * @throws A KwaaiError `ERR_NODE_FILE_UNREADABLE` or `ERR_NODE_CREDENTIAL_INVALID`.
 */
export async function readDocument(file: string, io: Io): Promise<Credential> {
  const { text, value }: { text: string; value: unknown } = await readJsonText(file, io)
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Credential
  throw nodeError(
    'ERR_NODE_CREDENTIAL_INVALID',
    `Cannot read ${file === '-' ? 'standard input' : file}: expected one JSON object${text.trim() === '' ? ', and it is empty' : ''}`
  )
}

/** Why, without the beginning of a sentence that has begun already. */
function messageOf(cause: unknown): string {
  return (cause instanceof Error ? cause.message : String(cause)).replace(/^Cannot read the JSON: /, '')
}

/** The text of a file or of standard input, and what its JSON says. */
export async function readJsonText(file: string, io: Io): Promise<{ text: string; value: unknown }> {
  const bytes = await readInput(file, io)
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes)
    return { text, value: parseJson(text) }
  } catch (cause) {
    throw nodeError(
      'ERR_NODE_CREDENTIAL_INVALID',
      `Cannot read ${file === '-' ? 'standard input' : file}: ${messageOf(cause)}`,
      { cause }
    )
  }
}

/** Prints a document: on one line for programs, laid out for people. */
export function writeDocument({ options, io }: VcContext, document: object): void {
  io.stdout.write(`${jsonText(document, options.flag('json') ? 0 : 2)}\n`)
}

/** Tells people, on standard error, what was done besides. */
export function note({ options, io }: VcContext, text: string): void {
  if (!options.flag('json')) io.stderr.write(`${printable(text)}\n`)
}

/** The id of an issuer, a holder or a subject. */
export function idOf(value: unknown): string {
  if (typeof value === 'string') return value
  const id = (value as { id?: unknown } | undefined)?.id
  return typeof id === 'string' ? id : ''
}

/** The types of a credential besides `VerifiableCredential`. */
export function typesOf(credential: Credential): string[] {
  const { type } = credential
  return (Array.isArray(type) ? (type as string[]) : [type as string]).filter(
    (one) => one !== 'VerifiableCredential'
  )
}
