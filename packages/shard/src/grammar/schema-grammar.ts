import { alternatives, finiteValues, typesOf, valuesOf, whereIs, type Conjunction } from './alternatives.ts'
import { isMultiple } from './evaluate.ts'
import { choice, literal, never, rule, sizeOf, texts, type Expression } from './expression.ts'
import { stringText } from './json-text.ts'
import { languageText, type RuleSink } from './language-text.ts'
import { isWritable, numberRangeText } from './number-range.ts'
import { PatternProblem } from './regular.ts'
import { arrayText } from './schema-array.ts'
import type { SchemaDocument } from './schema-document.ts'
import type { Located, TypeName } from './schema-keywords.ts'
import { objectText } from './schema-object.ts'

/** What the parts of a schema's grammar use. */
export interface SchemaBuilder extends RuleSink {
  readonly document: SchemaDocument
  /** The texts that follow all of these schemas. */
  value(all: readonly Located[]): Expression
  /** JSON strings that follow all of these schemas. */
  string(conjunction: Conjunction): Expression
}

// What a place with schemas of its own costs: as much as this many steps elsewhere.
const workOfPlace = 100

/** Multiples that are written out; a range that has more is refused. */
const maxMultiples = 1000

/**
 * The texts that follow a schema, as rules: without blanks, properties in the order of the schema. `json` has to be
 * among the rules of the whole grammar.
 *
 * @returns the expression of a whole value, and the rules it needs.
 */
export function schemaGrammar(
  document: SchemaDocument,
  prefix: string
): { root: Expression; rules: Map<string, Expression> } {
  const rules = new Map<string, Expression>()
  const named = new Map<string, string>()
  const queue: { name: string; all: readonly Located[] }[] = []
  let count = 0

  const define = (name: string, expression: Expression): void => {
    rules.set(name, expression)
    document.spend(sizeOf(expression))
    if (rules.size > document.limits.rules) {
      throw document.invalid(document.root, `its grammar has more than ${document.limits.rules} rules`)
    }
  }
  const reserve = (): string => `${prefix}${count++}`
  const builder: SchemaBuilder = {
    document,
    value(all) {
      const schemas = all.filter(({ schema }) => schema !== true)
      if (schemas.some(({ schema }) => schema === false)) return never
      const ids = [...new Set(schemas.map((located) => document.id(located)))].toSorted((a, b) => a - b)
      if (ids.length === 0) return rule('json')
      document.spend(ids.length)
      const key = ids.join()
      const known = named.get(key)
      if (known !== undefined) return rule(known)
      document.spend(workOfPlace)
      const name = reserve()
      named.set(key, name)
      queue.push({ name, all: schemas })
      return rule(name)
    },
    string: (conjunction) => stringOf(builder, conjunction),
    add(expression) {
      const name = reserve()
      define(name, expression)
      return name
    },
    reserve,
    define,
    spend: document.spend
  }
  const root = builder.value([document.root])
  for (const { name, all } of queue) {
    define(
      name,
      choice(...alternatives(document, all).map((conjunction) => conjunctionText(builder, conjunction)))
    )
  }
  return { root, rules }
}

function conjunctionText(builder: SchemaBuilder, conjunction: Conjunction): Expression {
  const { document } = builder
  const values = finiteValues(document, conjunction)
  if (values !== undefined) {
    const list = values.map((value) => JSON.stringify(value))
    document.spend(list.reduce((sum, text) => sum + text.length, 0))
    return texts(list)
  }
  for (const keyword of ['not', 'if', '$dynamicRef']) {
    const where = whereIs(document, conjunction, keyword)
    if (where !== undefined) document.refuse(where, keyword, 'it is followed beside an enum or a const alone')
  }
  // Without one of the keywords that say more, everything is let through.
  if (
    conjunction.every((leaf) => Object.keys(document.keywords(leaf)).every((word) => combining.has(word)))
  ) {
    return rule('json')
  }
  const types = typesOf(document, conjunction, true)
  return choice(...[...types].map((type) => typeText(builder, conjunction, type)))
}

const combining: ReadonlySet<string> = new Set([
  '$ref',
  'allOf',
  'anyOf',
  'oneOf',
  'not',
  'if',
  'then',
  'else',
  '$dynamicRef'
])

