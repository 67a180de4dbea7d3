import type { IdentityChallenge, IdentityLevel, Signer } from '@kwaai/interface'
import { createMemoryStore } from '@kwaai/interface/memory'
import { createFakeClock, createSeededRandom, type FakeClock } from '@kwaai/testing'
import {
  answerKeyChallenge,
  createAccounts,
  createEmailLinkProvider,
  createKeyProvider,
  createLinkStatement,
  createPasskeyProvider,
  type Accounts,
  type AccountsInit,
  type CeremonyComponents,
  type EmailLinkMessage,
  type OpenAccount,
  type PasskeyProvider
} from '../src/passkey/index.ts'
import { verifyBinding, verifyPresentation, type Credential, type Presentation } from '../src/vc/index.ts'
import { someone } from './grant-kit.ts'

/** A service with accounts at all four levels. */
export interface Service extends CeremonyComponents {
  audience: string
  clock: FakeClock
  accounts: Accounts
  passkeys: PasskeyProvider
  /** Mails that were sent. */
  mails: EmailLinkMessage[]
  /** Comes in at a level; the account, or the code of the refusal. */
  enter(level: IdentityLevel, answer: Answer, name?: string): Promise<OpenAccount | string>
  /** Links an account at a level; `ok`, or the code of the refusal. */
  link(
    account: OpenAccount,
    key: Signer,
    level: IdentityLevel,
    answer: Answer,
    name?: string
  ): Promise<string>
  /** Reads the token of the last mail to an address. */
  token(address: string): Answer
  /** Registers a passkey for an account. */
  register(account: string, answer: Answer): Promise<{ id: string; did: string }>
}

export type Answer = (challenge: IdentityChallenge) => unknown

export function createService(origin: string, init: Partial<AccountsInit> & { rpId?: string } = {}): Service {
  const audience = 'example.org'
  const { rpId = audience, ...rest } = init
  const clock = createFakeClock()
  const components = { store: createMemoryStore(), clock, random: createSeededRandom('ladder') }
  const mails: EmailLinkMessage[] = []
  const passkeys = createPasskeyProvider({ rpId, rpName: 'Example', origins: [origin] }, components)
  const providers = [
    createKeyProvider({ level: 'anonymous', audience }, components),
    createEmailLinkProvider(
      { audience, maxMails: 20 },
      {
        ...components,
        secret: new Uint8Array(32).fill(9),
        signer: someone(1),
        send: async (message) => void mails.push(message)
      }
    ),
    passkeys,
    createKeyProvider(
      { level: 'did', audience },
      {
        ...components,
        // The DID shows who stands behind what: a binding that both have signed.
        async credentials(presentation, { holder, account, challenge, domain }) {
          const now = clock.now()
          const shown = presentation as Presentation
          const expected = { challenge, domain, now, requireSubjectIsHolder: false }
          const { ok, holder: signer } = await verifyPresentation(shown, expected)
          const [credential] = [shown.verifiableCredential].flat() as Credential[]
          if (!ok || signer !== holder || credential === undefined) return false
          const binding = await verifyBinding(credential, { now })
          return (
            binding.ok && binding.controller === holder && (account === undefined || binding.node === account)
          )
        }
      }
    )
  ]
  const accounts = createAccounts({ audience, ...rest }, { ...components, providers })
  return {
    audience,
    ...components,
    clock,
    accounts,
    passkeys,
    mails,
    async enter(level, answer, name) {
      const begun = await accounts.begin(level, name)
      if (!begun.ok) return begun.code
      const entered = await accounts.enter(level, begun.challenge.ceremony, await answer(begun.challenge))
      return entered.ok ? entered.account : entered.code
    },
    async link(account, key, level, answer, name) {
      const statement = await createLinkStatement(key, audience, level, components)
      const begun = await account.beginLink(level, statement, name)
      if (!begun.ok) return begun.code
      const linked = await account.link(level, begun.challenge.ceremony, await answer(begun.challenge))
      return linked.ok ? 'ok' : linked.code
    },
    token: (address) => () => ({ token: mails.findLast(({ to }) => to === address)?.token }),
    async register(account, answer) {
      const begun = await passkeys.beginRegistration({ account, label: 'a person' })
      if (!begun.ok) throw new Error(begun.message)
      const outcome = await passkeys.finishRegistration(
        begun.challenge.ceremony,
        await answer(begun.challenge)
      )
      if (!outcome.ok) throw new Error(outcome.message)
      return outcome
    }
  }
}

/** Answers with a key. */
export const keyAnswer =
  (key: Signer): Answer =>
  ({ ask }) =>
    answerKeyChallenge(key, 'example.org', ask)
