import { schemasUnder, valuesOf, whereIs, type Conjunction } from './alternatives.ts'
import { follows, matches } from './evaluate.ts'
import {
  choice,
  isNever,
  literal,
  never,
  nothing,
  repeat,
  rule,
  sequence,
  type Expression
} from './expression.ts'
import { stringExcept, stringText } from './json-text.ts'
import { bounds, type SchemaBuilder } from './schema-grammar.ts'
import type { Located } from './schema-keywords.ts'
import { plainUnevaluated } from './unevaluated.ts'

/** Characters of the name of a property beside which others are allowed. */
const maxNameLength = 256

/**
 * JSON objects that follow all of these schemas: the properties they name, in their order, then others where a schema
 * speaks of them. A schema that names properties and says nothing of others gets none.
 */
export function objectText(builder: SchemaBuilder, conjunction: Conjunction): Expression {
  const { document } = builder
  const required = new Set(valuesOf<string[]>(document, conjunction, 'required').flat())
  const named = valuesOf<object>(document, conjunction, 'properties').flatMap((record) => Object.keys(record))
  const names = [...new Set([...named, ...required])]
  refuseDependencies(builder, conjunction, required)

  const patterns = conjunction.flatMap((leaf) =>
    Object.keys((document.keywords(leaf)['patternProperties'] ?? {}) as object).map((pattern) => ({
      leaf,
      pattern
    }))
  )
  const rest = (leaf: Located): Located[] => [
    ...schemasUnder(document, [leaf], 'additionalProperties'),
    ...plainUnevaluated(document, leaf, 'unevaluatedProperties', 'additionalProperties')
  ]
  const nameSchemas = schemasUnder(document, conjunction, 'propertyNames')
  const valueOf = (name: string): Expression => {
    if (!nameSchemas.every((located) => follows(document, located, name))) return never
    const schemas = conjunction.flatMap((leaf) => {
      const own = Object.hasOwn((document.keywords(leaf)['properties'] ?? {}) as object, name)
        ? [document.at(leaf, 'properties', name)]
        : []
      const matching = patterns
        .filter((entry) => entry.leaf === leaf && matches(document, leaf, entry.pattern, name))
        .map(({ pattern }) => document.at(leaf, 'patternProperties', pattern))
      return own.length + matching.length > 0 ? [...own, ...matching] : rest(leaf)
    })
    return builder.value(schemas)
  }

  const { min, max } = bounds(document, conjunction, 'minProperties', 'maxProperties')
  const others = otherMembers(builder, conjunction, names, { patterns, rest, nameSchemas, min })
  if (!isNever(others) && min > Math.max(1, required.size)) {
    // Two properties of one name are one to whoever reads them.
    const where = whereIs(document, conjunction, 'minProperties') as Located
    document.refuse(where, 'minProperties', 'other properties than those named may have one name twice')
  }

  // The members from one on, where so many have been written; how many matters only where it is bounded.
  const most = isNever(others) && max >= names.length ? Infinity : max
  const counted = most === Infinity && min <= Math.max(1, required.size) ? 1 : names.length
  const made = new Map<string, string>()
  const queue: { name: string; index: number; count: number }[] = []
  const from = (index: number, count: number): Expression => {
    const capped = Math.min(count, Math.max(1, counted))
    const key = `${index}:${capped}`
    const known = made.get(key)
    if (known !== undefined) return rule(known)
    const name = builder.reserve()
    made.set(key, name)
    queue.push({ name, index, count: capped })
    return rule(name)
  }
  const values = names.map(valueOf)
  const root = from(0, 0)
  const close = literal('}')
  const comma = literal(',')
  for (const { name, index, count } of queue) {
    document.spend(5)
    const before = count === 0 ? nothing : comma
    if (index < names.length) {
      const key = literal(`${JSON.stringify(names[index])}:`)
      const member = (): Expression =>
        sequence(before, key, values[index] as Expression, from(index + 1, count + 1))
      builder.define(
        name,
        choice(
          ...(count < most ? [member()] : []),
          ...(required.has(names[index] as string) ? [] : [from(index + 1, count)])
        )
      )
    } else {
      // Where counts do not matter there are as many as were asked for: those that are required, or one.
      const missing = counted === 1 ? (count === 0 ? Math.min(1, min) : 0) : Math.max(0, min - count)
      const left = most - count
      const rest = sequence(comma, others)
      const end =
        count > 0
          ? repeat(rest, missing, left)
          : choice(
              ...(missing === 0 ? [nothing] : []),
              ...(left < 1 ? [] : [sequence(others, repeat(rest, Math.max(0, missing - 1), left - 1))])
            )
      builder.define(name, sequence(end, close))
    }
  }
  return sequence(literal('{'), root)
}

