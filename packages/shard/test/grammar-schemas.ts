/** Random schemas as people write them, and harder ones. */
import type { Random } from '@kwaai/interface'

type Schema = Record<string, unknown>

const names = ['name', 'age', 'größe', 'emoji 😀', 'a"b', 'x', 'nested', 'tags', '日本', 'line\nend']
const texts = ['red', 'grün', '"quoted"', 'tab\t', '😀', '', '\u2028', 'back\\slash']

/** A schema that refers to itself, has at most three items and 24 characters anywhere, and depth as it falls. */
export function randomSchema(random: Random): Schema {
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random.next() * list.length)] as T
  const upTo = (limit: number): number => Math.floor(random.next() * (limit + 1))
  const bound = (): number => pick([0, 1, -1, 10, -250, 0.5, -0.125, 99.99, 1e6, 123456, 3])

  const number = (): Schema => {
    const [a, b] = [bound(), bound()].toSorted((x, y) => x - y) as [number, number]
    const type = pick(['integer', 'number'])
    const exclusive = random.next() < 0.3
    return {
      type,
      ...(random.next() < 0.8 ? { [exclusive ? 'exclusiveMinimum' : 'minimum']: a - 1 } : {}),
      ...(random.next() < 0.8 ? { [exclusive ? 'exclusiveMaximum' : 'maximum']: b + 1 } : {})
    }
  }
  const string = (): Schema => {
    const minLength = upTo(3)
    const way = random.next()
    if (way < 0.15)
      return {
        type: 'string',
        pattern: pick(['^[a-zé]{1,5}$', '^\\d{3}-\\d{2}$', '^(ja|nein)+$']),
        maxLength: 24
      }
    if (way < 0.25) return { type: 'string', format: pick(['date', 'uuid', 'ipv4', 'time']) }
    return { type: 'string', minLength, maxLength: minLength + upTo(21) }
  }
  const object = (depth: number): Schema => {
    const count = upTo(4)
    const chosen = [...new Set(Array.from({ length: count }, () => pick(names)))]
    const properties = Object.fromEntries(chosen.map((name) => [name, schema(depth - 1)]))
    const required = chosen.filter(() => random.next() < 0.7)
    const closed = random.next() < 0.8
    return {
      type: 'object',
      properties,
      required,
      additionalProperties: closed ? false : { type: 'boolean' },
      ...(closed ? {} : { maxProperties: chosen.length + 2 })
    }
  }
  const leaf = (): Schema => {
    const way = random.next()
    if (way < 0.3) return number()
    if (way < 0.6) return string()
    if (way < 0.75) return { enum: [...new Set([pick(texts), pick(texts), 1.5, null, { a: [pick(texts)] }])] }
    if (way < 0.85) return { const: pick([...texts, -0.25, true]) }
    return { type: pick(['boolean', 'null', ['string', 'null'], ['integer', 'boolean']]), maxLength: 5 }
  }
  const schema = (depth: number): Schema => {
    const way = depth <= 0 ? 1 : random.next()
    if (way < 0.3) return object(depth)
    if (way < 0.5) {
      const minItems = upTo(2)
      return { type: 'array', items: schema(depth - 1), minItems, maxItems: minItems + upTo(3 - minItems) }
    }
    if (way < 0.6) return { anyOf: [schema(depth - 1), schema(depth - 1)] }
    if (way < 0.65) return { allOf: [number(), { type: ['number', 'string'] }] }
    if (way < 0.7) return { oneOf: [{ type: 'string', maxLength: 4 }, { type: 'integer' }, { type: 'null' }] }
    if (way < 0.75) return { anyOf: [{ type: 'null' }, { $ref: '#/$defs/node' }] }
    return leaf()
  }
  return {
    ...object(3),
    $defs: {
      node: {
        type: 'object',
        properties: { v: leaf(), next: { anyOf: [{ type: 'null' }, { $ref: '#/$defs/node' }] } },
        required: ['v', 'next'],
        additionalProperties: false
      }
    }
  }
}
