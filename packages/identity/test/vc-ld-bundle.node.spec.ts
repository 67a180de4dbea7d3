import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { build } from 'esbuild'
import { expect, test } from 'vitest'

const source = (path: string): string => join(import.meta.dirname, '../src', path)

async function bundle(path: string, outfile: string, write = true) {
  return build({
    entryPoints: [source(path)],
    outfile,
    bundle: true,
    format: 'esm',
    platform: 'browser',
    conditions: ['kwaai:source'],
    external: ['@digitalbazaar/*', '@cfworker/json-schema'],
    metafile: true,
    write,
    logLevel: 'silent'
  })
}

test('bundled, the door leaves its peers outside, and where one is missing says which', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'kwaai-vc-ld-'))
  try {
    const file = join(folder, 'vc-ld.mjs')
    const { warnings, metafile } = await bundle('vc-ld/index.ts', file)
    expect(warnings).toEqual([])
    expect(Object.keys(metafile.inputs).filter((name) => name.includes('digitalbazaar'))).toEqual([])
    const { createEddsaRdfc2022 } = (await import(
      /* @vite-ignore */ pathToFileURL(file).href
    )) as typeof import('../src/vc-ld/index.ts')
    const document = { '@context': 'https://www.w3.org/ns/credentials/v2', type: 'VerifiableCredential' }
    await expect(createEddsaRdfc2022().hash(document, { type: 'DataIntegrityProof' })).rejects.toMatchObject({
      code: 'ERR_IDENTITY_MISSING_PEER',
      details: { package: '@digitalbazaar/eddsa-rdfc-2022-cryptosuite' }
    })
  } finally {
    await rm(folder, { recursive: true })
  }
})

test('the first door has neither contexts nor proofs in it', async () => {
  const { metafile } = await bundle('index.ts', 'unwritten.mjs', false)
  expect(Object.keys(metafile.inputs).filter((name) => /contexts|data-integrity|\/vc/.test(name))).toEqual([])
})
