import fc from 'fast-check'
import { expect, test } from 'vitest'
import { createIdentity } from '../src/index.ts'
import { createStatusChecker } from '../src/status/index.ts'
import {
  issue,
  networkCredential,
  present,
  readNetworkCredential,
  verify,
  verifyBinding,
  verifyKwaaiLegacy,
  verifyPresentation,
  verifyRotation,
  type Credential,
  type Presentation,
  type VerifyResult
} from '../src/vc/index.ts'
import vectors from './vectors/kwaai-legacy.json' with { type: 'json' }

const now = Date.parse('2026-04-01T00:00:00Z')
const did = 'did:key:z6MkiTBz1ymuepAQ4HEHYSF1H8quG5GLVVQR3djdX3mDooWp'
const sound = networkCredential({
  type: 'UptimeCredential',
  issuer: did,
  subject: did,
  claims: {
    probes: 2,
    probesAnswered: 1,
    observedFrom: '2026-03-01T00:00:00Z',
    observedUntil: '2026-04-01T00:00:00Z'
  },
  validFrom: now,
  status: [
    {
      type: 'BitstringStatusListEntry',
      statusPurpose: 'revocation',
      statusListIndex: '1',
      statusListCredential: 'https://example.org/l'
    }
  ]
})

/** A sound document with a few of its members, at any depth, replaced by whatever JSON can say. */
function spoiled(document: object): fc.Arbitrary<unknown> {
  const paths: string[][] = []
  const walk = (value: unknown, path: string[]): void => {
    paths.push(path)
    if (typeof value === 'object' && value !== null)
      for (const name of Object.keys(value)) walk((value as Record<string, unknown>)[name], [...path, name])
  }
  walk(document, [])
  return fc
    .array(fc.tuple(fc.constantFrom(...paths), fc.jsonValue()), { minLength: 1, maxLength: 3 })
    .map((changes) => {
      let made: unknown = structuredClone(document)
      for (const [path, value] of changes) {
        if (path.length === 0) {
          made = value
          continue
        }
        let at = made as Record<string, unknown> | null
        for (const name of path.slice(0, -1)) at = (at?.[name] ?? null) as Record<string, unknown> | null
        if (typeof at === 'object' && at !== null) at[path.at(-1) as string] = value
      }
      return made
    })
}

test('whatever a stranger writes gives an answer, never an error', async () => {
  const status = createStatusChecker({}, { fetchDocument: async () => undefined })
  await fc.assert(
    fc.asyncProperty(fc.oneof(spoiled(sound), fc.jsonValue()), async (value) => {
      const credential = value as Credential
      expect(typeof readNetworkCredential(credential).ok).toBe('boolean')
      expect((await verifyBinding(credential, { now })).ok).toBe(false)
      expect((await verifyRotation([credential], { from: did, now })).ok).toBe(false)
      expect(typeof (await status.check(credential, { now })).ok).toBe('boolean')
    }),
    { numRuns: 100 }
  )
})

test('where the structure is broken nothing else reads ok that was not looked at, and the policy hears of no stranger', async () => {
  const issuer = createIdentity({ seed: new Uint8Array(32).fill(1) })
  const { credentialStatus: _, ...draft } = { ...sound, issuer: issuer.did }
  const credential = await issue(draft, issuer, { now })
  const presentation = await present([credential], issuer, { now })
  const looked = new Set(['structure', 'proof', 'controller'])
  let heard = 0
  const options = { now, issuerPolicy: () => ++heard > 0 }
  const judge = ({ ok, checks }: VerifyResult): void => {
    expect(checks).toHaveLength(8)
    if (checks[0]?.ok === true) return
    expect(ok).toBe(false)
    const rest = checks.filter(({ name }) => !looked.has(name))
    expect(rest.filter((check) => check.ok)).toEqual([])
    expect(checks.slice(1).map(({ code }) => code)).not.toContain('STRUCTURE_INVALID')
  }
  await fc.assert(
    fc.asyncProperty(fc.oneof(spoiled(credential), fc.jsonValue(), fc.string()), async (value) => {
      heard = 0
      const result = await verify(value as Credential, options)
      judge(result)
      expect(heard > 0).toBe(result.checks.slice(0, 3).every(({ ok }) => ok))
    }),
    { numRuns: 200 }
  )
  await fc.assert(
    fc.asyncProperty(fc.oneof(spoiled(presentation), fc.jsonValue(), fc.string()), async (value) => {
      heard = 0
      const result = await verifyPresentation(value as Presentation, options)
      judge(result)
      result.credentials.forEach(judge)
      if (!result.checks[0]?.ok || !result.proofs.every(({ ok }) => ok)) expect(heard).toBe(0)
    }),
    { numRuns: 200 }
  )
})

test('a legacy credential that was changed anywhere does not verify, and is no error', async () => {
  await fc.assert(
    fc.asyncProperty(spoiled(JSON.parse(vectors.two) as object), async (value) => {
      const text = JSON.stringify(value)
      const result = await verifyKwaaiLegacy(text, { now })
      const { proof: kept, ...signed } = JSON.parse(vectors.two) as { proof: { created: string } }
      const { proof: shown, ...rest } = (value ?? {}) as { proof?: { created?: string } }
      // What a proof says besides the signature nobody signed; it is why the assurance is what it is.
      const same =
        JSON.stringify(rest) === JSON.stringify(signed) && shown !== undefined && kept !== undefined
      if (!same) expect(result.ok, text).toBe(false)
      expect(result.assurance).toBe('legacy')
    }),
    { numRuns: 100 }
  )
  await fc.assert(
    fc.asyncProperty(fc.string({ maxLength: 200 }), async (text) => {
      expect((await verifyKwaaiLegacy(text, { now })).ok).toBe(false)
    }),
    { numRuns: 100 }
  )
})
