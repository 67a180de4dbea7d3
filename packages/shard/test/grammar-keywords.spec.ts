import { expect, test } from 'vitest'
import { lets, schemaRule } from './grammar-kit.ts'

/** A schema, texts that follow it, and texts that do not; each of those fails by the one keyword it is about. */
type Row = [keyword: string, schema: unknown, valid: string[], invalid: string[]]

const object = (rest: object): object => ({ type: 'object', ...rest })

const held: Row[] = [
  ['type', { type: 'null' }, ['null'], ['0', 'nul', '"null"', ' null', 'null ']],
  ['type', { type: ['string', 'boolean'] }, ['"a"', 'true'], ['null', '1', '[]']],
  ['type', { type: 'integer' }, ['0', '-12'], ['1.5', '01', '+1', '"1"']],
  ['type', { type: 'number' }, ['0', '-1.5', '1e5', '2E-3', '1.25e+10'], ['.5', '1.', '1e400', 'NaN', '00']],
  ['type', true, ['[{"a":1}]', '"x"', '{}'], ['', '{', '[1,]', '{"a"}', '[ 1]']],
  ['type', {}, ['{"a":null}', '1'], ['undefined']],
  [
    'enum',
    { enum: ['é', 'a"b', 1.5, null, { k: [1] }] },
    ['"é"', '"a\\"b"', '1.5', 'null', '{"k":[1]}'],
    ['"e"', '1', '{"k":[2]}']
  ],
  ['enum', { type: 'string', enum: ['a', 1], maxLength: 1 }, ['"a"'], ['1']],
  ['enum', { enum: [1, 2, 3, 4], not: { multipleOf: 2 } }, ['1', '3'], ['2', '4']],
  ['enum', { enum: [0.5, 0.25, 2], multipleOf: 0.5 }, ['0.5', '2'], ['0.25']],
  [
    'enum',
    {
      enum: [
        [1, 1],
        [1, 2]
      ],
      uniqueItems: true
    },
    ['[1,2]'],
    ['[1,1]']
  ],
  ['enum', { enum: [[1], ['a']], contains: { type: 'string' } }, ['["a"]'], ['[1]']],
  ['enum', { enum: [1, 'a'], if: { type: 'integer' }, else: { minLength: 2 } }, ['1'], ['"a"']],
  ['const', { const: '日本\n' }, ['"日本\\n"'], ['"日本"', '"日本\n"']],
  ['const', { const: { a: 1, b: [true] } }, ['{"a":1,"b":[true]}'], ['{"b":[true],"a":1}', '{}']],
  ['anyOf', { anyOf: [{ type: 'integer', minimum: 5 }, { type: 'string' }] }, ['5', '""'], ['4', 'null']],
  ['anyOf', { type: 'integer', anyOf: [{ maximum: 1 }, { minimum: 9 }] }, ['0', '9'], ['5', '"a"']],
  ['oneOf', { oneOf: [{ type: 'string' }, { type: 'null' }] }, ['""', 'null'], ['1']],
  [
    'oneOf',
    {
      oneOf: ['a', 'b'].map((kind, index) =>
        object({
          properties: { kind: { const: kind }, value: { const: index } },
          required: ['kind', 'value']
        })
      )
    },
    ['{"kind":"a","value":0}', '{"kind":"b","value":1}'],
    ['{"kind":"a","value":1}', '{"kind":"c","value":0}']
  ],
  ['allOf', { type: 'integer', allOf: [{ minimum: 2 }, { maximum: 4 }] }, ['2', '4'], ['1', '5']],
  [
    'allOf',
    {
      allOf: [
        object({ properties: { a: { type: 'integer' } }, required: ['a'] }),
        object({ properties: { a: { maximum: 3 }, b: { type: 'null' } }, required: ['b'] })
      ]
    },
    ['{"a":3,"b":null}'],
    ['{"a":4,"b":null}', '{"a":3}', '{"b":null}']
  ],
  [
    '$ref',
    {
      $defs: { 'a/b~c': { type: 'array', items: { $ref: '#/$defs/a~1b~0c' }, maxItems: 2 } },
      $ref: '#/$defs/a~1b~0c'
    },
    ['[]', '[[],[[]]]'],
    ['[[],[],[]]', '[1]', '{}']
  ],
  ['$ref', { type: 'array', maxItems: 1, items: { $ref: '#' } }, ['[]', '[[[]]]'], ['[[],[]]']],
  [
    'properties',
    object({ properties: { a: { type: 'null' } } }),
    ['{}', '{"a":null}'],
    ['{"a":1}', '{"b":1}', '{"a":null,"a":null}']
  ],
  [
    'properties',
    object({ properties: { 'ü"': { type: 'null' } }, required: ['ü"'] }),
    ['{"ü\\"":null}'],
    ['{}']
  ],
  [
    'required',
    object({ properties: { a: {}, b: {} }, required: ['b'] }),
    ['{"b":1}', '{"a":1,"b":2}'],
    ['{"a":1}', '{}']
  ],
  ['required', object({ required: ['x'] }), ['{"x":[]}'], ['{}', '{"y":1}']],
  [
    'additionalProperties',
    object({ additionalProperties: { type: 'integer' } }),
    ['{}', '{"a":1,"b":2}'],
    ['{"a":"x"}']
  ],
  [
    'additionalProperties',
    object({ properties: { ab: { type: 'string' } }, additionalProperties: { type: 'integer' } }),
    ['{"ab":"x","a":1,"abc":2,"":3}', '{"b":1}'],
    ['{"ab":1}', '{"\\u0061b":1}', '{"a":1,"ab":2}', '{"a":"x"}']
  ],
  ['additionalProperties', object({ additionalProperties: false }), ['{}'], ['{"a":1}']],
  [
    'patternProperties',
    object({ patternProperties: { '^n\\d$': { type: 'integer' } }, additionalProperties: false }),
    ['{}', '{"n1":1,"n2":2}'],
    ['{"n":1}', '{"n1":"x"}', '{"n11":1}']
  ],
  [
    'propertyNames',
    object({ propertyNames: { pattern: '^[a-z]{1,2}$' }, additionalProperties: { type: 'null' } }),
    ['{"ab":null}'],
    ['{"abc":null}', '{"A":null}']
  ],
  [
    'propertyNames',
    object({ properties: { abc: {}, d: {} }, propertyNames: { maxLength: 2 }, additionalProperties: false }),
    ['{"d":1}'],
    ['{"abc":1}']
  ],
  [
    'minProperties',
    object({ properties: { a: {}, b: {}, c: {} }, minProperties: 2 }),
    ['{"a":1,"c":1}', '{"a":1,"b":1,"c":1}'],
    ['{}', '{"b":1}']
  ],
  ['minProperties', object({ minProperties: 1 }), ['{"a":1}'], ['{}']],
  [
    'maxProperties',
    object({ properties: { a: {}, b: {}, c: {} }, maxProperties: 1 }),
    ['{}', '{"c":1}'],
    ['{"a":1,"b":1}']
  ],
  ['maxProperties', object({ maxProperties: 2 }), ['{}', '{"c":1,"d":1}'], ['{"a":1,"b":1,"c":1}']],
  [
    'dependentRequired',
    object({ properties: { a: {}, b: {} }, required: ['b'], dependentRequired: { a: ['b'] } }),
    ['{"a":1,"b":2}'],
    ['{"a":1}']
  ],
  [
    'unevaluatedProperties',
    object({ properties: { a: {} }, unevaluatedProperties: false }),
    ['{"a":1}'],
    ['{"b":1}']
  ],
  ['unevaluatedProperties', object({ unevaluatedProperties: { type: 'null' } }), ['{"a":null}'], ['{"b":1}']],
  [
    'items',
    { type: 'array', items: { type: 'boolean' } },
    ['[]', '[true,false]'],
    ['[1]', '[true,]', '[,true]']
  ],
  [
    'prefixItems',
    { type: 'array', prefixItems: [{ type: 'null' }, { type: 'integer' }] },
    ['[]', '[null]', '[null,1]'],
    ['[1]', '[null,null]', '[null,1,2]']
  ],
  [
    'prefixItems',
    { type: 'array', prefixItems: [{ type: 'null' }], items: { type: 'integer' }, minItems: 2, maxItems: 3 },
    ['[null,1]', '[null,1,2]'],
    ['[null]', '[null,1,2,3]', '[1,2]']
  ],
  [
    'unevaluatedItems',
    { type: 'array', prefixItems: [{ type: 'null' }], unevaluatedItems: { type: 'integer' } },
    ['[null,1]'],
    ['[null,null]']
  ],
  ['minItems', { type: 'array', minItems: 2 }, ['[1,2]', '[1,2,3]'], ['[]', '[1]']],
  ['maxItems', { type: 'array', maxItems: 2 }, ['[]', '[1,2]'], ['[1,2,3]']],
  ['maxItems', { type: 'array', maxItems: 0 }, ['[]'], ['[1]']],
  ['uniqueItems', { type: 'array', uniqueItems: true, maxItems: 1 }, ['[]', '[1]'], ['[1,1]']],
  [
    'minLength',
    { type: 'string', minLength: 2 },
    ['"ab"', '"éß"', '"\\n\\n"', '"😀x"'],
    ['"a"', '"é"', '"😀"', '"\\ud83d\\ude00"', '"\\u0061"']
  ],
  [
    'maxLength',
    { type: 'string', maxLength: 2 },
    ['""', '"😀😀"', '"\\u0061\\n"', '"\\ud83d\\ude00x"'],
    ['"abc"', '"😀😀😀"', '"\\u0061\\u0062c"']
  ],
  [
    'maxLength',
    { type: 'string', maxLength: 4 },
    ['"\\/"', '"\\uD7FF"'],
    ['"\\ud83d"', '"\\ude00\\ud83d"', '"\\u12"', '"\\x"', '"\t"', '"\u0000"', '"\\ud83dx"']
  ],
  ['pattern', { type: 'string', pattern: '^[a-c]+\\d?$' }, ['"abc"', '"a1"'], ['""', '"d"', '"a12"', '"1"']],
  ['pattern', { type: 'string', pattern: 'b' }, ['"abc"', '"b"', '"\\nb"'], ['""', '"ac"']],
  ['pattern', { type: 'string', pattern: '^a|b$' }, ['"ax"', '"xb"', '"a"'], ['"xa"', '"bx"']],
  [
    'pattern',
    { type: 'string', pattern: '^[^a-zé]{2}$' },
    ['"AB"', '"\\"\\\\"', '"日😀"'],
    ['"aB"', '"éé"', '"A"']
  ],
  [
    'pattern',
    { type: 'string', pattern: '^(?:\\w+ ?)*$', maxLength: 4 },
    ['"a b"', '""', '"abcd"'],
    ['"a  b"', '"abcde"']
  ],
  [
    'pattern',
    { allOf: [{ type: 'string', pattern: '^a' }, { pattern: 'z$' }] },
    ['"az"', '"a-z"'],
    ['"a"', '"z"']
  ],
  [
    'pattern',
    { type: 'string', pattern: '^\\u{1F600}\\u00e9\\x41[\\t\\u4e00-\\u9fff]$' },
    ['"😀éA日"', '"😀éA\\t"'],
    ['"😀éAx"']
  ],
  [
    'format',
    { type: 'string', format: 'date' },
    ['"2024-02-28"', '"1999-12-31"'],
    ['"2024-02-30"', '"2024-13-01"', '"24-01-01"']
  ],
  [
    'format',
    { type: 'string', format: 'date-time' },
    ['"2024-02-28T23:59:59.5Z"'],
    ['"2024-02-28"', '"2024-02-28T24:00:00Z"']
  ],
  ['format', { type: 'string', format: 'time' }, ['"10:00:00+02:00"'], ['"10:00"']],
  [
    'format',
    { type: 'string', format: 'duration' },
    ['"P1DT2H"', '"PT5M"', '"P2W"'],
    ['"P"', '"PT"', '"1D"']
  ],
  ['format', { type: 'string', format: 'email' }, ['"a.b@c.org"'], ['"a@"', '"@c"', '"a..b@c"']],
  ['format', { type: 'string', format: 'hostname' }, ['"a-b.example"'], ['"-a"', '"a..b"']],
  ['format', { type: 'string', format: 'ipv4' }, ['"127.0.0.1"'], ['"256.0.0.1"', '"1.2.3"']],
  ['format', { type: 'string', format: 'ipv6' }, ['"0:0:0:0:0:0:0:1"'], ['"1:2:3"', '"g:0:0:0:0:0:0:1"']],
  [
    'format',
    { type: 'string', format: 'uri' },
    ['"https://example.org"', '"http://a.b:80/c/d.e?x=1&y#z"'],
    ['"example.org"', '"https://"', '"https://a b"', '"https://a/\\""']
  ],
  ['format', { type: 'string', format: 'starts_with', pattern: '^ab.*' }, ['"abc"'], ['"b"']],
  ['format', { type: 'string', format: 'uuid' }, ['"123e4567-e89b-12d3-a456-426614174000"'], ['"123e4567"']],
  ['minimum', { type: 'integer', minimum: -5 }, ['-5', '0', '17'], ['-6', '-10']],
  ['minimum', { type: 'integer', minimum: 1.5 }, ['2', '10'], ['1', '0']],
  ['minimum', { type: 'number', minimum: 0.5 }, ['0.5', '0.50', '1'], ['0.49', '0', '-1', '1e-5']],
  ['maximum', { type: 'integer', maximum: 120 }, ['120', '-3', '99'], ['121', '200', '1000']],
  ['maximum', { type: 'number', maximum: -0.25 }, ['-0.25', '-1'], ['-0.24', '0', '0.25']],
  ['maximum', { type: 'integer', maximum: 2 ** 63 }, ['999999999999999'], ['9223372036854775809']],
  [
    'exclusiveMinimum',
    { type: 'number', exclusiveMinimum: 0 },
    ['0.1', '0.000000001'],
    ['0', '0.0', '-0', '-0.0']
  ],
  ['exclusiveMinimum', { type: 'integer', exclusiveMinimum: 9 }, ['10'], ['9']],
  [
    'exclusiveMaximum',
    { type: 'number', exclusiveMaximum: 0, minimum: -1 },
    ['-0.1', '-1'],
    ['0', '-0', '-0.0', '-1.1']
  ],
  [
    'exclusiveMaximum',
    { type: 'number', minimum: 0, exclusiveMaximum: 1 },
    ['0', '0.999999999'],
    ['1', '1.0', '0.99999999999999999999']
  ],
  [
    'multipleOf',
    { type: 'integer', multipleOf: 5, minimum: -5, maximum: 11 },
    ['-5', '0', '10'],
    ['1', '11', '-10', '15']
  ],
  ['multipleOf', { type: 'number', multipleOf: 1 }, ['7'], ['7.5']],
  [
    'title',
    {
      title: 'T',
      description: 'D',
      default: 1,
      examples: [2],
      deprecated: true,
      readOnly: true,
      writeOnly: false,
      $comment: 'c',
      $id: 'urn:x',
      $schema: 'https://json-schema.org/draft/2020-12/schema',
      $defs: {},
      contentEncoding: 'base64',
      const: 1
    },
    ['1'],
    ['2']
  ]
]

