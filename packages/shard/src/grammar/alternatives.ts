import { follows } from './evaluate.ts'
import type { SchemaDocument } from './schema-document.ts'
import { isSchema, typeNames, typeOfKeyword, type Located, type TypeName } from './schema-keywords.ts'

/** Schemas that all hold at one place, each without its `$ref`, `allOf`, `anyOf` and `oneOf`. */
export type Conjunction = readonly Located[]

interface Chain {
  readonly schema: object
  readonly above: Chain | undefined
}

interface Pending {
  readonly located: Located
  readonly chain: Chain | undefined
}

/** The ways in which all of these schemas can hold together: each choice of an `anyOf` or `oneOf` is one. */
export function alternatives(document: SchemaDocument, all: readonly Located[]): Conjunction[] {
  const out: Conjunction[] = []
  const expand = (pending: readonly Pending[], leaves: readonly Located[]): void => {
    const [first, ...rest] = pending
    if (first === undefined) {
      out.push(leaves)
      const { alternatives: limit } = document.limits
      if (out.length > limit) {
        throw document.invalid(all[0] as Located, `its schemas combine in more than ${limit} ways`)
      }
      return
    }
    document.spend(1 + pending.length + leaves.length)
    const { located, chain } = first
    const { schema } = located
    if (schema === false) return
    if (schema === true) return expand(rest, leaves)
    for (let at = chain; at !== undefined; at = at.above) {
      if (at.schema === schema) throw document.invalid(located, 'it refers to itself and says nothing')
    }
    // In an alternative that has it already its choices are made.
    if (leaves.some((leaf) => leaf.schema === schema)) return expand(rest, leaves)
    const words = document.keywords(located)
    const below: Chain = { schema, above: chain }
    const pend = (inner: Located): Pending => ({ located: inner, chain: below })
    const branches = (keyword: 'allOf' | 'anyOf' | 'oneOf'): Located[] =>
      ((words[keyword] ?? []) as unknown[]).map((_, index) => document.at(located, keyword, index))
    const target = document.resolve(located)
    const more = [...(target === undefined ? [] : [pend(target)]), ...branches('allOf').map(pend), ...rest]
    const choose = (groups: readonly (readonly Located[])[], chosen: readonly Pending[]): void => {
      const [group, ...others] = groups
      if (group === undefined) return expand([...chosen, ...more], [...leaves, located])
      for (const branch of group) choose(others, [...chosen, pend(branch)])
    }
    const oneOf = branches('oneOf')
    if (oneOf.length > 1) checkOneOf(document, located, oneOf)
    choose(
      [branches('anyOf'), oneOf].filter((group) => group.length > 0),
      []
    )
  }
  expand(
    all.map((located) => ({ located, chain: undefined })),
    []
  )
  return out
}

const checked = new WeakMap<SchemaDocument, Set<unknown>>()

function checkOneOf(document: SchemaDocument, located: Located, branches: readonly Located[]): void {
  const done = checked.get(document) ?? new Set()
  checked.set(document, done)
  if (done.has(located.schema)) return
  done.add(located.schema)
  for (const [index, branch] of branches.entries()) {
    for (const other of branches.slice(index + 1)) {
      if (disjoint(document, branch, other, 0)) continue
      const why =
        'a value may follow two of its schemas, which nothing prevents; use anyOf, or give each a type or a property with a const of its own'
      return document.refuse(located, 'oneOf', why)
    }
  }
}

/** True where it is certain that no value follows both. */
function disjoint(document: SchemaDocument, a: Located, b: Located, depth: number): boolean {
  if (depth > 4) return false
  const others = alternatives(document, [b])
  return alternatives(document, [a]).every((left) =>
    others.every((right) => apart(document, left, right, depth))
  )
}

