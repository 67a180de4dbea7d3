import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { JsonObject } from '../src/index.ts'
import {
  coversCommand,
  createGrant,
  createInvocation,
  delegateGrant,
  readGrant,
  satisfiesPolicy,
  type Grant,
  type PolicyStatement
} from '../src/grant/index.ts'
import { createOwner, someone } from './grant-kit.ts'

const owner = createOwner()
const people = [owner.identity, ...Array.from({ length: 5 }, (_, i) => someone(40 + i))] as const
const now = owner.now()

const name = fc.constantFrom('a', 'b', 'c')
const commandOf = (names: string[]): string => (names.length === 0 ? '/' : `/${names.join('/')}`)
const command = fc.array(name, { maxLength: 3 }).map(commandOf)
const value = fc.oneof(
  fc.integer({ min: -2, max: 2 }),
  fc.constantFrom('x', 'xy', '*'),
  fc.boolean(),
  fc.constant(null)
)
const args: fc.Arbitrary<JsonObject> = fc.dictionary(
  name,
  fc.oneof(value, fc.array(value, { maxLength: 3 }), fc.dictionary(name, value, { maxKeys: 2 })),
  { maxKeys: 3 }
)
const selector = fc.constantFrom('.', '.a', '.b', '.c', '.a[0]', '.a[1]?', '.b.c', '.b["a"]', '.[]')
const { statement } = fc.letrec<{ statement: PolicyStatement }>((tie) => ({
  statement: fc.oneof(
    { depthSize: 'small' },
    fc.tuple(fc.constantFrom('==', '!='), selector, value),
    fc.tuple(fc.constantFrom('<', '<=', '>', '>='), selector, fc.integer({ min: -2, max: 2 })),
    fc.tuple(fc.constant('like'), selector, fc.constantFrom('*', 'x*', '\\*', 'x')),
    fc.tuple(fc.constantFrom('and', 'or'), fc.array(tie('statement'), { maxLength: 2 })),
    fc.tuple(fc.constant('not'), tie('statement')),
    fc.tuple(fc.constantFrom('all', 'any'), selector, tie('statement'))
  ) as fc.Arbitrary<PolicyStatement>
}))
const policy = fc.array(statement, { maxLength: 2 })

describe('attenuation never widens', () => {
  const step = fc.record({
    below: fc.array(name, { maxLength: 1 }),
    policy,
    life: fc.integer({ min: 1, max: 300 }),
    start: fc.option(fc.integer({ min: -50, max: 50 }), { nil: undefined })
  })

  test('what a chain allows, each part of it allows', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { minLength: 1, maxLength: 4 }),
        command,
        args,
        fc.integer({ min: 0, max: 200 }),
        async (steps, asked, given, later) => {
          const chain: Grant[] = []
          for (const [index, { below, policy: added, life, start }] of steps.entries()) {
            const above = chain.at(-1)
            const cmd = commandOf([...(above?.claims.cmd.split('/').filter(Boolean) ?? []), ...below])
            const init = {
              aud: people[index + 1]!.did,
              cmd,
              policy: added,
              exp: Math.min(now + life, above?.claims.exp ?? Infinity),
              ...(start === undefined ? {} : { nbf: now + start })
            }
            const signer = people[index]!
            chain.push(
              await (above === undefined ? createGrant(signer, init) : delegateGrant(signer, above, init))
            )
          }
          const judge = async (index: number): Promise<boolean> => {
            const grant = chain[index] as Grant
            if (!coversCommand(grant.claims.cmd, asked)) return false
            const shown = await createInvocation(
              people[index + 1]!,
              { grant, aud: owner.identity.did, cmd: asked, args: given, lifeS: 280 },
              owner
            )
            const { ok } = await owner.verify(shown, { now: (now + later) * 1000, replays: 'unchecked' })
            return ok
          }
          const verdicts: boolean[] = []
          for (const index of chain.keys()) verdicts.push(await judge(index))
          // Once a grant refuses, all that was cut from it do.
          expect(verdicts.join()).toMatch(/^(true(,|$))*(false(,|$))*$/)
          // And what is allowed is what each link says, no more and no less.
          const expected = chain.every(
            ({ claims }) =>
              coversCommand(claims.cmd, asked) &&
              satisfiesPolicy(claims.policy, given) &&
              later <= claims.exp - now &&
              now + later >= (claims.nbf ?? 0)
          )
          expect(verdicts.at(-1)).toBe(expected)
          const last = chain.at(-1) as Grant
          expect(await readGrant(last.bytes)).toEqual({ ok: true, grant: last })
        }
      ),
      { numRuns: 60 }
    )
  })

  test('a statement more never allows more', () => {
    fc.assert(
      fc.property(policy, statement, args, (some, more, given) => {
        if (satisfiesPolicy([...some, more], given)) expect(satisfiesPolicy(some, given)).toBe(true)
      })
    )
  })
})

test('never do a statement and its negation hold', () => {
  fc.assert(
    fc.property(statement, args, (each, given) => {
      expect(satisfiesPolicy([each], given) && satisfiesPolicy([['not', each]], given)).toBe(false)
    }),
    { numRuns: 500 }
  )
})

test('what comes from strangers gives an answer, not an error', async () => {
  await fc.assert(
    fc.asyncProperty(fc.oneof(fc.uint8Array({ maxLength: 200 }), fc.string()), async (bytes) => {
      expect((await readGrant(bytes)).ok).toBe(false)
      expect((await owner.verify(bytes)).ok).toBe(false)
      expect((await owner.revocations.add(bytes)).ok).toBe(false)
    })
  )
})