interface Others {
  readonly patterns: readonly { leaf: Located; pattern: string }[]
  rest(leaf: Located): Located[]
  readonly nameSchemas: readonly Located[]
  readonly min: number
}

/** A member with a name that the schemas do not give, or never. */
function otherMembers(
  builder: SchemaBuilder,
  conjunction: Conjunction,
  names: readonly string[],
  { patterns, rest, nameSchemas, min }: Others
): Expression {
  const { document } = builder
  const schemas = conjunction.flatMap(rest)
  const named = conjunction.some((leaf) => document.keywords(leaf)['properties'] !== undefined)
  const colon = literal(':')
  if (patterns.length > 0) {
    const { leaf, pattern } = patterns[0] as { leaf: Located; pattern: string }
    const language = document.pattern(leaf, pattern, 'patternProperties')
    const closed = schemas.length === 0 || schemas.some(({ schema }) => schema === false)
    const alone = patterns.length === 1 && nameSchemas.length === 0 && closed
    if (language === undefined) return never
    if (!alone || names.some((name) => matches(document, leaf, pattern, name))) {
      document.refuse(
        leaf,
        'patternProperties',
        'one pattern is followed, where no other properties are allowed and none that are named match it'
      )
      return never
    }
    const key = builder.string([{ schema: { pattern }, path: `${leaf.path}/patternProperties` }])
    const others = conjunction.filter((other) => other !== leaf).flatMap(rest)
    const value = builder.value([document.at(leaf, 'patternProperties', pattern), ...others])
    return sequence(rule(builder.add(key)), colon, value)
  }
  const open = schemas.length > 0 || !named || min > names.length
  if (!open || schemas.some(({ schema }) => schema === false)) return never
  // Only `required` was said, and of others nothing.
  if (schemas.length === 0 && names.length > 0 && min <= names.length) return never
  if (nameSchemas.length > 0) {
    if (names.length > 0) {
      const where = whereIs(document, conjunction, 'propertyNames') as Located
      document.refuse(
        where,
        'propertyNames',
        'it is followed where no properties are named, or no others allowed'
      )
    } else {
      const key = keyText(builder, nameSchemas)
      return sequence(rule(builder.add(key)), colon, builder.value(schemas))
    }
  }
  if (names.some((name) => name.length > maxNameLength)) {
    throw document.invalid(
      conjunction[0] as Located,
      `a property has a name of more than ${maxNameLength} characters`
    )
  }
  const key = names.length === 0 ? stringText(0, Infinity) : stringExcept(names, builder)
  return sequence(rule(builder.add(key)), colon, builder.value(schemas))
}

/** Names that follow all of these schemas. */
function keyText(builder: SchemaBuilder, nameSchemas: readonly Located[]): Expression {
  return builder.value([{ schema: { type: 'string' }, path: '' }, ...nameSchemas])
}

function refuseDependencies(
  { document }: SchemaBuilder,
  conjunction: Conjunction,
  required: ReadonlySet<string>
): void {
  for (const leaf of conjunction) {
    const words = document.keywords(leaf)
    if (Object.keys((words['dependentSchemas'] ?? {}) as object).length > 0) {
      document.refuse(leaf, 'dependentSchemas', 'it is followed beside an enum or a const alone')
    }
    const dependent = Object.entries((words['dependentRequired'] ?? {}) as Record<string, string[]>)
    const certain = ([, others]: [string, string[]]): boolean => others.every((other) => required.has(other))
    if (!dependent.every(certain)) {
      document.refuse(
        leaf,
        'dependentRequired',
        'it is followed where the properties it asks for are required'
      )
    }
  }
}
