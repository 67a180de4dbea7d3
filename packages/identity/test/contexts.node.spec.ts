import * as credentials from '@digitalbazaar/credentials-context'
import * as dataIntegrity from '@digitalbazaar/data-integrity-context'
import * as multikey from '@digitalbazaar/multikey-context'
import { bundledContexts } from '@kwaai/identity/vc'
import * as did from 'did-context'
import { expect, test } from 'vitest'

test.each([
  ['https://www.w3.org/2018/credentials/v1', credentials.contexts],
  ['https://www.w3.org/ns/credentials/v2', credentials.contexts],
  ['https://w3id.org/security/data-integrity/v2', dataIntegrity.contexts],
  ['https://w3id.org/security/multikey/v1', multikey.contexts],
  ['https://www.w3.org/ns/did/v1', did.contexts]
])('%s is what its package publishes, order and all', (url, contexts) => {
  expect(contexts.has(url)).toBe(true)
  expect(JSON.stringify(bundledContexts.get(url))).toBe(JSON.stringify(contexts.get(url)))
})
