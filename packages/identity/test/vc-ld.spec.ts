import type { JsonObject } from '@kwaai/identity'
import { createEddsaRdfc2022 } from '@kwaai/identity/vc-ld'
import { describe, expect, test } from 'vitest'
import { missingPeer } from '../src/vc-ld/peers.ts'

const v2 = 'https://www.w3.org/ns/credentials/v2'
const terms = { '@vocab': 'https://example.org/#', knows: { '@type': '@id' } }
const rdfc = createEddsaRdfc2022()

const hash = (document: JsonObject, suite = rdfc): Promise<Uint8Array> =>
  suite.hash({ '@context': [v2, terms], ...document }, { type: 'DataIntegrityProof' })

const refused = async (work: Promise<unknown>, why: string): Promise<void> => {
  await expect(work).rejects.toMatchObject({
    code: 'ERR_IDENTITY_NOT_CANONICAL',
    message: expect.stringContaining(why)
  })
}

/** `count` nodes without names, each of which knows those that the function names. */
const graph = (count: number, known: (i: number) => number[]): JsonObject => ({
  type: 'VerifiableCredential',
  credentialSubject: Array.from({ length: count }, (_, i) => ({
    id: `_:b${i}`,
    knows: known(i).map((j) => `_:b${j}`)
  }))
})

describe('eddsa-rdfc-2022', () => {
  test('takes inline contexts, and reads terms by their meaning', async () => {
    const inline = { '@context': [v2, { who: 'https://example.org/#who' }], credentialSubject: { who: 'x' } }
    const full = { '@context': v2, credentialSubject: { 'https://example.org/#who': 'x' } }
    const type = ['VerifiableCredential']
    expect(await hash({ ...inline, type })).toEqual(await hash({ ...full, type }))
  })

  test.each([
    ['an unknown context', { '@context': [v2, 'https://example.org/v1'] }, 'is not known'],
    [
      'one inside of a claim',
      { credentialSubject: { '@context': 'https://example.org/v1' } },
      'is not known'
    ],
    [
      'one inside of a context',
      { '@context': [v2, { a: { '@id': 'https://example.org/a', '@context': 'https://example.org/v1' } }] },
      'is not known'
    ],
    ['an imported one', { '@context': [v2, { '@import': 'https://example.org/v1' }] }, 'is not known'],
    ['a relative one', { '@context': [v2, '../v1'] }, 'is not known'],
    [
      'an undeclared term',
      { '@context': v2, type: 'VerifiableCredential', credentialSubject: { zzz: 1 } },
      '"zzz"'
    ],
    ['an undeclared type', { '@context': v2, type: ['VerifiableCredential', 'Zzz'] }, '@type'],
    [
      'a protected term defined anew',
      { '@context': [v2, { VerifiableCredential: 'https://example.org/a' }] },
      'protected'
    ],
    ['a relative id', { '@context': v2, id: 'zzz', type: 'VerifiableCredential' }, 'elative'],
    ['free text as a graph', { '@context': v2, type: 'VerifiableCredential', '@graph': ['x'] }, '']
  ] as [string, JsonObject, string][])('refuses %s', (_, document, why) => refused(hash(document), why))

  test('never takes a text that is the JSON of a context for that context', async () => {
    await hash({ '@context': [v2, terms], credentialSubject: { a: 1 } })
    await refused(
      hash({ '@context': [v2, JSON.stringify(terms)], credentialSubject: { a: 1 } }),
      'is not known'
    )
  })

  test('contexts that are given are known, and a bundled one stays what it is', async () => {
    const mine = { '@context': { who: 'https://example.org/#who' } }
    const url = 'https://example.org/v1'
    const suite = createEddsaRdfc2022({
      contexts: { [url]: mine, [v2]: { '@context': { '@vocab': 'https://evil.example/#' } } }
    })
    const document = { '@context': [v2, url], type: 'VerifiableCredential', credentialSubject: { who: 'x' } }
    expect(await hash(document, suite)).toEqual(
      await hash({ ...document, '@context': [v2, mine['@context']] } as JsonObject)
    )
    await refused(hash({ ...document, credentialSubject: { zzz: 1 } }, suite), '"zzz"')
    // Another suite that knows another document under the URL reads that one.
    const other = createEddsaRdfc2022({
      contexts: { [url]: { '@context': { who: 'https://example.org/#other' } } }
    })
    expect(await hash(document, other)).not.toEqual(await hash(document, suite))
    expect(mine).toEqual({ '@context': { who: 'https://example.org/#who' } })
  })

  test.each([
    [
      'everybody knows everybody',
      graph(12, (i) => Array.from({ length: 12 }, (_, j) => j).filter((j) => j !== i))
    ],
    ['a ring', graph(400, (i) => [(i + 1) % 400])]
  ])('bounds its work: %s', (_, document) => refused(hash(document), 'iterations'))

  test('bounds what it reads', async () => {
    const many = { credentialSubject: Array.from({ length: 5000 }, () => ({ a: 1 })) }
    await refused(hash(many), 'objects and lists')
    await refused(hash({ credentialSubject: { a: 'x'.repeat(2 ** 18) } }), 'characters')
    await refused(hash({ a: [1, 2, 3] }, createEddsaRdfc2022({ maxNodes: 5 })), 'objects and lists')
    let deep: JsonObject = {}
    for (let i = 0; i < 100; i++) deep = { a: deep }
    await refused(hash(deep), 'nested')
  })

  test('a few hundred claims that look alike are no poison', async () => {
    const alike = {
      type: 'VerifiableCredential',
      credentialSubject: Array.from({ length: 300 }, () => ({ a: 1 }))
    }
    expect(await hash(alike)).toHaveLength(64)
  })

  test('a peer that is missing is named', async () => {
    const missing = import(/* @vite-ignore */ `@digitalbazaar/${'nothing'}`)
    await expect(missing.catch(missingPeer('@digitalbazaar/nothing'))).rejects.toMatchObject({
      code: 'ERR_IDENTITY_MISSING_PEER',
      message: expect.stringContaining('@digitalbazaar/nothing')
    })
  })
})
