import type { Identity } from '@kwaai/identity'
import { createPhrase, identityFromPhrase } from '@kwaai/identity/phrase'
import { systemClock } from '@kwaai/interface/memory'
import { appendAudit } from '../audit.ts'
import { nodeError } from '../errors.ts'
import { putAside } from '../key-files.ts'
import { keyBytes, keyPath, keysOf, openKey, readKey, standingKey, type KeyOptions } from '../node-key.ts'
import { bindNode } from '../own-credentials.ts'
import { keepCredential } from './identity-credentials.ts'
import { keyOptionsOf, readInput, refuseToShow, tell, withClaim, type IdentityVerb } from './identity-verb.ts'
import { parseWhole, type ParsedOptions } from './options.ts'
import { newPassphrase } from './passphrase.ts'
import type { Io } from './terminal.ts'

const maxPhraseBytes = 1024

interface Made {
  controller: Identity
  node: Identity
  /** Whether the node's key is from the phrase too, now. */
  nodeFromPhrase: boolean
  aside: string | undefined
}

/**
 * Keeps the keys of a phrase: the controller's encrypted; the node's where there is none yet. One that stands is left
 * as it is. Controller and node sign that they belong together.
 */
async function keepKeys(
  dataDir: string,
  words: string,
  options: ParsedOptions,
  io: Io,
  keyOptions: KeyOptions
): Promise<Made> {
  const call = { signal: io.signal }
  const index = parseWhole('node-index', options.text('node-index') ?? '0', 0, 2 ** 31 - 1)
  const controller = identityFromPhrase(words, { purpose: 'controller' })
  const standing = await standingKey(dataDir, 'controller', call)
  const stored = await standingKey(dataDir, 'identity', call)
  const other = standing === 'damaged' || (standing !== undefined && standing.did !== controller.did)
  if (!options.flag('replace')) {
    if (other) throw inTheWay(keyPath(dataDir, 'controller'), standing === 'damaged')
    if (stored === 'damaged') throw inTheWay(keyPath(dataDir, 'identity'), true)
  }
  const derived = identityFromPhrase(words, { purpose: 'node', index })
  const standsWell = stored !== undefined && stored !== 'damaged'
  const node = standsWell ? (await openKey(dataDir, 'identity', stored, keyOptions)).identity : derived
  const now = systemClock.now()
  const passphrase = await newPassphrase(options, io, "the controller's key")
  const binding = await bindNode(controller, node, now)
  const sealed = await keyBytes('controller', controller, passphrase, call)
  // First: where it cannot be recorded nothing is made, and no words are lost.
  const data = { controller: controller.did, node: node.did }
  await appendAudit(dataDir, { kind: 'identity/kept', subject: controller.did, data }, call)
  const keys = keysOf(dataDir)
  const aside = other ? await putAside(dataDir, 'controller', now) : undefined
  await keys.put('controller', sealed, { replace: standing !== undefined, ...call })
  if (!standsWell) {
    // A passphrase that a file or the environment has is there for the node too; one that was typed is not.
    const bytes = await keyBytes('identity', node, keyOptions.passphrase, call)
    if (stored !== undefined) await putAside(dataDir, 'identity', now)
    await keys.put('identity', bytes, { replace: stored !== undefined, ...call })
  }
  await keepCredential(dataDir, binding, call)
  return { controller, node, nodeFromPhrase: node.did === derived.did, aside }
}

function inTheWay(path: string, damaged: boolean): Error {
  const what = damaged ? `what stands in ${path} cannot be read` : `another key stands in ${path}`
  return nodeError(
    'ERR_NODE_IDENTITY_EXISTS',
    `Cannot keep the keys: ${what}. --replace keeps it beside the new one`
  )
}

function linesOf({ controller, node, nodeFromPhrase, aside }: Made, dataDir: string): string[] {
  return [
    `Controller  ${controller.did}`,
    `            ${keyPath(dataDir, 'controller')} (encrypted)`,
    `Node        ${node.did}`,
    `            ${keyPath(dataDir, 'identity')} (${nodeFromPhrase ? 'the words bring it back' : 'as it was; the words do not bring it back'})`,
    'Both have signed that they belong together.',
    ...(aside === undefined ? [] : [`The controller's key from before is in ${aside}`])
  ]
}

