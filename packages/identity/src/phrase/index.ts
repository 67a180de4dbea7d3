/**
 * Recovery: 24 words that hold everything a person's keys are made of, one key for each purpose.
 *
 * ```ts
 * import { createPhrase, identityFromPhrase } from '@kwaai/identity/phrase'
 *
 * const phrase = createPhrase() // to be written on paper
 * const before = identityFromPhrase(phrase, { purpose: 'controller' })
 * const after = identityFromPhrase(`  ${phrase.toUpperCase()}\n`, { purpose: 'controller' })
 * console.log(before.did === after.did) // true
 * ```
 *
 * @packageDocumentation
 */
export {
  createPhrase,
  PHRASE_WORDS,
  type PhraseComponents,
  phraseFromRoot,
  rootFromPhrase
} from './phrase.ts'
export { deriveSeed, identityFromPhrase, type KeyPurpose, type PhraseIdentityOptions } from './derive.ts'
export { ERR_IDENTITY_INVALID_DERIVATION, ERR_IDENTITY_INVALID_PHRASE } from '../errors.ts'
