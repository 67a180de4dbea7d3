import { parseJson, type JsonObject } from '../json.ts'
import { failed, fine, type Finding } from './checks.ts'
import { digestsOf, matches } from './digest.ts'
import { fetchWithin } from './fetch-within.ts'
import { schemaBounds } from './schema-bounds.ts'
import { isObject, listOf } from './shape.ts'
import { verifyDocument, type Settled } from './verify.ts'

const maxSchemaBytes = 2 ** 18
// Each may cost a request.
const maxSchemas = 8

type Draft = '4' | '7' | '2019-09' | '2020-12'

// By $schema (VC JSON Schema, section 3.3.1); without one the newest.
const drafts: Readonly<Record<string, Draft>> = {
  'https://json-schema.org/draft/2020-12/schema': '2020-12',
  'https://json-schema.org/draft/2019-09/schema': '2019-09',
  'http://json-schema.org/draft-07/schema': '7',
  'http://json-schema.org/draft-04/schema': '4'
}

type Found = { schema: JsonObject } | { finding: Finding }

/** Whether a credential conforms to each of its schemas (VC JSON Schema). */
export async function schemaFinding(document: JsonObject, options: Settled): Promise<Finding> {
  const entries = listOf(document['credentialSchema'])
  if (entries.length > maxSchemas)
    return failed('SCHEMA_UNSUPPORTED', `The credential has more than ${maxSchemas} schemas`)
  for (const entry of entries) {
    const finding = await oneSchema(document, entry as object as JsonObject, options)
    if (!finding.ok) return finding
  }
  return fine
}

async function oneSchema(document: JsonObject, entry: JsonObject, options: Settled): Promise<Finding> {
  const types = listOf(entry['type'])
  const inCredential = types.includes('JsonSchemaCredential')
  if (!inCredential && !types.includes('JsonSchema'))
    return failed(
      'SCHEMA_UNSUPPORTED',
      `Schemas of the type ${JSON.stringify(types).slice(0, 120)} are not supported`
    )
  const url = entry['id'] as string
  const fetched = await fetchWithin(url, maxSchemaBytes, options)
  if (fetched === undefined) return failed('SCHEMA_UNAVAILABLE', `The schema ${url} could not be had`)
  if ('code' in fetched) return fetched
  if (entry['digestSRI'] !== undefined || entry['digestMultibase'] !== undefined) {
    const digests = digestsOf(entry)
    if (digests === undefined || !matches(fetched, digests))
      return failed('RESOURCE_MISMATCH', `The digest of the schema ${url} is not that of its content`)
  }
  const found = await options.budget.once(fetched, inCredential ? 'credential' : 'schema', async () => {
    const read = readSchema(url, fetched.bytes)
    return inCredential && 'schema' in read ? schemaOfCredential(read.schema, options) : read
  })
  return 'finding' in found ? found.finding : validate(document, found.schema, options)
}

function readSchema(url: string, bytes: Uint8Array): Found {
  try {
    const schema = parseJson(new TextDecoder('utf-8', { fatal: true }).decode(bytes), {
      maxLength: maxSchemaBytes
    })
    if (isObject(schema)) return { schema }
  } catch {
    // Said below.
  }
  return { finding: failed('SCHEMA_UNSUPPORTED', `The schema ${url} is no object of JSON`) }
}

/**
 * The schema that a credential holds, which is verified like any other. The schema of that credential is not fetched:
 * what it would say is looked at here.
 */
async function schemaOfCredential(document: JsonObject, options: Settled): Promise<Found> {
  const unsupported = (why: string): Found => ({
    finding: failed('SCHEMA_UNSUPPORTED', `The credential that holds the schema ${why}`)
  })
  if (!listOf(document['type']).includes('JsonSchemaCredential')) return unsupported('is of another type')
  const { holder: _holder, ...others } = options
  const result = await verifyDocument(document, { ...others, skipSchema: true })
  const bad = result.checks.find(({ ok, required }) => required && !ok)
  if (bad?.code?.startsWith('BUDGET_') === true) return { finding: failed(bad.code, bad.message ?? '') }
  if (bad !== undefined) return unsupported(`does not verify (${bad.code})`)
  const subject = document['credentialSubject']
  if (
    !isObject(subject) ||
    !listOf(subject['type']).includes('JsonSchema') ||
    !isObject(subject['jsonSchema'])
  )
    return unsupported('holds none')
  return { schema: subject['jsonSchema'] }
}

async function validate(document: JsonObject, schema: JsonObject, { budget }: Settled): Promise<Finding> {
  const named = schema['$schema']
  const draft =
    named === undefined ? '2020-12' : typeof named === 'string' ? drafts[named.replace(/#$/, '')] : undefined
  if (draft === undefined)
    return failed('SCHEMA_UNSUPPORTED', 'The schema is of a draft that is not supported')
  // Where nothing is left, the work is not even estimated.
  const passed = budget.spend('schemaWork', 0)
  if (passed !== undefined) return passed
  const { work, fault } = schemaBounds(schema, document)
  const refusal = budget.spend('schemaWork', work)
  if (fault !== undefined) return failed('SCHEMA_UNSUPPORTED', `The schema is not used: ${fault}`)
  if (refusal !== undefined) return refusal
  let Validator: typeof import('@cfworker/json-schema').Validator
  try {
    ;({ Validator } = await import('@cfworker/json-schema'))
  } catch {
    return failed(
      'SCHEMA_UNSUPPORTED',
      'Schemas need the package @cfworker/json-schema, which is not installed'
    )
  }
  try {
    const { valid, errors } = new Validator(schema, draft).validate(document)
    if (valid) return fine
    const { instanceLocation, error } = errors.at(-1) ?? { instanceLocation: '#', error: 'it does not fit' }
    return failed(
      'SCHEMA_MISMATCH',
      `The credential does not fit its schema at ${instanceLocation}: ${error}`.slice(0, 300)
    )
  } catch (error) {
    const why = error instanceof Error ? error.message : 'it is malformed'
    return failed('SCHEMA_UNSUPPORTED', `The schema cannot be used: ${why}`.slice(0, 300))
  }
}
