import type { JsonObject } from '../json.ts'
import { credentialsV1 } from './credentials-v1.ts'
import { credentialsV2 } from './credentials-v2.ts'
import { dataIntegrityV2 } from './data-integrity-v2.ts'
import { didV1 } from './did-v1.ts'
import { KWAAI_CONTEXT, kwaaiV2 } from './kwaai-v2.ts'
import { multikeyV1 } from './multikey-v1.ts'

/** The example context that the data model publishes (w3c/vc-data-model, contexts/credentials/examples/v2). */
export const examplesV2: JsonObject = {
  '@context': { '@vocab': 'https://www.w3.org/ns/credentials/examples#' }
}

/** The contexts that are known without asking anybody, by URL. None is ever fetched. */
export const bundledContexts: ReadonlyMap<string, JsonObject> = new Map([
  ['https://www.w3.org/ns/credentials/v2', credentialsV2],
  ['https://www.w3.org/2018/credentials/v1', credentialsV1],
  ['https://www.w3.org/ns/credentials/examples/v2', examplesV2],
  ['https://w3id.org/security/data-integrity/v2', dataIntegrityV2],
  ['https://w3id.org/security/multikey/v1', multikeyV1],
  ['https://www.w3.org/ns/did/v1', didV1],
  [KWAAI_CONTEXT, kwaaiV2]
])
