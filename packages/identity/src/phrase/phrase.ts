import type { Random } from '@kwaai/interface'
import { systemRandom } from '@kwaai/interface/memory'
import { entropyToMnemonic, mnemonicToEntropy } from '@scure/bip39'
import { wordlist } from '@scure/bip39/wordlists/english.js'
import { SEED_BYTES } from '../constants.ts'
import { ERR_IDENTITY_INVALID_PHRASE, identityError } from '../errors.ts'
import { checkSeed } from '../key-protobuf.ts'

/** Words of a recovery phrase: 256 bits of entropy and 8 of a checksum, 11 a word (BIP-39). */
export const PHRASE_WORDS = 24

// The longest phrase of the English list has 24 words of 8 letters.
const maxLength = 1024

const known: ReadonlySet<string> = new Set(wordlist)

/** What a new phrase needs. */
export interface PhraseComponents {
  /** Where the entropy comes from. Default: the platform's cryptographic randomness. */
  random?: Random
}

/**
 * A new recovery phrase: 24 English words (BIP-39) for 32 bytes of root entropy, from which every key of a person can
 * be derived. Secret: whoever has it is that person. Written on paper it is the copy of last resort.
 */
export function createPhrase(components: PhraseComponents = {}): string {
  return phraseFromRoot((components.random ?? systemRandom).bytes(SEED_BYTES))
}

/**
 * The phrase of a root.
 *
 * @throws A KwaaiError `ERR_IDENTITY_INVALID_SEED` when the root has not 32 bytes.
 */
export function phraseFromRoot(root: Uint8Array): string {
  return entropyToMnemonic(checkSeed(root), wordlist)
}

/**
 * The root entropy, 32 bytes, of a phrase. It is the entropy itself, not the BIP-39 seed that wallets stretch from the
 * words. Capitals, white space and compatibility forms of letters make no difference.
 *
 * @throws A KwaaiError `ERR_IDENTITY_INVALID_PHRASE` when there are not 24 words, one is not in the list (its position,
 * from 1, is in the details), or the checksum does not hold. The error never holds a word.
 */
export function rootFromPhrase(phrase: string): Uint8Array {
  if (phrase.length > maxLength) refuse(`it has ${phrase.length} characters, more than any phrase`)
  const words = phrase.normalize('NFKD').toLowerCase().split(/\s+/).filter(Boolean)
  const unknown = words.findIndex((word) => !known.has(word))
  if (words.length !== PHRASE_WORDS) refuse(`it has ${words.length} words, and a phrase has ${PHRASE_WORDS}`)
  if (unknown >= 0) {
    refuse(`word ${unknown + 1} is not in the list. Look for a letter written wrong`, {
      position: unknown + 1
    })
  }
  try {
    return mnemonicToEntropy(words.join(' '), wordlist)
  } catch {
    return refuse(
      'its words do not belong together. One of them is another word of the list, or two have changed places'
    )
  }
}

function refuse(why: string, details: { position?: number } = {}): never {
  throw identityError(ERR_IDENTITY_INVALID_PHRASE, `Cannot read the phrase: ${why}`, details)
}
