/** Schemas of keywords thrown together: most make little sense, and whatever is let through has to be valid. */
import type { Random } from '@kwaai/interface'

type Schema = boolean | Record<string, unknown>

const types = ['null', 'boolean', 'integer', 'number', 'string', 'array', 'object']
const names = ['a', 'b', 'ab', 'é']
const patterns = ['a', '^a', 'b$', '^[ab]*$', '^(a|é)+$', '^.?$', '^$', '[^a]', 'a{2}', '^\\S+$']
const values = [
  null,
  true,
  false,
  0,
  1,
  -1,
  1.5,
  3,
  '',
  'a',
  'ab',
  'é😀',
  [],
  [1],
  [1, 1],
  {},
  { a: 1 },
  { b: null }
]

/** A schema with definitions that it may refer to. */
export function soupSchema(random: Random): Record<string, unknown> {
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random.next() * list.length)] as T
  const upTo = (limit: number): number => Math.floor(random.next() * (limit + 1))
  const some = <T>(list: readonly T[], share: number): T[] => list.filter(() => random.next() < share)

  const simple = (): Schema =>
    pick<() => Schema>([
      () => true,
      () => false,
      () => ({}),
      () => ({ type: pick(types) }),
      () => ({ const: pick(values) }),
      () => ({ enum: [pick(values), pick(values)] })
    ])()
  const keyword = (depth: number): [string, unknown] =>
    pick<() => [string, unknown]>([
      () => ['type', pick(types)],
      () => ['type', [...new Set([pick(types), pick(types)])]],
      () => ['type', pick(['object', 'array'])],
      () => ['enum', [pick(values), pick(values), pick(values)]],
      () => ['const', pick(values)],
      () => [pick(['anyOf', 'oneOf', 'allOf']), [schema(depth - 1), schema(depth - 1)]],
      () => [
        pick(['minimum', 'maximum', 'exclusiveMinimum', 'exclusiveMaximum']),
        pick([0, 1, -1, 2.5, 10, -3.25])
      ],
      () => [pick(['minLength', 'maxLength', 'minItems', 'maxItems']), upTo(3)],
      () => [pick(['minProperties', 'maxProperties']), upTo(3)],
      () => ['pattern', pick(patterns)],
      () => ['properties', Object.fromEntries(some(names, 0.5).map((name) => [name, schema(depth - 1)]))],
      () => ['required', some(names, 0.3)],
      () => [pick(['additionalProperties', 'propertyNames', 'items']), schema(depth - 1)],
      () => ['prefixItems', [schema(depth - 1), schema(depth - 1)].slice(upTo(1))],
      () => ['patternProperties', { [pick(patterns)]: schema(depth - 1) }],
      () => [pick(['unevaluatedProperties', 'unevaluatedItems']), schema(depth - 1)],
      () => ['$ref', pick(['#', '#/$defs/x', '#/$defs/y'])],
      () => [pick(['not', 'contains', 'if']), schema(depth - 1)],
      () => [pick(['multipleOf', 'minContains']), 1 + upTo(2)],
      () => ['uniqueItems', true],
      () => ['dependentRequired', { a: ['b'] }]
    ])()
  const schema = (depth: number): Schema => {
    if (depth <= 0 || random.next() < 0.08) return simple()
    return Object.fromEntries(Array.from({ length: 1 + upTo(2) }, () => keyword(depth)))
  }
  return { ...Object(schema(3)), $defs: { x: schema(2), y: schema(2) } }
}
