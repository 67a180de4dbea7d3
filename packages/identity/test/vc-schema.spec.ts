import { sha256 } from '@noble/hashes/sha2.js'
import { base64pad, base64url } from 'multiformats/bases/base64'
import { describe, expect, it } from 'vitest'
import { createIdentity } from '@kwaai/identity'
import {
  issue,
  verify,
  type CheckFault,
  type Credential,
  type DocumentFetcher,
  type VerifyOptions
} from '@kwaai/identity/vc'
import { schemaBounds } from '../src/vc/schema-bounds.ts'

const now = Date.UTC(2026, 0, 1)
const issuer = createIdentity({ seed: new Uint8Array(32).fill(1) })
const v2 = 'https://www.w3.org/ns/credentials/v2'
const examples = 'https://www.w3.org/ns/credentials/examples/v2'
const url = 'https://example.org/schema.json'

const bytesOf = (value: unknown): Uint8Array =>
  new TextEncoder().encode(typeof value === 'string' ? value : JSON.stringify(value))
/** One document under every URL. */
const serve =
  (value: unknown): DocumentFetcher =>
  () =>
    Promise.resolve({ bytes: bytesOf(value) })
const role = (schema: object) => ({
  $schema: 'https://json-schema.org/draft/2020-12/schema',
  properties: { credentialSubject: { properties: { role: schema }, required: ['role'] } }
})

const credential = (more: object = {}): Promise<Credential> =>
  issue(
    {
      '@context': [v2, examples],
      type: ['VerifiableCredential'],
      credentialSubject: { id: 'did:example:alice', role: 'librarian' },
      credentialSchema: { id: url, type: 'JsonSchema' },
      ...more
    },
    issuer,
    { now }
  )

async function schemaCode(made: Credential, options: VerifyOptions): Promise<CheckFault | undefined> {
  const { checks } = await verify(made, { now, ...options })
  expect(checks.filter(({ ok, name }) => !ok && name !== 'schema')).toEqual([])
  return checks.find(({ name }) => name === 'schema')?.code
}

