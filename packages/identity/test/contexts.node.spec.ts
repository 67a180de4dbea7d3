import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { bundledContexts } from '@kwaai/identity/vc'
import { expect, test } from 'vitest'

const require = createRequire(import.meta.url)

/** A file of a package, whatever its `exports` let through. */
function published(name: string, file: string): unknown {
  const folders = require.resolve.paths(name) ?? []
  for (const folder of folders) {
    try {
      return JSON.parse(readFileSync(join(folder, name, file), 'utf8'))
    } catch {
      continue
    }
  }
  return expect.fail(`${name} is not installed beside ${dirname(import.meta.filename)}`)
}

test.each([
  ['https://www.w3.org/2018/credentials/v1', '@digitalbazaar/credentials-context', 'contexts/v1.jsonld'],
  ['https://www.w3.org/ns/credentials/v2', '@digitalbazaar/credentials-context', 'contexts/v2.jsonld'],
  [
    'https://w3id.org/security/data-integrity/v2',
    '@digitalbazaar/data-integrity-context',
    'contexts/data-integrity-v2.jsonld'
  ],
  ['https://w3id.org/security/multikey/v1', '@digitalbazaar/multikey-context', 'contexts/multikey-v1.jsonld'],
  ['https://www.w3.org/ns/did/v1', 'did-context', 'contexts/did-v1.jsonld']
])('%s is what %s publishes', (url, name, file) => {
  // Order and all: the text of both is the same.
  expect(JSON.stringify(bundledContexts.get(url))).toBe(JSON.stringify(published(name, file)))
})
