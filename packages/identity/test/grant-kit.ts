import { createMemoryStore } from '@kwaai/interface/memory'
import { createFakeClock, createSeededRandom, type FakeClock } from '@kwaai/testing'
import { createIdentity, type Identity } from '../src/index.ts'
import {
  createReplayGuard,
  createRevocations,
  verifyInvocation,
  type GrantFault,
  type InvocationResult,
  type ReplayGuard,
  type Revocations,
  type VerifyInvocationOptions
} from '../src/grant/index.ts'

/** An identity that is the same in every run. */
export function someone(number: number): Identity {
  return createIdentity({ seed: new Uint8Array(32).fill(number) })
}

/** The owner of a resource with a clock, a list of revocations and a guard against replays. */
export interface Owner {
  identity: Identity
  clock: FakeClock
  /** Seconds since 1970. */
  now(): number
  revocations: Revocations
  replays: ReplayGuard
  verify(shown: Uint8Array | string, options?: Partial<VerifyInvocationOptions>): Promise<InvocationResult>
  /** `ok`, or the code of the first check that does not hold. */
  judge(shown: Uint8Array | string, options?: Partial<VerifyInvocationOptions>): Promise<'ok' | GrantFault>
}

export function createOwner(init: { maxEntries?: number } = {}): Owner {
  const identity = someone(1)
  const clock = createFakeClock()
  const store = createMemoryStore()
  const revocations = createRevocations({ subjects: [identity.did], ...init }, { store, clock })
  const replays = createReplayGuard(init, { store, clock })
  const verify: Owner['verify'] = (shown, options) =>
    verifyInvocation(shown, { executor: identity.did, now: clock.now(), revocations, replays, ...options })
  return {
    identity,
    clock,
    now: () => Math.floor(clock.now() / 1000),
    revocations,
    replays,
    verify,
    async judge(shown, options) {
      const { ok, checks } = await verify(shown, options)
      const failed = checks.find((check) => !check.ok && check.code !== 'NOT_CHECKED')
      if (ok !== checks.every((check) => check.ok)) throw new Error('the result is not that of its checks')
      return failed?.code ?? 'ok'
    }
  }
}

export const random: ReturnType<typeof createSeededRandom> = createSeededRandom('grants')