describe('a credential with a JSON schema', () => {
  it.each<[string, unknown, CheckFault | undefined]>([
    ['fits', role({ type: 'string', maxLength: 20 }), undefined],
    [
      'fits one of draft 7',
      { ...role({ enum: ['librarian'] }), $schema: 'http://json-schema.org/draft-07/schema#' },
      undefined
    ],
    ['fits one without a draft', { type: 'object' }, undefined],
    ['fits a pattern', role({ pattern: '^[a-z]+$' }), undefined],
    ['does not fit', role({ type: 'integer' }), 'SCHEMA_MISMATCH'],
    ['lacks what is needed', { required: ['evidence'] }, 'SCHEMA_MISMATCH'],
    ['has one of a draft nobody knows', { $schema: 'https://example.org/draft' }, 'SCHEMA_UNSUPPORTED'],
    ['has one that is no object', [], 'SCHEMA_UNSUPPORTED'],
    ['has one that is no JSON', '{', 'SCHEMA_UNSUPPORTED'],
    ['has one that says a name twice', '{"type":"object","type":"array"}', 'SCHEMA_UNSUPPORTED'],
    ['has one that refers to another document', { $ref: 'https://example.org/other' }, 'SCHEMA_UNSUPPORTED'],
    ['has one that refers to itself', { properties: { a: { $ref: '#' } } }, 'SCHEMA_UNSUPPORTED'],
    ['has one that is malformed', role({ pattern: '(' }), 'SCHEMA_UNSUPPORTED']
  ])('%s', async (_name, schema, code) => {
    expect(await schemaCode(await credential(), { fetchDocument: serve(schema) })).toBe(code)
  })

  it('fails where the schema cannot be had', async () => {
    const made = await credential()
    expect(await schemaCode(made, {})).toBe('SCHEMA_UNAVAILABLE')
    expect(await schemaCode(made, { fetchDocument: () => Promise.resolve(undefined) })).toBe(
      'SCHEMA_UNAVAILABLE'
    )
    expect(await schemaCode(made, { fetchDocument: () => Promise.reject(new Error('x')) })).toBe(
      'SCHEMA_UNAVAILABLE'
    )
    expect(await schemaCode(made, { fetchDocument: serve(' '.repeat(2 ** 18 + 1)) })).toBe(
      'SCHEMA_UNAVAILABLE'
    )
  })

  it('fits each of several, and none of a type nobody knows', async () => {
    const both = await credential({
      credentialSchema: [
        { id: url, type: 'JsonSchema' },
        { id: `${url}?2`, type: 'JsonSchema' }
      ]
    })
    const fetchDocument: DocumentFetcher = (at) =>
      Promise.resolve({ bytes: bytesOf(at === url ? {} : role({ type: 'integer' })) })
    expect(await schemaCode(both, { fetchDocument })).toBe('SCHEMA_MISMATCH')
    const other = await credential({ credentialSchema: { id: url, type: 'https://example.org/#Schema' } })
    expect(await schemaCode(other, { fetchDocument: serve({}) })).toBe('SCHEMA_UNSUPPORTED')
  })

  it('holds the schema to the digest it is named with', async () => {
    const digestMultibase = base64url.encode(new Uint8Array([0x12, 32, ...sha256(bytesOf({}))]))
    const made = await credential({ credentialSchema: { id: url, type: 'JsonSchema', digestMultibase } })
    expect(await schemaCode(made, { fetchDocument: serve({}) })).toBeUndefined()
    expect(await schemaCode(made, { fetchDocument: serve({ a: 1 }) })).toBe('RESOURCE_MISMATCH')
  })

  it('takes the schema from a credential that verifies', async () => {
    const held = (jsonSchema: object, more: object = {}) =>
      issue(
        {
          '@context': [v2],
          type: ['VerifiableCredential', 'JsonSchemaCredential'],
          credentialSubject: { id: url, type: 'JsonSchema', jsonSchema },
          ...more
        },
        issuer,
        { now }
      )
    const made = await credential({ credentialSchema: { id: url, type: 'JsonSchemaCredential' } })
    expect(
      await schemaCode(made, { fetchDocument: serve(await held(role({ type: 'string' }))) })
    ).toBeUndefined()
    expect(await schemaCode(made, { fetchDocument: serve(await held(role({ type: 'integer' }))) })).toBe(
      'SCHEMA_MISMATCH'
    )
    const changed = { ...(await held({})), issuer: 'did:example:other' }
    expect(await schemaCode(made, { fetchDocument: serve(changed) })).toBe('SCHEMA_UNSUPPORTED')
    expect(
      await schemaCode(made, { fetchDocument: serve(await held({}, { type: ['VerifiableCredential'] })) })
    ).toBe('SCHEMA_UNSUPPORTED')
    expect(await schemaCode(made, { fetchDocument: serve({}) })).toBe('SCHEMA_UNSUPPORTED')
  })
})

