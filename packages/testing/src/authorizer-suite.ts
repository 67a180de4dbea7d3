import type { AuthorizationRequest, Authorizer } from '@kwaai/interface'
import { assert, assertEqual, assertRejects, assertRejectsWith, type TestFunction } from './assert.ts'

/** An authorizer, and who may do what by it. */
export interface AuthorizerFixture {
  authorizer: Authorizer
  /** A request that it lets in, made anew with each call. */
  allowed(): Promise<AuthorizationRequest & { capability: Uint8Array }>
  /** Another peer than the one that is let in. */
  stranger: string
}

/** How a suite gets the authorizer it tests. */
export interface AuthorizerSuiteFactory {
  create(): Promise<AuthorizerFixture>
  /** Whether what it is shown opens once (default) or as often as it is shown. */
  singleUse?: boolean
}

/** What every `Authorizer` has to do. */
export function authorizerSuite(test: TestFunction, factory: AuthorizerSuiteFactory): void {
  const withAuthorizer = (name: string, run: (fixture: AuthorizerFixture) => Promise<void>): void => {
    test(`authorizer: ${name}`, async () => run(await factory.create()))
  }
  const refused = async (
    { authorizer }: AuthorizerFixture,
    request: AuthorizationRequest & { capability: Uint8Array },
    what: string
  ): Promise<void> => {
    const error = await assertRejectsWith(authorizer.authorize(request), 'ERR_UNAUTHORIZED', what)
    assert(error.message !== '' && error.message.length < 500, `${what}: it says what is missing, in brief`)
  }

  withAuthorizer('names its contract', async ({ authorizer }) => {
    assertEqual<string>(authorizer.specification, 'kwaai.authorizer/1', 'specification')
  })

  withAuthorizer('lets in whoever may, again with what is made anew', async ({ authorizer, allowed }) => {
    await authorizer.authorize(await allowed())
    await authorizer.authorize(await allowed())
  })

  withAuthorizer('refuses who shows nothing, and what cannot be read', async (fixture) => {
    const request = await fixture.allowed()
    for (const length of [0, 1, 31, 8192]) {
      const capability = new Uint8Array(length).fill(length % 251)
      await refused(fixture, { ...request, capability }, `${length} bytes of nothing`)
    }
    const half = request.capability.subarray(0, Math.floor(request.capability.length / 2))
    await refused(fixture, { ...request, capability: half }, 'half of a capability')
  })

  withAuthorizer('refuses any changed byte', async (fixture) => {
    const request = await fixture.allowed()
    const { length } = request.capability
    for (let at = 0; at < length; at += Math.ceil(length / 40)) {
      const capability = Uint8Array.from(request.capability)
      capability[at] = (capability[at] as number) ^ 0x10
      await refused(fixture, { ...request, capability }, `byte ${at} changed`)
    }
    await fixture.authorizer.authorize(request)
  })

  withAuthorizer('refuses another peer, and another command', async (fixture) => {
    const request = await fixture.allowed()
    await refused(fixture, { ...request, peer: fixture.stranger }, 'another peer')
    await refused(fixture, { ...request, peer: 'nobody' }, 'a peer without a name')
    await refused(fixture, { ...request, command: 'suite/other' }, 'another command')
    await refused(fixture, { ...request, command: 'No Command' }, 'no command')
    // What was refused has used nothing up.
    await fixture.authorizer.authorize(request)
  })

  if (factory.singleUse ?? true) {
    withAuthorizer('lets a capability in once, however many ask at once', async ({ authorizer, allowed }) => {
      const request = await allowed()
      const outcomes = await Promise.allSettled(
        Array.from({ length: 5 }, () => authorizer.authorize(request))
      )
      assertEqual(outcomes.filter(({ status }) => status === 'fulfilled').length, 1, 'let in')
    })
  }

  withAuthorizer('gives up when the signal aborts', async ({ authorizer, allowed }) => {
    const request = await allowed()
    const reason = new Error('enough')
    const got = await assertRejects(
      authorizer.authorize(request, { signal: AbortSignal.abort(reason) }),
      'an aborted call'
    )
    assertEqual(got, reason, 'reason')
  })
}