test.each(held)('%s of %j is held', async (_, schema, valid, invalid) => {
  for (const text of valid) expect(await lets(schemaRule(schema), text), `valid: ${text}`).toBe(true)
  for (const text of invalid) expect(await lets(schemaRule(schema), text), `invalid: ${text}`).toBe(false)
})

const refused: [keyword: string, schema: object, path?: string][] = [
  ['$ref', { $ref: 'https://example.org/schema' }],
  ['$ref', { $ref: '#anchor' }],
  ['$dynamicRef', { $dynamicRef: '#node' }],
  ['$id', { properties: { a: { $id: 'urn:a' } } }, '/properties/a'],
  ['oneOf', { oneOf: [{ type: 'number' }, { type: 'integer' }] }],
  ['oneOf', { oneOf: [object({ properties: { a: {} } }), object({ properties: { b: {} } })] }],
  ['not', { not: { type: 'null' } }],
  ['if', { if: { type: 'null' }, else: { minimum: 3 } }],
  ['multipleOf', { type: 'number', multipleOf: 0.1 }],
  ['multipleOf', { type: 'integer', multipleOf: 7 }],
  ['minimum', { type: 'integer', minimum: 1e20 }],
  ['exclusiveMinimum', { type: 'number', exclusiveMinimum: 5e-324, maximum: 1 }],
  ['uniqueItems', { type: 'array', uniqueItems: true }],
  ['contains', { type: 'array', contains: { type: 'null' } }],
  ['unevaluatedItems', { type: 'array', anyOf: [{ prefixItems: [{}] }], unevaluatedItems: false }],
  ['unevaluatedProperties', object({ anyOf: [{ properties: { a: {} } }], unevaluatedProperties: false })],
  ['patternProperties', object({ properties: { ab: {} }, patternProperties: { '^a': { type: 'null' } } })],
  ['patternProperties', object({ patternProperties: { '^a': {} }, additionalProperties: true })],
  [
    'propertyNames',
    object({ properties: { a: {} }, propertyNames: { maxLength: 2 }, additionalProperties: true })
  ],
  ['minProperties', object({ minProperties: 2 })],
  ['dependentRequired', object({ properties: { a: {}, b: {} }, dependentRequired: { a: ['b'] } })],
  ['dependentSchemas', object({ dependentSchemas: { a: { required: ['b'] } } })],
  ['pattern', { type: 'string', pattern: '^(?=a)' }],
  ['pattern', { type: 'string', pattern: '(a)\\1' }],
  ['pattern', { type: 'string', pattern: '\\bword' }],
  ['pattern', { type: 'string', pattern: '\\p{L}+' }],
  ['format', { type: 'string', format: 'iri' }],
  ['format', { type: 'string', format: 'cuid2' }],
  ['format', { type: 'string', format: 'uri-reference', pattern: '^a' }],
  ['nullable', { type: 'string', nullable: true }],
  ['additionalItems', { type: 'array', items: { type: 'array', additionalItems: false } }, '/items'],
  ['toString', { toString: 1 }]
]

