import type { IdentityChallenge, IdentityProof, IdentityProvider, IdentityRequest } from '@kwaai/interface'
import { assert, assertEqual, assertRejects, type TestFunction } from './assert.ts'

/** Somebody with a device that answers challenges of the provider's level. */
export interface SuitePerson {
  /** What the provider calls them in a request to come in, where its level asks for a name. */
  enterName?: string
  /** The same in a request for a link. */
  linkName?: string
  /** The account for which the person wants links. */
  account: string
  answer(challenge: IdentityChallenge): Promise<unknown>
}

/** A provider, people it can recognise, and its clock. */
export interface IdentityProviderFixture {
  provider: IdentityProvider
  alice: SuitePerson
  bob: SuitePerson
  /** Moves the provider's clock on. */
  advance(ms: number): Promise<void>
}

/** How a suite gets the provider it tests. */
export interface IdentityProviderSuiteFactory {
  create(): Promise<IdentityProviderFixture>
}

const hour = 3_600_000

/** What every `IdentityProvider` has to do. */
export function identityProviderSuite(test: TestFunction, factory: IdentityProviderSuiteFactory): void {
  const withProvider = (name: string, run: (fixture: IdentityProviderFixture) => Promise<void>): void => {
    test(`identity provider: ${name}`, async () => run(await factory.create()))
  }
  const statement = Uint8Array.from({ length: 32 }, (_, index) => index)

  const requestOf = (person: SuitePerson, purpose: 'enter' | 'link'): IdentityRequest => {
    const name = purpose === 'enter' ? person.enterName : person.linkName
    return {
      purpose,
      ...(name === undefined ? {} : { name }),
      ...(purpose === 'link' ? { account: person.account, statement } : {})
    }
  }
  const begin = async (
    { provider }: IdentityProviderFixture,
    person: SuitePerson,
    purpose: 'enter' | 'link' = 'enter'
  ): Promise<IdentityChallenge> => {
    const begun = await provider.begin(requestOf(person, purpose))
    assert(begun.ok, 'a ceremony begins')
    return begun.challenge
  }
  const prove = async (
    fixture: IdentityProviderFixture,
    person: SuitePerson,
    purpose: 'enter' | 'link' = 'enter'
  ): Promise<IdentityProof> => {
    const challenge = await begin(fixture, person, purpose)
    const outcome = await fixture.provider.finish(challenge.ceremony, await person.answer(challenge))
    assert(outcome.ok, `a person is recognised: ${outcome.ok ? '' : outcome.message}`)
    return outcome
  }
  const refused = async (
    { provider }: IdentityProviderFixture,
    ceremony: string,
    answer: unknown,
    what: string
  ): Promise<string> => {
    const outcome = await provider.finish(ceremony, answer)
    assert(!outcome.ok, `${what} is refused`)
    assert(outcome.message !== '', `${what}: it says why`)
    return outcome.code
  }

  withProvider('names its contract and its level', async ({ provider }) => {
    assertEqual<string>(provider.specification, 'kwaai.identity-provider/1', 'specification')
    assert(['anonymous', 'email', 'passkey', 'did'].includes(provider.level), 'level')
  })

  withProvider('recognises the same person by the same name, and another by another', async (fixture) => {
    const { alice, bob, provider } = fixture
    const first = await prove(fixture, alice)
    assertEqual(first.level, provider.level, 'level')
    assertEqual(first.purpose, 'enter', 'purpose')
    assert(first.binding.length > 0, 'it keeps what was signed')
    assert(first.name !== '' && first.name !== alice.enterName, 'its name is no personal data in the clear')
    assertEqual((await prove(fixture, alice)).name, first.name, 'name of the same person')
    assert((await prove(fixture, bob)).name !== first.name, 'another person has another name')
  })

  withProvider('proves a link for its account and its statement', async (fixture) => {
    const { alice } = fixture
    const entered = await prove(fixture, alice)
    const linked = await prove(fixture, alice, 'link')
    assertEqual(linked.purpose, 'link', 'purpose')
    assertEqual(linked.name, entered.name, 'name')
    assertEqual(linked.account, alice.account, 'account')
    assertEqual(linked.statement, statement, 'statement')
  })

  withProvider('refuses requests that make no sense', async ({ provider, alice }) => {
    const link = requestOf(alice, 'link')
    const { account: _account, ...nobody } = link
    const { statement: _statement, ...nothing } = link
    for (const request of [
      nobody,
      nothing,
      { ...link, statement: statement.subarray(1) },
      { ...link, purpose: 'enter' as const }
    ]) {
      const begun = await provider.begin(request)
      assert(!begun.ok && begun.code === 'REQUEST_INVALID', 'it is refused by name')
    }
  })

  withProvider('finishes a ceremony once', async (fixture) => {
    const { alice, provider } = fixture
    const challenge = await begin(fixture, alice)
    const answer = await alice.answer(challenge)
    const outcomes = await Promise.all([1, 2, 3].map(() => provider.finish(challenge.ceremony, answer)))
    assertEqual(outcomes.filter(({ ok }) => ok).length, 1, 'finished')
    assertEqual(await refused(fixture, challenge.ceremony, answer, 'a replay'), 'CEREMONY_UNKNOWN', 'code')
  })

  withProvider(
    'takes no answer to another ceremony, of another person or for another purpose',
    async (fixture) => {
      const { alice, bob } = fixture
      const own = await begin(fixture, alice)
      const answer = await alice.answer(own)
      const others: [SuitePerson, 'enter' | 'link'][] = [
        [alice, 'enter'],
        [bob, 'enter'],
        [alice, 'link'],
        [bob, 'link']
      ]
      for (const [person, purpose] of others) {
        const { ceremony } = await begin(fixture, person, purpose)
        assertEqual(
          await refused(fixture, ceremony, answer, 'an answer to another ceremony'),
          'PROOF_INVALID',
          'code'
        )
      }
    }
  )

  withProvider('ends a ceremony in time', async (fixture) => {
    const challenge = await begin(fixture, fixture.alice)
    const answer = await fixture.alice.answer(challenge)
    await fixture.advance(hour)
    assertEqual(
      await refused(fixture, challenge.ceremony, answer, 'a late answer'),
      'CEREMONY_UNKNOWN',
      'code'
    )
  })

  withProvider('refuses whatever is no answer, without an error', async (fixture) => {
    const deep = Array.from({ length: 100 }).reduce<unknown>((inner) => [inner], 1)
    const junk = [
      undefined,
      null,
      1,
      'x',
      [],
      {},
      { proof: 1 },
      { proof: 'AAAA' },
      { token: 'AAAA' },
      { id: 'AAAA', response: {} },
      { id: '../x' },
      { proof: 'A'.repeat(100_000) },
      { deep }
    ]
    for (const [index, answer] of junk.entries()) {
      // A provider may allow so many beginnings an hour for each person.
      if (index % 4 === 0) await fixture.advance(hour + 1000)
      const { ceremony } = await begin(fixture, fixture.alice)
      assertEqual(await refused(fixture, ceremony, answer, `junk ${index}`), 'PROOF_INVALID', 'code')
    }
    for (const ceremony of ['', 'x', '../../x', 'A'.repeat(22), 'A'.repeat(10_000)]) {
      assertEqual(await refused(fixture, ceremony, {}, 'an unknown ceremony'), 'CEREMONY_UNKNOWN', 'code')
    }
  })

  withProvider('gives up when the signal aborts', async ({ provider, alice }) => {
    const signal = AbortSignal.abort(new Error('enough'))
    assertEqual(
      await assertRejects(provider.begin(requestOf(alice, 'enter'), { signal }), 'an aborted call'),
      signal.reason,
      'reason'
    )
  })
}
