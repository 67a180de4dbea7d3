import { createIdentity } from '@kwaai/identity'
import { addProof, eddsaJcs2022, type Credential } from '@kwaai/identity/vc'
import { createEddsaRdfc2022 } from '@kwaai/identity/vc-ld'
import fc from 'fast-check'
import { expect } from 'vitest'
import { verify } from '../src/vc/verify.ts'
import { credentials, foreignIssue, foreignVerify, type SuiteName } from './foreign.ts'

const now = new Date('2026-06-01T00:00:00Z')
const alice = createIdentity({ seed: new Uint8Array(32).fill(7) })
const suites = { 'eddsa-jcs-2022': eddsaJcs2022, 'eddsa-rdfc-2022': createEddsaRdfc2022() }

/** Every generated credential verifies here and at @digitalbazaar/vc, whoever issued it. */
export async function bothWays(name: SuiteName, runs: number, seed: number): Promise<void> {
  let documents = 0
  await fc.assert(
    fc.asyncProperty(credentials(alice), async (credential) => {
      documents++
      const ours = await addProof(credential, { signer: alice, suite: suites[name], created: now.getTime() })
      expect(await foreignVerify(structuredClone(ours), name, now)).toBe(true)
      const theirs = await foreignIssue(credential, alice, name, now)
      const options = { suites: [suites[name]], now: now.getTime() }
      for (const one of [ours, theirs]) {
        const { ok, checks } = await verify(one as unknown as Credential, options)
        expect(ok, JSON.stringify(checks.filter((check) => !check.ok))).toBe(true)
      }
      // Both are the same document: keys, hashes and times are.
      expect(theirs).toEqual(ours)
    }),
    { numRuns: runs, seed, endOnFailure: false }
  )
  expect(documents).toBe(runs)
}