function typeText(builder: SchemaBuilder, conjunction: Conjunction, type: TypeName): Expression {
  switch (type) {
    case 'null':
      return literal('null')
    case 'boolean':
      return choice(literal('true'), literal('false'))
    case 'string':
      return stringOf(builder, conjunction)
    case 'number':
    case 'integer':
      return numberOf(builder, conjunction, type === 'integer')
    case 'array':
      return arrayText(builder, conjunction)
    case 'object':
      return objectText(builder, conjunction)
  }
}

function numberOf({ document }: SchemaBuilder, conjunction: Conjunction, integer: boolean): Expression {
  const numbers = (keyword: string): number[] => valuesOf<number>(document, conjunction, keyword)
  const min = Math.max(-Infinity, ...numbers('minimum'), ...numbers('exclusiveMinimum'))
  const max = Math.min(Infinity, ...numbers('maximum'), ...numbers('exclusiveMaximum'))
  const steps = numbers('multipleOf')
  const whole = integer || steps.some((step) => Number.isInteger(step))
  const range = {
    min,
    max,
    minExclusive: numbers('exclusiveMinimum').includes(min),
    maxExclusive: numbers('exclusiveMaximum').includes(max),
    integer: whole
  }
  const where = whereIs(document, conjunction, 'multipleOf')
  if (where !== undefined && steps.some((step) => step !== 1)) {
    const step = Math.max(...steps)
    const first = Math.ceil(min / step)
    const last = Math.floor(max / step)
    if (whole && Number.isInteger(step) && last - first < maxMultiples) {
      document.spend(maxMultiples)
      const all = Array.from({ length: Math.max(0, last - first + 1) }, (_, index) => (first + index) * step)
      return texts(
        all
          .filter(
            (value) =>
              steps.every((each) => isMultiple(value, each)) &&
              Number.isSafeInteger(value) &&
              (range.minExclusive ? value > min : value >= min) &&
              (range.maxExclusive ? value < max : value <= max)
          )
          .map((value) => JSON.stringify(value))
      )
    }
    document.refuse(
      where,
      'multipleOf',
      `whole multiples between a minimum and a maximum with at most ${maxMultiples} of them are followed`
    )
  }
  const text = numberRangeText(range)
  if (text !== undefined) return text
  for (const [keyword, value] of [
    ['minimum', min],
    ['exclusiveMinimum', min],
    ['maximum', max],
    ['exclusiveMaximum', max]
  ] as const) {
    const bound = isWritable(value) ? undefined : whereIs(document, conjunction, keyword)
    if (bound !== undefined)
      document.refuse(bound, keyword, 'numbers have fifteen digits here, and 25 places')
  }
  return numberRangeText({ ...range, min: -Infinity, max: Infinity }) ?? never
}

function stringOf(builder: SchemaBuilder, conjunction: Conjunction): Expression {
  const { document } = builder
  const length = bounds(document, conjunction, 'minLength', 'maxLength')
  const languages = conjunction.flatMap((leaf) => {
    const { pattern, format } = document.keywords(leaf)
    return [
      typeof pattern === 'string' ? document.pattern(leaf, pattern) : undefined,
      typeof format === 'string' ? document.format(leaf, format) : undefined
    ].filter((language) => language !== undefined)
  })
  if (languages.length === 0) return stringText(length.min, length.max)
  try {
    return languageText(languages, length, document.limits.rules, builder)
  } catch (error) {
    if (!(error instanceof PatternProblem)) throw error
    const keyword = whereIs(document, conjunction, 'pattern') === undefined ? 'format' : 'pattern'
    const where = whereIs(document, conjunction, keyword) as Located
    document.refuse(where, keyword, error.message)
    return stringText(length.min, length.max)
  }
}

/** The tightest of the bounds of a length or a count. */
export function bounds(
  document: SchemaDocument,
  conjunction: Conjunction,
  least: string,
  most: string
): { min: number; max: number } {
  const min = Math.max(0, ...valuesOf<number>(document, conjunction, least))
  const max = Math.min(Infinity, ...valuesOf<number>(document, conjunction, most))
  const { repetitions } = document.limits
  if (min > repetitions) {
    const where = whereIs(document, conjunction, least) as Located
    throw document.invalid(where, `${least} is over ${repetitions}`)
  }
  return { min, max: max === Infinity ? max : Math.min(max, repetitions) }
}
