import { schemasUnder, valuesOf, whereIs, type Conjunction } from './alternatives.ts'
import {
  choice,
  literal,
  never,
  nothing,
  optional,
  repeat,
  rule,
  sequence,
  type Expression
} from './expression.ts'
import { bounds, type SchemaBuilder } from './schema-grammar.ts'
import type { Located } from './schema-keywords.ts'
import { plainUnevaluated } from './unevaluated.ts'

/** JSON arrays that follow all of these schemas. */
export function arrayText(builder: SchemaBuilder, conjunction: Conjunction): Expression {
  const { document } = builder
  const { min, max } = bounds(document, conjunction, 'minItems', 'maxItems')
  if (valuesOf<boolean>(document, conjunction, 'uniqueItems').includes(true) && max > 1) {
    const where = whereIs(document, conjunction, 'uniqueItems') as Located
    document.refuse(where, 'uniqueItems', 'it is followed where there is one item at most')
  }
  const contains = whereIs(document, conjunction, 'contains')
  if (contains !== undefined)
    document.refuse(contains, 'contains', 'it is followed beside an enum or a const alone')

  const prefixes = conjunction.map(
    (leaf) => ((document.keywords(leaf)['prefixItems'] ?? []) as unknown[]).length
  )
  const longest = Math.max(0, ...prefixes)
  const rest = (leaf: Located): Located[] => [
    ...schemasUnder(document, [leaf], 'items'),
    ...plainUnevaluated(document, leaf, 'unevaluatedItems', 'items')
  ]
  const at = (index: number): Expression =>
    builder.value(
      conjunction.flatMap((leaf, k) =>
        index < (prefixes[k] ?? 0) ? [document.at(leaf, 'prefixItems', index)] : rest(leaf)
      )
    )
  // After a prefix that says nothing of more items there are none, unless more are asked for.
  const open = longest === 0 || min > longest || conjunction.some((leaf) => rest(leaf).length > 0)
  const others = open ? rule(builder.add(at(longest))) : never
  const comma = literal(',')

  const more = sequence(comma, others)

  // What may follow so many items, from the last one of the prefix to the first.
  let tail: Expression
  if (longest === 0) {
    const some = sequence(others, repeat(more, Math.max(0, min - 1), max - 1))
    tail = max === 0 ? nothing : min === 0 ? optional(some) : some
  } else {
    tail = open ? repeat(more, Math.max(0, min - longest), max - longest) : min > longest ? never : nothing
    for (let index = longest - 1; index >= 0; index--) {
      const next = sequence(...(index === 0 ? [] : [comma]), at(index), tail)
      const ways = [...(index >= min ? [nothing] : []), ...(index < max ? [rule(builder.add(next))] : [])]
      tail = choice(...ways)
    }
  }
  return sequence(literal('['), tail, literal(']'))
}
