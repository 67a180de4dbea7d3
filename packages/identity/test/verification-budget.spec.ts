import { beforeEach, describe, expect, test } from 'vitest'
import type { DidResolver } from '@kwaai/identity'
import { createStatusChecker, statusEntry } from '@kwaai/identity/status'
import {
  addProof,
  eddsaJcs2022,
  issue,
  present,
  verify,
  verifyPresentation,
  verifyRotation,
  type Credential,
  type Presentation,
  type Proof,
  type VerificationLimits,
  type VerifyPresentationOptions
} from '@kwaai/identity/vc'
import { createFakeClock } from '@kwaai/testing'
import { createVerificationBudget } from '../src/vc/budget.ts'
import {
  alice,
  digestMultibaseOf,
  draft,
  examples,
  forged,
  issuer,
  list,
  listUrl,
  now,
  v2
} from './forgery-kit.ts'

const bytesOf = (value: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify(value))
const occasion = { challenge: 'c-1', domain: 'example.org' }
const schema = { id: 'https://example.org/schema', type: 'JsonSchema' }
const heldSchema = { id: 'https://example.org/schema-credential', type: 'JsonSchemaCredential' }
const image = { id: 'https://example.org/image', digestMultibase: digestMultibaseOf(bytesOf('image')) }
const web = 'did:web:example.org'

let served: Map<string, unknown>
let asked: string[]
beforeEach(() => {
  served = new Map<string, unknown>([
    [schema.id, { properties: { credentialSubject: { required: ['role'] } } }],
    [image.id, 'image']
  ])
  asked = []
})

/** Everything that a verification may ask for is written down. */
function world(more: Partial<VerifyPresentationOptions> = {}): VerifyPresentationOptions {
  const fetchDocument = async (url: string) => {
    asked.push(url)
    return served.has(url) ? { bytes: bytesOf(served.get(url)) } : undefined
  }
  const resolver: DidResolver = {
    async resolve(did) {
      asked.push(did)
      const publicKeyMultibase = issuer.did.slice('did:key:'.length)
      const id = `${did}#1`
      const method = { id, type: 'Multikey', controller: did, publicKeyMultibase }
      const didDocument = { id: did, verificationMethod: [method], assertionMethod: [id] }
      return { didResolutionMetadata: {}, didDocument, didDocumentMetadata: {} }
    }
  }
  const status = createStatusChecker({}, { fetchDocument, clock: createFakeClock({ now }) })
  return { now, ...occasion, fetchDocument, resolver, status, ...more }
}

const signed = (more: Partial<Credential>): Promise<Credential> => forged(more)
const byWeb = async (): Promise<Credential> =>
  (await addProof(
    { ...draft, issuer: web },
    { signer: issuer, suite: eddsaJcs2022, created: now, verificationMethod: `${web}#1` }
  )) as Credential

/** Three credentials that between them ask for everything, and each thing twice. */
async function ordinary(): Promise<Presentation> {
  served.set(listUrl, await list(issuer, []))
  const jsonSchema = { type: 'object' }
  served.set(
    heldSchema.id,
    await issue(
      {
        '@context': [v2],
        type: ['VerifiableCredential', 'JsonSchemaCredential'],
        credentialSubject: { id: heldSchema.id, type: 'JsonSchema', jsonSchema }
      },
      issuer,
      { now }
    )
  )
  const credentialStatus = statusEntry({ statusListCredential: listUrl, index: 7, purpose: 'revocation' })
  const full = { credentialStatus, credentialSchema: [schema, heldSchema], relatedResource: image }
  const credentials = [await signed(full), await signed(full), await byWeb(), await byWeb()]
  return present(credentials, alice, { now, ...occasion })
}

