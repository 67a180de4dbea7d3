import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { canonicalizeJson, parseJson, type JsonObject } from '@kwaai/identity'
import { addProof, eddsaJcs2022, verifyProofs, type Cryptosuite, type Proof } from '@kwaai/identity/vc'
import { createEddsaRdfc2022 } from '@kwaai/identity/vc-ld'
import { base58btc } from 'multiformats/bases/base58'
import { describe, expect, test } from 'vitest'
import { toHex } from '../src/bytes.ts'
import { canonicalizeRdf } from '../src/vc-ld/canonical-rdf.ts'
import { createContextLoader } from '../src/vc-ld/contexts.ts'
import { citizenshipContexts, identityOf } from './published.ts'

// The published vectors, whole, where KWAAI_TEST_DATA names a folder that has them; data-integrity.spec.ts has an
// excerpt that runs everywhere.
const vectors = join(process.env['KWAAI_TEST_DATA'] ?? '', 'vectors')
const here = process.env['KWAAI_TEST_DATA'] !== undefined && existsSync(join(vectors, 'eddsa'))
const text = (...path: string[]): string => readFileSync(join(vectors, ...path), 'utf8')
const json = (...path: string[]): JsonObject => JSON.parse(text(...path)) as JsonObject

const rdfc = createEddsaRdfc2022({ contexts: citizenshipContexts })
const now = Date.parse('2026-01-01T00:00:00Z')
const nobody = { resolve: () => Promise.reject(new Error('did:key needs no resolver')) }
const verifyAll = (document: JsonObject) =>
  verifyProofs(document, { suites: [eddsaJcs2022, rdfc], resolver: nobody, now })

/** The document signed anew with what a published proof says; deterministic signatures make it the same. */
async function signAgain(document: JsonObject, proof: JsonObject, suite: Cryptosuite, keys: unknown) {
  const { created, id, previousProof, verificationMethod } = proof as Proof
  return addProof(document, {
    signer: identityOf(keys as { privateKeyMultibase: string }),
    suite,
    verificationMethod,
    created: Date.parse(created as string),
    ...(id !== undefined && { id }),
    ...(previousProof !== undefined && { previousProof })
  })
}

const vectorsOfEddsa = (): void => {
  test('eddsa-jcs-2022: canonical forms, hashes, proofValue and signed document', async () => {
    const folder = ['eddsa', 'eddsa-jcs-2022']
    const unsigned = json('eddsa', 'unsigned.json')
    const config = json(...folder, 'proofConfigJCS.json')
    expect(canonicalizeJson(unsigned)).toBe(text(...folder, 'canonDocJCS.txt'))
    expect(canonicalizeJson(config)).toBe(text(...folder, 'proofCanonJCS.txt'))
    const hash = toHex(await eddsaJcs2022.hash(unsigned, config))
    expect(hash).toBe(text(...folder, 'combinedHashJCS.txt'))
    expect(hash).toBe(text(...folder, 'proofHashJCS.txt') + text(...folder, 'docHashJCS.txt'))
    const signed = await signAgain(unsigned, config, eddsaJcs2022, json('eddsa', 'keyPair.json'))
    expect(signed).toEqual(json(...folder, 'signedJCS.json'))
    expect((signed.proof as Proof).proofValue).toBe(text(...folder, 'sigBTC58JCS.txt'))
    expect(await verifyAll(signed)).toMatchObject([{ ok: true }])
  })

  test.each([
    ['the alumni credential', ['eddsa', 'eddsa-rdfc-2022'], 'unsigned.json'],
    ['the employment credential', ['eddsa', 'eddsa-rdfc-2022', 'employ'], 'employmentAuth.json']
  ])('eddsa-rdfc-2022, %s', async (_, folder, source) => {
    const unsigned = json('eddsa', source)
    const config = json(...folder, 'proofConfigDataInt.json')
    const loader = createContextLoader(citizenshipContexts)
    expect(await canonicalizeRdf(unsigned, loader)).toBe(text(...folder, 'canonDocDataInt.txt'))
    expect(await canonicalizeRdf(config, loader)).toBe(text(...folder, 'proofCanonDataInt.txt'))
    const hash = toHex(await rdfc.hash(unsigned, config))
    expect(hash).toBe(text(...folder, 'combinedHashDataInt.txt'))
    expect(hash).toBe(text(...folder, 'proofHashDataInt.txt') + text(...folder, 'docHashDataInt.txt'))
    const signed = await signAgain(unsigned, config, rdfc, json('eddsa', 'keyPair.json'))
    expect(signed).toEqual(json(...folder, 'signedDataInt.json'))
    expect((signed.proof as Proof).proofValue).toBe(text(...folder, 'sigBTC58DataInt.txt'))
    expect(await verifyAll(signed)).toMatchObject([{ ok: true }])
  })

  test('proof sets and chains, each step', async () => {
    const file = (name: string): JsonObject => json('eddsa', 'proof-set-chain', name)
    const keys = file('multiKeyPairs.json')
    let document = file('unsigned.json')
    for (const [i, [config, signedConfig, whole]] of [
      ['proofSetConfig1', 'proofSetConfigSigned1', 'signedProofSet1'],
      ['proofSetConfig2', 'proofSetConfigSigned2', 'signedProofSet2'],
      ['proofChainConfig1', 'proofChainConfigSigned1', 'signedProofChain1'],
      ['proofChainConfig2', 'proofChainConfigSigned2', 'signedProofChain2']
    ].entries()) {
      const pair = keys[`keyPair${i + 1}`]
      document = (await signAgain(document, file(`${config}.json`), rdfc, pair)) as unknown as JsonObject
      expect(document, whole).toEqual(file(`${whole}.json`))
      const proofs = ([] as unknown[]).concat(document['proof'])
      expect(proofs.at(-1)).toEqual(file(`${signedConfig}.json`))
      expect(await verifyAll(document)).toMatchObject(proofs.map((proof) => ({ proof, ok: true })))
    }
  })

  test('the documents that the chain hashes', async () => {
    const file = (name: string): JsonObject => json('eddsa', 'proof-set-chain', name)
    for (const step of [1, 2]) {
      const { proofValue, ...config } = file(`proofChainConfigSigned${step}.json`)
      const hash = await rdfc.hash(file(`proofChainTempDoc${step}.json`), config)
      const signature = await identityOf(
        file('multiKeyPairs.json')[`keyPair${step + 2}`] as unknown as { privateKeyMultibase: string }
      ).sign(hash)
      expect(base58btc.encode(signature)).toBe(proofValue)
    }
  })
}

const vectorsOfJcs = (): void => {
  test.each(['arrays', 'french', 'structures', 'unicode', 'values', 'weird'])('%s', (name) => {
    const canonical = canonicalizeJson(parseJson(text('jcs', 'input', `${name}.json`)))
    expect(canonical).toBe(text('jcs', 'output', `${name}.json`).trimEnd())
    const hex = text('jcs', 'outhex', `${name}.txt`).replaceAll(/\s/g, '')
    expect(toHex(new TextEncoder().encode(canonical))).toBe(hex)
  })
}

if (here) {
  describe('the published vectors of DI EdDSA', vectorsOfEddsa)
  describe('the published vectors of RFC 8785', vectorsOfJcs)
}

test('the first of the vectors of RFC 8785, arrays, typed in', () => {
  const input = '[ 56, { "d": true, "10": null, "1": [ ] } ]'
  expect(canonicalizeJson(parseJson(input))).toBe('[56,{"1":[],"10":null,"d":true}]')
})
