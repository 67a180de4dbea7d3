/**
 * People who come in little by little: with a key their device made, a link sent by email, a passkey, a DID with
 * credentials. Each level adds a way into the same account and takes nothing away, and each link is signed by both
 * sides: by the account's own key, and by what is linked.
 *
 * ```ts
 * import { createMemoryStore, systemClock, systemRandom } from '@kwaai/interface/memory'
 * import { createIdentity } from '@kwaai/identity'
 * import { answerKeyChallenge, createAccounts, createKeyProvider } from '@kwaai/identity/passkey'
 *
 * const audience = 'example.org'
 * const components = { store: createMemoryStore(), clock: systemClock, random: systemRandom }
 * const providers = [createKeyProvider({ level: 'anonymous', audience }, components)]
 * const accounts = createAccounts({ audience }, { ...components, providers })
 *
 * const alice = createIdentity()
 * const begun = await accounts.begin('anonymous')
 * if (!begun.ok) throw new Error(begun.message)
 * const answer = await answerKeyChallenge(alice, audience, begun.challenge.ask)
 * const entered = await accounts.enter('anonymous', begun.challenge.ceremony, answer)
 * console.log(entered.ok && entered.account.record.did === alice.did) // true
 * ```
 *
 * @packageDocumentation
 */
export { createAccounts } from './accounts.ts'
export type {
  AccountFault,
  AccountLink,
  AccountRecord,
  AccountRefusal,
  Accounts,
  AccountsComponents,
  AccountsInit,
  BegunCeremony,
  LinkKeeper,
  OpenAccount
} from './account-types.ts'
export { createLinkStatement, createUnlinkStatement, type LinkStatementComponents } from './link-statement.ts'
export {
  answerKeyChallenge,
  createKeyProvider,
  type KeyProviderComponents,
  type KeyProviderInit
} from './key-provider.ts'
export {
  createEmailLinkProvider,
  type EmailLinkComponents,
  type EmailLinkInit,
  type EmailLinkMessage
} from './email-link.ts'
export { normalizeAddress } from './email-address.ts'
export {
  createPasskeyProvider,
  passkeyChallenge,
  type PasskeyProvider,
  type PasskeyProviderInit,
  type RegisteredPasskey
} from './passkey-provider.ts'
export { makePasskey, usePasskey } from './passkey-client.ts'
export type { CeremonyComponents, CeremonyLimits } from './ceremonies.ts'
export { ADDRESS_CONTEXT, LINK_CONTEXT, PROOF_CONTEXT } from './limits.ts'
export { ERR_IDENTITY_INVALID_CHALLENGE, ERR_IDENTITY_PASSKEY_UNAVAILABLE } from '../errors.ts'