describe('the budget of a verification', () => {
  test('is not reached by an ordinary presentation, in which each document is asked for once', async () => {
    const presentation = await ordinary()
    const budget = createVerificationBudget()
    const result = await verifyPresentation(presentation, world({ budget }))
    expect(result.checks.filter(({ ok }) => !ok)).toEqual([])
    const all = [listUrl, schema.id, heldSchema.id, image.id, web]
    expect(asked.toSorted()).toEqual(all.toSorted())
    // Five proofs of the presentation and what is in it, one each of the list and of the schema.
    expect(budget.spent).toMatchObject({ documents: 5, proofs: 7 })
    for (const name of Object.keys(budget.spent) as (keyof VerificationLimits)[])
      expect([name, budget.left(name) > budget.spent[name] * 8]).toEqual([name, true])
  })

  test.each<[keyof VerificationLimits, string]>([
    ['documents', 'BUDGET_DOCUMENTS'],
    ['bytes', 'BUDGET_BYTES'],
    ['proofs', 'BUDGET_PROOFS'],
    ['termWork', 'BUDGET_TERM_WORK'],
    ['schemaWork', 'BUDGET_SCHEMA_WORK']
  ])('is enough to the last of its %s, and past it the answer is no', async (name, code) => {
    const presentation = await ordinary()
    // What was made of contexts is kept: the second verification takes as many steps as the third.
    await verifyPresentation(presentation, world())
    const budget = createVerificationBudget()
    await verifyPresentation(presentation, world({ budget }))
    const limit = budget.spent[name]
    expect((await verifyPresentation(presentation, world({ limits: { [name]: limit } }))).ok).toBe(true)
    expect((await verifyPresentation(presentation, world({ limits: { [name]: Infinity } }))).ok).toBe(true)
    for (const less of [0, 1, Math.floor(limit / 2), limit - 1]) {
      const { ok, checks, credentials } = await verifyPresentation(
        presentation,
        world({ limits: { [name]: less } })
      )
      expect([name, less, ok]).toEqual([name, less, false])
      const said = [checks, ...credentials.map((one) => one.checks)].flat().find((one) => one.code === code)
      expect(said?.message).toContain(`limits.${name}`)
    }
  })

  test('is one for all credentials of a hostile presentation', async () => {
    // Each alone stays within what one credential may ask for: 8 lists, 8 schemas, 16 resources.
    const of = (kind: string, i: number, n: number): string => `https://example.org/${kind}/${i}/${n}`
    const credentials = await Promise.all(
      Array.from({ length: 64 }, (_, i) =>
        signed({
          credentialStatus: Array.from({ length: 8 }, (_one, n) =>
            statusEntry({ statusListCredential: of('list', i, n), index: 7, purpose: 'revocation' })
          ),
          credentialSchema: Array.from({ length: 8 }, (_one, n) => ({ ...schema, id: of('schema', i, n) })),
          relatedResource: Array.from({ length: 16 }, (_one, n) => ({ ...image, id: of('image', i, n) }))
        })
      )
    )
    for (let i = 0; i < 64; i++) for (let n = 0; n < 16; n++) served.set(of('image', i, n), 'image')
    const presentation = await present(credentials, alice, { now, ...occasion })
    const result = await verifyPresentation(presentation, world())
    expect(result.ok).toBe(false)
    expect(asked).toHaveLength(64)
    expect(result.credentials.at(-1)?.checks.filter(({ ok }) => !ok)).toMatchObject([
      { name: 'status', code: 'BUDGET_DOCUMENTS' },
      { name: 'schema', code: 'BUDGET_DOCUMENTS' }
    ])
  })

  test('is one for what strangers can ask for without a signature that holds', async () => {
    const proof = await byWeb().then((made) => made.proof as object)
    const nested = Array.from({ length: 1_000 }, () => ({ '@context': {} }))
    const credentials = Array.from({ length: 64 }, (_, i) => ({
      ...draft,
      issuer: web,
      credentialSubject: { id: alice.did, role: i < 10 ? nested : 'librarian' },
      proof: [1, 2].map((n) => ({ ...proof, verificationMethod: `did:web:example.org:${i}:${n}#1` }))
    }))
    const presentation = { '@context': [v2], type: ['VerifiablePresentation'], holder: alice.did }
    const budget = createVerificationBudget()
    const result = await verifyPresentation(
      { ...presentation, verifiableCredential: credentials as never },
      world({ budget })
    )
    expect(asked).toHaveLength(64)
    expect(result.credentials.map(({ checks }) => checks[1]?.code)).toContain('BUDGET_DOCUMENTS')
    expect(result.credentials.at(-1)?.checks[0]?.code).toBe('BUDGET_TERM_WORK')
    // No more than one step of one document beyond.
    expect(budget.spent.termWork).toBeLessThan(202_000)
  })

  test('counts a fetch that fails as all that it may have read', async () => {
    const fetchDocument = () => Promise.reject(new RangeError('too large'))
    const budget = createVerificationBudget()
    const made = await signed({ relatedResource: image })
    const { checks } = await verify(made, { now, fetchDocument, budget })
    expect(checks.find(({ ok }) => !ok)?.code).toBe('RESOURCE_UNAVAILABLE')
    expect(budget.spent).toMatchObject({ documents: 1, bytes: 4 * 2 ** 20 })
  })

  test('counts a proof of RDF for eight, and one that only says the name of another suite too', async () => {
    const { weight: _, ...other } = { ...eddsaJcs2022, name: 'other' }
    const made = await addProof(
      { ...draft, issuer: issuer.did },
      { signer: issuer, suite: other, created: now }
    )
    const budget = createVerificationBudget()
    expect((await verify(made as Credential, { now, suites: [other], budget })).ok).toBe(true)
    expect(budget.spent.proofs).toBe(8)
    const proof = { ...(made.proof as Proof), type: 'Ed25519Signature2020', cryptosuite: eddsaJcs2022.name }
    await verify({ ...made, proof } as Credential, { now, suites: [eddsaJcs2022], budget })
    expect(budget.spent.proofs).toBe(16)
  })

  test('is one for all rotations that are followed', async () => {
    const budget = createVerificationBudget()
    const credential = await signed({ '@context': [v2, examples] })
    await verifyRotation([credential], { now, from: issuer.did, budget })
    expect(budget.spent.proofs).toBe(1)
  })

  test('makes each hash of a resource once, however many digests it is said to have', async () => {
    const resource = new Uint8Array(4 * 2 ** 20)
    const digests = Array<string>(2_000).fill(digestMultibaseOf(resource))
    const made = await signed({ relatedResource: { id: image.id, digestMultibase: digests as never } })
    const fetchDocument = () => Promise.resolve({ bytes: resource })
    expect((await verify(made, { now, fetchDocument })).ok).toBe(true)
  })
})

