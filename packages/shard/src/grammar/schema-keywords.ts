/** A schema of JSON Schema, draft 2020-12, as JSON.parse gives it. */
export type JsonSchema = boolean | SchemaObject

/** A schema that is an object. */
export type SchemaObject = Readonly<Record<string, unknown>>

/** A schema, and where it stands. */
export interface Located {
  readonly schema: JsonSchema
  /** JSON Pointer from the root of the document. */
  readonly path: string
}

/** True for an object that is no array. */
export const isRecord = (value: unknown): value is SchemaObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** True for what may stand where a schema is expected. */
export const isSchema = (value: unknown): value is JsonSchema => typeof value === 'boolean' || isRecord(value)

/** The types of JSON, in the order texts try them. */
export const typeNames = ['null', 'boolean', 'integer', 'number', 'string', 'array', 'object'] as const

/** A type of JSON. */
export type TypeName = (typeof typeNames)[number]

const isTypeName = (value: unknown): value is TypeName => typeNames.some((name) => name === value)
const isCount = (value: unknown): boolean => Number.isInteger(value) && Number(value) >= 0
const isNumber = (value: unknown): boolean => typeof value === 'number' && Number.isFinite(value)
const isString = (value: unknown): boolean => typeof value === 'string'
const isBoolean = (value: unknown): boolean => typeof value === 'boolean'
const areStrings = (value: unknown): boolean => Array.isArray(value) && value.every(isString)
const areSchemas = (value: unknown): boolean =>
  Array.isArray(value) && value.length > 0 && value.every(isSchema)
const namedSchemas = (value: unknown): boolean => isRecord(value) && Object.values(value).every(isSchema)
const anything = (): boolean => true

/** Keywords that say nothing about what is valid, or only name things. */
export const annotations: ReadonlySet<string> = new Set([
  '$schema',
  '$id',
  '$anchor',
  '$comment',
  '$defs',
  '$vocabulary',
  'definitions',
  'title',
  'description',
  'default',
  'deprecated',
  'readOnly',
  'writeOnly',
  'examples',
  'contentEncoding',
  'contentMediaType',
  'contentSchema'
])

/** The keywords that constrain, and what their values look like. */
export const keywords: ReadonlyMap<string, (value: unknown) => boolean> = new Map<
  string,
  (value: unknown) => boolean
>([
  ['$ref', isString],
  ['$dynamicRef', isString],
  [
    'type',
    (value) => isTypeName(value) || (Array.isArray(value) && value.length > 0 && value.every(isTypeName))
  ],
  ['enum', (value) => Array.isArray(value)],
  ['const', anything],
  ['allOf', areSchemas],
  ['anyOf', areSchemas],
  ['oneOf', areSchemas],
  ['not', isSchema],
  ['if', isSchema],
  ['then', isSchema],
  ['else', isSchema],
  ['multipleOf', (value) => isNumber(value) && Number(value) > 0],
  ['minimum', isNumber],
  ['maximum', isNumber],
  ['exclusiveMinimum', isNumber],
  ['exclusiveMaximum', isNumber],
  ['minLength', isCount],
  ['maxLength', isCount],
  ['pattern', isString],
  ['format', isString],
  ['prefixItems', areSchemas],
  ['items', isSchema],
  ['contains', isSchema],
  ['minContains', isCount],
  ['maxContains', isCount],
  ['minItems', isCount],
  ['maxItems', isCount],
  ['uniqueItems', isBoolean],
  ['unevaluatedItems', isSchema],
  ['properties', namedSchemas],
  ['patternProperties', namedSchemas],
  ['additionalProperties', isSchema],
  ['propertyNames', isSchema],
  ['required', areStrings],
  ['minProperties', isCount],
  ['maxProperties', isCount],
  ['dependentRequired', (value) => isRecord(value) && Object.values(value).every(areStrings)],
  ['dependentSchemas', namedSchemas],
  ['unevaluatedProperties', isSchema]
])

/** The type of values each keyword speaks about, for those that speak about one. */
export const typeOfKeyword: ReadonlyMap<string, TypeName> = new Map<string, TypeName>([
  ...['multipleOf', 'minimum', 'maximum', 'exclusiveMinimum', 'exclusiveMaximum'].map(
    (keyword): [string, TypeName] => [keyword, 'number']
  ),
  ...['minLength', 'maxLength', 'pattern', 'format'].map((keyword): [string, TypeName] => [
    keyword,
    'string'
  ]),
  ...['prefixItems', 'items', 'contains', 'minItems', 'maxItems', 'uniqueItems', 'unevaluatedItems'].map(
    (keyword): [string, TypeName] => [keyword, 'array']
  ),
  ...[
    'properties',
    'patternProperties',
    'additionalProperties',
    'propertyNames',
    'required',
    'minProperties',
    'maxProperties',
    'dependentRequired',
    'dependentSchemas',
    'unevaluatedProperties'
  ].map((keyword): [string, TypeName] => [keyword, 'object'])
])
