import type { TextConstraint } from '@kwaai/interface'
import { shardError } from '../errors.ts'
import type { GrammarRule, TagRule } from '../generate/grammar.ts'
import { choice, literal, never, repeat, rule, sequence, type Expression } from './expression.ts'
import { GbnfProblem, parseGbnf } from './gbnf.ts'
import { anyJson } from './json-text.ts'
import type { GrammarLimits } from './limits.ts'
import { compileProgram, type Program, type ProgramProblem } from './program.ts'
import { openSchema, type SchemaOptions } from './schema-document.ts'
import { schemaGrammar } from './schema-grammar.ts'

type TagsRule = Extract<GrammarRule, { type: 'tags' }>
type Param = 'constraint' | 'tools'

const invalid = (param: Param, why: string): Error =>
  shardError('ERR_MODEL_INVALID_REQUEST', why, { details: { param } })

/**
 * The program of a rule: what a text may be, byte by byte.
 *
 * @throws A KwaaiError `ERR_MODEL_INVALID_REQUEST` or `ERR_MODEL_UNSUPPORTED`.
 */
export function compileRule(grammarRule: GrammarRule, limits: GrammarLimits): Program {
  const rules = new Map<string, Expression>(anyJson())
  const tags = grammarRule.type === 'tags'
  const root = tags ? tagsText(grammarRule, limits, rules) : constraintText(grammarRule, limits, rules)
  rules.set('', root)
  const program = compileProgram({ root: '', rules }, limits.steps)
  if ('problem' in program) throw invalid(tags ? 'tools' : 'constraint', problems[program.problem](program))
  return program
}

const problems: Record<ProgramProblem['problem'], (problem: ProgramProblem) => string> = {
  size: () => 'The constraint is too large: make it smaller, or use fewer alternatives and shorter patterns',
  empty: () => 'Nothing can follow the constraint: no text meets all it asks for',
  'left-recursion': ({ rule: name = '' }) =>
    `The rule ${name} of the grammar begins with itself: write it as a repetition`,
  'empty-loop': ({ rule: name = '' }) =>
    `The rule ${name} of the grammar repeats what may be empty more than 32 times`
}

function constraintText(
  constraint: TextConstraint,
  limits: GrammarLimits,
  rules: Map<string, Expression>
): Expression {
  switch (constraint.type) {
    case 'json':
      return rule('json-object')
    case 'json-schema': {
      const { schema, strict = false } = constraint
      return schemaText(schema, { strict, param: 'constraint', limits }, 'schema.', rules)
    }
    case 'grammar':
      return gbnfText(constraint.text, limits, rules)
    default:
      throw invalid('constraint', 'The constraint has to be json, json-schema or grammar')
  }
}

function schemaText(
  schema: unknown,
  options: SchemaOptions,
  prefix: string,
  rules: Map<string, Expression>
): Expression {
  const made = schemaGrammar(openSchema(schema, options), prefix)
  for (const [name, expression] of made.rules) rules.set(name, expression)
  return made.root
}

function gbnfText(text: string, limits: GrammarLimits, rules: Map<string, Expression>): Expression {
  if (typeof text !== 'string') throw invalid('constraint', 'A grammar is a text')
  if (new TextEncoder().encode(text).length > limits.textBytes) {
    throw invalid('constraint', `The grammar has more than ${limits.textBytes} bytes`)
  }
  try {
    const grammar = parseGbnf(text, limits, 'grammar.')
    for (const [name, expression] of grammar.rules) rules.set(name, expression)
    return rule(grammar.root)
  } catch (cause) {
    if (!(cause instanceof GbnfProblem)) throw cause
    throw shardError('ERR_MODEL_INVALID_REQUEST', `Cannot read the grammar: ${cause.message}`, {
      cause,
      details: { param: 'constraint' }
    })
  }
}

function tagsText(
  { tags, triggers, required, single, text }: TagsRule,
  limits: GrammarLimits,
  rules: Map<string, Expression>
): Expression {
  if (tags.length === 0) throw invalid('tools', 'There is no tag to follow')
  if (triggers.some((trigger) => trigger === '')) throw invalid('tools', 'A trigger is empty')
  for (const [index, trigger] of triggers.entries()) {
    if (triggers.some((other, at) => at !== index && other.includes(trigger))) {
      throw invalid('tools', `The trigger ${trigger} appears in another one`)
    }
  }
  const plain = text === undefined || required ? undefined : constraintText(text, limits, rules)
  // All tags together cost what one schema may.
  const budget = { work: limits.work }
  const texts = tags.map((tag, index) => tagText(tag, index, triggers, { limits, budget }, rules))
  const whole = choice(...texts.map(({ trigger, rest }) => sequence(literal(trigger), rest)))
  const several = single ? whole : repeat(whole, 1)
  if (required) return several
  if (plain !== undefined) return choice(plain, several)
  const ways = triggers.map((trigger) => ({
    trigger,
    next: choice(...texts.filter((one) => one.trigger === trigger).map(({ rest }) => rest))
  }))
  const called: Expression = { kind: 'until', ways, end: false }
  const free: Expression = {
    kind: 'until',
    ways: triggers.map((trigger) => ({ trigger, next: never })),
    end: true
  }
  return single ? choice(free, called) : sequence(repeat(called, 0), free)
}

/** A tag without its trigger. */
function tagText(
  { begin, schema, strict, end }: TagRule,
  index: number,
  triggers: readonly string[],
  bounds: Pick<SchemaOptions, 'limits' | 'budget'>,
  rules: Map<string, Expression>
): { trigger: string; rest: Expression } {
  const trigger = triggers.find((one) => begin.startsWith(one))
  if (trigger === undefined) throw invalid('tools', `No trigger begins the tag ${begin}`)
  const inner = schemaText(schema, { strict, param: 'tools', ...bounds }, `tag${index}.`, rules)
  return { trigger, rest: sequence(literal(begin.slice(trigger.length)), inner, literal(end)) }
}