test.each(refused)(
  '%s of %j is refused by name, and dropped where the schema is not strict',
  async (keyword, schema, path = '') => {
    await expect(lets(schemaRule(schema), '')).rejects.toMatchObject({
      code: 'ERR_MODEL_UNSUPPORTED',
      details: { param: 'constraint', keyword, path }
    })
    expect(await lets(schemaRule(schema, false), '')).toBe(false)
  }
)

test.each([
  [{ type: 'strin' }],
  [{ type: [] }],
  [{ minimum: '3' }],
  [{ maxLength: -1 }],
  [{ minItems: 1.5 }],
  [{ required: 'a' }],
  [{ properties: [] }],
  [{ items: [{}] }],
  [{ anyOf: [] }],
  [{ enum: 'a' }],
  [{ exclusiveMinimum: true }],
  [{ pattern: '(' }],
  [{ $ref: '#/$defs/missing' }],
  [{ $ref: '#' }],
  [{ anyOf: [{ $ref: '#' }, { type: 'null' }] }],
  [{ enum: [] }],
  [{ type: 'integer', minimum: 3, maximum: 2 }],
  [{ type: 'integer', exclusiveMinimum: 2, exclusiveMaximum: 3 }],
  [object({ properties: { a: { $ref: '#' } }, required: ['a'] })],
  [false],
  [null],
  ['a'],
  [[]],
  [undefined]
])('%j makes no sense', async (schema) => {
  for (const strict of [true, false]) {
    await expect(lets(schemaRule(schema, strict), '')).rejects.toMatchObject({
      code: 'ERR_MODEL_INVALID_REQUEST',
      details: { param: 'constraint' }
    })
  }
})
