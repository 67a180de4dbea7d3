import { parseJson, type JsonObject } from '../json.ts'
import { failed, fine, type Finding } from './checks.ts'
import { digestsOf, matches } from './digest.ts'
import { schemaBoundsFault } from './schema-bounds.ts'
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

type Fetched = { schema: JsonObject } | { finding: Finding }

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
  const fetched = await fetchJson(entry, options)
  if ('finding' in fetched) return fetched.finding
  const found = inCredential ? await schemaOfCredential(fetched.schema, options) : fetched
  return 'finding' in found ? found.finding : validate(document, found.schema)
}

async function fetchJson(entry: JsonObject, { fetchDocument, signal }: Settled): Promise<Fetched> {
  const url = entry['id'] as string
  const unavailable: Fetched = { finding: failed('SCHEMA_UNAVAILABLE', `The schema ${url} could not be had`) }
  if (fetchDocument === undefined) return unavailable
  let bytes: Uint8Array | undefined
  try {
    bytes = (
      await fetchDocument(url, { maxBytes: maxSchemaBytes, ...(signal === undefined ? {} : { signal }) })
    )?.bytes
  } catch {
    signal?.throwIfAborted()
  }
  if (bytes === undefined || bytes.length > maxSchemaBytes) return unavailable
  if (entry['digestSRI'] !== undefined || entry['digestMultibase'] !== undefined) {
    const digests = digestsOf(entry)
    if (digests === undefined || !matches(bytes, digests))
      return {
        finding: failed('RESOURCE_MISMATCH', `The digest of the schema ${url} is not that of its content`)
      }
  }
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
async function schemaOfCredential(document: JsonObject, options: Settled): Promise<Fetched> {
  const unsupported = (why: string): Fetched => ({
    finding: failed('SCHEMA_UNSUPPORTED', `The credential that holds the schema ${why}`)
  })
  if (!listOf(document['type']).includes('JsonSchemaCredential')) return unsupported('is of another type')
  const { holder: _holder, ...others } = options
  const result = await verifyDocument(document, { ...others, skipSchema: true })
  const bad = result.checks.find(({ ok, required }) => required && !ok)
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

async function validate(document: JsonObject, schema: JsonObject): Promise<Finding> {
  const named = schema['$schema']
  const draft =
    named === undefined ? '2020-12' : typeof named === 'string' ? drafts[named.replace(/#$/, '')] : undefined
  if (draft === undefined)
    return failed('SCHEMA_UNSUPPORTED', 'The schema is of a draft that is not supported')
  const bounds = schemaBoundsFault(schema, document)
  if (bounds !== undefined) return failed('SCHEMA_UNSUPPORTED', `The schema is not used: ${bounds}`)
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
