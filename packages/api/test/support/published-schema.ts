// OpenAI's published description as a check of answers, where the folder of test data has it. Node.js alone.
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Ajv2020 } from 'ajv/dist/2020.js'

const folder = process.env['KWAAI_TEST_DATA']
const path = join(folder ?? '', 'openai-openapi.json')

/** OpenAPI 3.0's `nullable` is rewritten; JSON Schema 2020-12 has no such word. */
function withoutNullable(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutNullable)
  if (typeof value !== 'object' || value === null) return value
  const { nullable, ...rest } = Object.fromEntries(
    Object.entries(value).map(([key, inner]) => [key, withoutNullable(inner)])
  )
  if (nullable !== true) return rest
  return { anyOf: [rest, { type: 'null' }] }
}

/** What is wrong with a value, by the name of its schema; undefined where the description is not there. */
export function publishedCheck(): ((name: string, value: unknown) => string[]) | undefined {
  if (folder === undefined || !existsSync(path)) {
    console.warn(
      'openai-openapi.json is not in the folder KWAAI_TEST_DATA names: answers are checked against our own schemas.'
    )
    return undefined
  }
  const ajv = new Ajv2020({ strict: false, validateFormats: false, allErrors: true })
  const document: unknown = JSON.parse(readFileSync(path, 'utf8'))
  ajv.addSchema({ $id: 'openai', ...Object(withoutNullable(document)) })
  return (name, value) => {
    const validate = ajv.getSchema(`openai#/components/schemas/${name}`)
    if (validate === undefined) return [`the description has no ${name}`]
    return validate(value) === true
      ? []
      : (validate.errors ?? []).map((e) => `${e.instancePath} ${e.message}`)
  }
}