describe('a status list', () => {
  const kept = statusEntry({ statusListCredential: listUrl, index: 7, purpose: 'revocation' })
  const about = (): Promise<Credential> => signed({ credentialStatus: kept })
  const hour = 3_600_000

  test('that is kept does not stand for one that there is no budget for', async () => {
    served.set(listUrl, await list(issuer, []))
    const clock = createFakeClock({ now })
    const fetchDocument = async () => ({ bytes: bytesOf(served.get(listUrl)) })
    const status = createStatusChecker({ maxAgeMs: hour }, { fetchDocument, clock })
    expect((await verify(await about(), { now, status })).ok).toBe(true)
    await clock.advance(hour - 1)
    const poor = await verify(await about(), { now, status, limits: { documents: 0 } })
    expect(poor.checks.find(({ ok }) => !ok)).toMatchObject({ name: 'status', code: 'BUDGET_DOCUMENTS' })
  })

  test('is as old as its fetch, also where a long verification comes back to it', async () => {
    served.set(listUrl, await list(issuer, []))
    const clock = createFakeClock({ now })
    const fetchDocument = async () =>
      served.has(listUrl) ? { bytes: bytesOf(served.get(listUrl)) } : undefined
    const status = createStatusChecker({ maxAgeMs: hour }, { fetchDocument, clock })
    const options = { now, status, budget: createVerificationBudget() }
    for (const passed of [0, 400_000]) {
      await clock.advance(passed)
      expect((await verify(await about(), options)).ok).toBe(true)
    }
    served.delete(listUrl)
    await clock.advance(hour - 300_000)
    const { checks } = await verify(await about(), { now, status })
    expect(checks.find(({ ok }) => !ok)?.code).toBe('STATUS_UNAVAILABLE')
  })

  test('is fetched for all who wait, and fails only those whose budget it passes', async () => {
    served.set(listUrl, await list(issuer, []))
    const options = world()
    const [rich, poor] = await Promise.all([
      verify(await about(), options),
      verify(await about(), { ...options, limits: { bytes: 100 } })
    ])
    expect(asked).toEqual([listUrl])
    expect(rich.ok).toBe(true)
    expect(poor.checks.find(({ ok }) => !ok)).toMatchObject({ name: 'status', code: 'BUDGET_BYTES' })
  })
})

test('a DID has one document in a verification, whatever its domain says meanwhile', async () => {
  const { resolver } = world()
  let calls = 0
  const changing: DidResolver = {
    resolve: async (did) => (calls++ === 0 ? (resolver as DidResolver).resolve(did) : Promise.reject())
  }
  const presentation = await present([await byWeb(), await byWeb()], alice, { now, ...occasion })
  const ask = () => verifyPresentation(presentation, world({ resolver: changing }))
  expect((await ask()).ok).toBe(true)
  expect((await ask()).ok).toBe(false)
})