function factsOf({ controller, node, nodeFromPhrase, aside }: Made): object {
  return {
    controller: controller.did,
    did: node.did,
    peerId: node.peerId,
    nodeFromPhrase,
    ...(aside === undefined ? {} : { aside })
  }
}

async function confirm(dataDir: string, options: ParsedOptions, io: Io): Promise<number> {
  const words = await readInput(io, 'The 24 words: ', maxPhraseBytes)
  const { did } = identityFromPhrase(words, { purpose: 'controller' })
  const stored = await readKey(dataDir, 'controller', { signal: io.signal })
  if (stored?.did !== did) {
    throw nodeError(
      'ERR_NODE_PHRASE_DIFFERS',
      stored === undefined
        ? `Cannot confirm the words: there is no controller's key in ${dataDir}. They stand for ${did}`
        : `Cannot confirm the words: they stand for ${did}, not for the key in ${keyPath(dataDir, 'controller')}`
    )
  }
  tell(options, io, { controller: did, confirmed: true }, [`The words bring back ${did}.`])
  return 0
}

async function restore(dataDir: string, options: ParsedOptions, io: Io): Promise<number> {
  const words = await readInput(io, 'The 24 words: ', maxPhraseBytes)
  // A slip of the pen is told before anything is asked or made.
  identityFromPhrase(words, { purpose: 'controller' })
  const keyOptions = await keyOptionsOf(options, io)
  const made = await withClaim(dataDir, 'restore the identity', () =>
    keepKeys(dataDir, words, options, io, keyOptions)
  )
  tell(options, io, factsOf(made), linesOf(made, dataDir))
  return 0
}

async function make(dataDir: string, options: ParsedOptions, io: Io): Promise<number> {
  if (!options.flag('show-words') && (io.stdout.isTTY !== true || options.flag('json'))) {
    refuseToShow('the 24 words', '--show-words writes them to standard output all the same')
  }
  const words = createPhrase()
  const keyOptions = await keyOptionsOf(options, io)
  const made = await withClaim(dataDir, 'make the identity', () =>
    keepKeys(dataDir, words, options, io, keyOptions)
  )
  const list = words.split(' ').map((word, at) => `${String(at + 1).padStart(2)} ${word.padEnd(8)}`)
  tell(options, io, { ...factsOf(made), words }, [
    ...linesOf(made, dataDir),
    '',
    'These words bring the keys back, to anybody who has them. They are shown this once and kept nowhere: write them',
    'on paper. "kwaai identity phrase --confirm" tells whether what is written is right.',
    '',
    ...Array.from({ length: 6 }, (_, row) => `  ${list.slice(4 * row, 4 * row + 4).join('  ')}`.trimEnd())
  ])
  return 0
}

/** `kwaai identity phrase` */
export const phrase: IdentityVerb = {
  options: {
    restore: {
      type: 'boolean',
      describe: 'phrase: read 24 words from standard input and bring back their keys'
    },
    confirm: {
      type: 'boolean',
      describe: "phrase: read 24 words and tell whether they are those of the controller's key"
    },
    'show-words': {
      type: 'boolean',
      describe: 'phrase: write the words also where standard output is no terminal'
    },
    'node-index': {
      type: 'string',
      value: '<n>',
      describe:
        "phrase: which of the words' keys a node without one gets, default 0; each machine needs its own"
    },
    replace: {
      type: 'boolean',
      describe: 'phrase, import: take the place of another key, which is kept beside it'
    }
  },
  async run(dataDir, options, io) {
    if (options.flag('restore') && options.flag('confirm')) {
      throw nodeError(
        'ERR_NODE_INVALID_OPTION',
        'Cannot use --restore with --confirm: the one makes keys, the other looks'
      )
    }
    if (options.flag('confirm')) return confirm(dataDir, options, io)
    return options.flag('restore') ? restore(dataDir, options, io) : make(dataDir, options, io)
  }
}