describe('a schema is not used that', () => {
  const doubling = Object.fromEntries(
    Array.from({ length: 30 }, (_, i) => [
      `s${i}`,
      i === 29 ? {} : { allOf: [{ $ref: `#/$defs/s${i + 1}` }, { $ref: `#/$defs/s${i + 1}` }] }
    ])
  )
  it.each<[string, object, unknown?]>([
    ['doubles its work at each step', { $defs: doubling, $ref: '#/$defs/s0' }],
    ['forms a circle', { $defs: { a: { $ref: '#/$defs/b' }, b: { $ref: '#/$defs/a' } } }],
    ['has a dynamic reference', { $dynamicRef: '#x' }],
    [
      'leads its references elsewhere',
      { properties: { a: { $id: 'https://example.org/x', $ref: '#/$defs/a' } } }
    ],
    ['repeats what repeats', { pattern: '^(a+)+$' }],
    ['repeats what chooses', { pattern: '^(a|a)*$' }],
    ['repeats what is optional', { pattern: '^(a?a?)*$' }],
    ['repeats it further in', { pattern: '^((?:a*)b?)*$' }],
    ['looks back', { pattern: '(a)\\1' }],
    ['looks around', { pattern: '(?=a)b' }],
    ['repeats often', { pattern: 'a*a*a*b' }, 'a'.repeat(400)],
    ['repeats often up to a number', { pattern: `${'a{0,900}'.repeat(3)}b` }, 'a'.repeat(400)],
    ['repeats much', { pattern: 'a{5000}' }],
    ['has many optional parts', { pattern: `${'a?'.repeat(30)}b` }, 'a'.repeat(30)],
    ['has many choices', { pattern: `${'(a|a)'.repeat(30)}b` }, 'a'.repeat(30)],
    ['lays patterns over many texts', { pattern: 'a*a*b' }, Array(100).fill('a'.repeat(1_000))],
    ['has such a name', { patternProperties: { '(a+)+$': {} } }],
    ['has patterns for long texts', { pattern: 'a+' }, { text: 'a'.repeat(2_000) }],
    ['compares many items', { uniqueItems: true }, Array(2_000).fill(0)],
    [
      'asks much of many parts',
      { items: { allOf: Array.from({ length: 2_000 }, () => ({})) } },
      Array(2_000).fill(0)
    ]
  ])('%s', (_name, schema, instance = {}) => {
    expect(schemaBounds(schema, instance).fault).toEqual(expect.any(String))
  })

  it('but common ones are', () => {
    for (const pattern of [
      '^[^@]+@[^@]+$',
      '^did:key:z[1-9A-HJ-NP-Za-km-z]{20,200}$',
      '^(?:red|green)$',
      `^(${Array(40).fill('name').join('|')})$`,
      '^[^@]+@[^@]+\\.[^@]+$',
      '^\\d{4}-\\d{2}-\\d{2}$',
      '^(https?)://[a-z.]+(/[a-z]+)?$'
    ])
      expect([pattern, schemaBounds({ pattern }, Array(30).fill('a'.repeat(90))).fault]).toEqual([
        pattern,
        undefined
      ])
    expect(
      schemaBounds(
        { $defs: { a: {} }, properties: { x: { $ref: '#/$defs/a' }, y: { $ref: '#/$defs/a' } } },
        {}
      ).fault
    ).toBeUndefined()
  })
})

describe('related resources', () => {
  const id = 'https://example.org/image.png'
  const digestMultibase = base64url.encode(new Uint8Array([0x12, 32, ...sha256(bytesOf('image'))]))

  it('have the digest they are said to have', async () => {
    const made = await credential({ credentialSchema: undefined, relatedResource: { id, digestMultibase } })
    expect(await schemaCode(made, { fetchDocument: serve('image') })).toBeUndefined()
    expect(await schemaCode(made, { fetchDocument: serve('another') })).toBe('RESOURCE_MISMATCH')
    expect(await schemaCode(made, { fetchDocument: () => Promise.resolve(undefined) })).toBe(
      'RESOURCE_UNAVAILABLE'
    )
    expect(await schemaCode(made, {})).toBe('RESOURCE_UNAVAILABLE')
  })

  it('have each of several digests', async () => {
    const sri = (text: string) => `sha256-${base64pad.baseEncode(sha256(bytesOf(text)))}`
    const fetchDocument = serve('image')
    const one = await credential({
      credentialSchema: undefined,
      relatedResource: { id, digestMultibase, digestSRI: `${sri('image')}  ${sri('image')}` }
    })
    expect(await schemaCode(one, { fetchDocument })).toBeUndefined()
    const other = await credential({
      credentialSchema: undefined,
      relatedResource: { id, digestMultibase, digestSRI: `${sri('image')} ${sri('x')}` }
    })
    expect(await schemaCode(other, { fetchDocument })).toBe('RESOURCE_MISMATCH')
  })

  it('are known without asking where they are published contexts', async () => {
    const made = await credential({
      credentialSchema: undefined,
      relatedResource: {
        id: v2,
        digestSRI: 'sha384-l/HrjlBCNWyAX91hr6LFV2Y3heB5Tcr6IeE4/Tje8YyzYBM8IhqjHWiWpr8+ZbYU'
      }
    })
    expect(await schemaCode(made, {})).toBeUndefined()
  })
})