function apart(document: SchemaDocument, a: Conjunction, b: Conjunction, depth: number): boolean {
  document.spend(10 + a.length * b.length)
  const [valuesA, valuesB] = [finiteValues(document, a), finiteValues(document, b)]
  const rejects = (conjunction: Conjunction, value: unknown): boolean =>
    conjunction.some((leaf) => !follows(document, leaf, value))
  if (valuesA !== undefined) return valuesA.every((value) => rejects(b, value))
  if (valuesB !== undefined) return valuesB.every((value) => rejects(a, value))
  const types = typesOf(document, [...a, ...b], false)
  if (types.size === 0) return true
  if (types.size > 1 || !types.has('object')) return false
  const names = new Set([...a, ...b].flatMap((leaf) => required(document, leaf)))
  return [...names].some((name) => {
    const [left, right] = [a, b].map((leaves) =>
      leaves.flatMap((leaf) => propertySchemas(document, leaf, name))
    )
    if (left === undefined || right === undefined) return false
    if ([...left, ...right].some(({ schema }) => schema === false)) return true
    return left.some((one) => right.some((other) => disjoint(document, one, other, depth + 1)))
  })
}

/** The schemas that a leaf has for a property, `additionalProperties` where no other speaks of it. */
export function propertySchemas(document: SchemaDocument, leaf: Located, name: string): Located[] {
  const words = document.keywords(leaf)
  const { properties, patternProperties, additionalProperties } = words
  const own =
    properties !== undefined && Object.hasOwn(properties as object, name)
      ? [document.at(leaf, 'properties', name)]
      : []
  if (own.length > 0 || patternProperties !== undefined) return own
  return additionalProperties === undefined ? [] : [document.at(leaf, 'additionalProperties')]
}

const required = (document: SchemaDocument, leaf: Located): string[] =>
  (document.keywords(leaf)['required'] ?? []) as string[]

/** The values of an `enum` or a `const`, where one of the schemas has them. */
export function finiteValues(document: SchemaDocument, conjunction: Conjunction): unknown[] | undefined {
  for (const leaf of conjunction) {
    const words = document.keywords(leaf)
    const values = Object.hasOwn(words, 'const') ? [words['const']] : words['enum']
    if (!Array.isArray(values)) continue
    return values.filter((value) => conjunction.every((other) => follows(document, other, value)))
  }
  return undefined
}

/**
 * The types all of these schemas allow. With `guess`, schemas that name no type mean the types their keywords speak
 * about: JSON Schema lets all others through, which nobody who writes `properties` expects.
 */
export function typesOf(document: SchemaDocument, conjunction: Conjunction, guess: boolean): Set<TypeName> {
  let types = new Set<TypeName>(typeNames.filter((name) => name !== 'integer'))
  let named = false
  const spoken = new Set<TypeName>()
  for (const leaf of conjunction) {
    const words = document.keywords(leaf)
    for (const keyword of Object.keys(words)) {
      const type = typeOfKeyword.get(keyword)
      if (type !== undefined) spoken.add(type)
    }
    if (words['type'] === undefined) continue
    named = true
    const own = new Set([words['type']].flat() as TypeName[])
    const meet = [...types].filter((type) => own.has(type) || (type === 'integer' && own.has('number')))
    if (types.has('number') && own.has('integer') && !own.has('number')) meet.push('integer')
    types = new Set(meet)
  }
  return guess && !named && spoken.size > 0 ? spoken : types
}

/** The value of a keyword in each schema that has it. */
export function valuesOf<T>(document: SchemaDocument, conjunction: Conjunction, keyword: string): T[] {
  return conjunction.flatMap((leaf) => {
    const words = document.keywords(leaf)
    return Object.hasOwn(words, keyword) ? [words[keyword] as T] : []
  })
}

/** The first schema that has a keyword. */
export function whereIs(
  document: SchemaDocument,
  conjunction: Conjunction,
  keyword: string
): Located | undefined {
  return conjunction.find((leaf) => Object.hasOwn(document.keywords(leaf), keyword))
}

/** The schemas under a keyword. */
export function schemasUnder(document: SchemaDocument, conjunction: Conjunction, keyword: string): Located[] {
  return conjunction
    .filter((leaf) => isSchema(document.keywords(leaf)[keyword]))
    .map((leaf) => document.at(leaf, keyword))
}
