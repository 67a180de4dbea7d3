import type { JsonObject, JsonValue } from '../json.ts'
import { MAX_POLICY_DEPTH, MAX_POLICY_STATEMENTS, MAX_POLICY_STEPS, MAX_SELECTOR_LENGTH } from './limits.ts'
import { isMap, parseSelector, resolveSelector, type Selected } from './selector.ts'

/** One statement about the arguments of an invocation (UCAN Delegation 1.0.0-rc.1, Policy). */
export type PolicyStatement =
  | readonly ['==' | '!=', selector: string, value: JsonValue]
  | readonly ['<' | '<=' | '>' | '>=', selector: string, value: number]
  | readonly ['like', selector: string, pattern: string]
  | readonly ['and' | 'or', statements: readonly PolicyStatement[]]
  | readonly ['not', statement: PolicyStatement]
  | readonly ['all' | 'any', selector: string, statement: PolicyStatement]

/** Statements that all have to hold. */
export type Policy = readonly PolicyStatement[]

/** Why a value is no policy, in a few words, or `undefined` where it is one. */
export function policyFault(value: unknown): string | undefined {
  if (!Array.isArray(value)) return 'a policy is a list of statements, such as [["<=", ".maxTokens", 4096]]'
  const room = { statements: MAX_POLICY_STATEMENTS }
  return firstFault(value, MAX_POLICY_DEPTH, room)
}

function firstFault(
  list: readonly unknown[],
  depth: number,
  room: { statements: number }
): string | undefined {
  for (const each of list) {
    const fault = statementFault(each, depth, room)
    if (fault !== undefined) return fault
  }
  return undefined
}

function statementFault(value: unknown, depth: number, room: { statements: number }): string | undefined {
  if (depth <= 0) return `its statements are nested more than ${MAX_POLICY_DEPTH} deep`
  if (--room.statements < 0) return `it has more than ${MAX_POLICY_STATEMENTS} statements`
  if (!Array.isArray(value)) return 'a statement is no list, such as ["<=", ".maxTokens", 4096]'
  const [operator, first, second] = value as readonly unknown[]
  const of = (length: number): boolean => value.length === length
  switch (operator) {
    case '==':
    case '!=':
      return of(3) ? selectorFault(first) : 'a comparison has not three parts'
    case '<':
    case '<=':
    case '>':
    case '>=':
      if (!of(3) || typeof second !== 'number') return 'a comparison of size has no number'
      return selectorFault(first)
    case 'like':
      if (!of(3) || typeof second !== 'string') return '"like" has no pattern'
      return second.length > MAX_SELECTOR_LENGTH ? 'a pattern is too long' : selectorFault(first)
    case 'and':
    case 'or':
      if (!of(2) || !Array.isArray(first)) return `"${operator}" has no list of statements`
      return firstFault(first, depth - 1, room)
    case 'not':
      return of(2) ? statementFault(first, depth - 1, room) : '"not" has not one statement'
    case 'all':
    case 'any':
      if (!of(3)) return `"${operator}" has no selector and statement`
      return selectorFault(first) ?? statementFault(second, depth - 1, room)
    default:
      return 'a statement has an unknown operator'
  }
}

function selectorFault(value: unknown): string | undefined {
  return typeof value === 'string' && parseSelector(value) !== undefined
    ? undefined
    : 'a statement has no selector that begins with a dot, such as .maxTokens'
}

/** Undefined is doubt: a selector found nothing, or something of another kind than is compared. */
type Truth = boolean | undefined

/** Counts down; below nothing everything is in doubt. */
interface Budget {
  steps: number
}

/**
 * Whether arguments satisfy a policy, beyond doubt: where a selector finds nothing, or what is compared is of another
 * kind, the statement neither holds nor does its negation. So this is never wider than UCAN's own rule, by which such a
 * statement is false and its negation true.
 */
export function satisfiesPolicy(policy: Policy, args: JsonObject): boolean {
  if (policyFault(policy) !== undefined) return false
  const budget = { steps: MAX_POLICY_STEPS }
  return conjunction(policy, (each) => evaluate(each, args, budget)) === true && budget.steps >= 0
}

function conjunction<T>(list: readonly T[], judge: (item: T) => Truth): Truth {
  let truth: Truth = true
  for (const item of list) {
    const each = judge(item)
    if (each === false) return false
    if (each === undefined) truth = undefined
  }
  return truth
}

function negation(truth: Truth): Truth {
  return truth === undefined ? undefined : !truth
}

function evaluate(statement: PolicyStatement, value: JsonValue, budget: Budget): Truth {
  if (--budget.steps < 0) return undefined
  switch (statement[0]) {
    case 'and':
      return conjunction(statement[1], (each) => evaluate(each, value, budget))
    case 'or':
      // The specification has an "or" of nothing hold.
      if (statement[1].length === 0) return true
      return negation(conjunction(statement[1], (each) => negation(evaluate(each, value, budget))))
    case 'not':
      return negation(evaluate(statement[1], value, budget))
    default:
  }
  const found = select(statement[1], value)
  if (found === undefined) return undefined
  const operand = found.value
  switch (statement[0]) {
    case '==':
      return equal(operand, statement[2], budget)
    case '!=':
      return negation(equal(operand, statement[2], budget))
    case 'like':
      return typeof operand === 'string' ? matches(statement[2], operand) : undefined
    case 'all':
    case 'any':
      return quantify(statement[0], operand, statement[2], budget)
    default:
      return typeof operand === 'number' ? compare(statement[0], operand, statement[2]) : undefined
  }
}

function select(selector: string, value: JsonValue): Selected {
  const steps = parseSelector(selector)
  return steps === undefined ? undefined : resolveSelector(steps, value)
}

function quantify(
  quantifier: 'all' | 'any',
  operand: JsonValue,
  statement: PolicyStatement,
  budget: Budget
): Truth {
  if (typeof operand !== 'object' || operand === null) return undefined
  const items: readonly JsonValue[] = isMap(operand) ? Object.values(operand) : operand
  const judge = (item: JsonValue): Truth => evaluate(statement, item, budget)
  return quantifier === 'all'
    ? conjunction(items, judge)
    : negation(conjunction(items, (item) => negation(judge(item))))
}

function compare(operator: '<' | '<=' | '>' | '>=', left: number, right: number): boolean {
  if (operator === '<') return left < right
  if (operator === '<=') return left <= right
  return operator === '>' ? left > right : left >= right
}

function equal(a: JsonValue, b: JsonValue, budget: Budget): Truth {
  if (--budget.steps < 0) return undefined
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return a === b
  if (isMap(a) !== isMap(b)) return false
  const names = Object.keys(a)
  if (names.length !== Object.keys(b).length) return false
  return conjunction(names, (name) =>
    Object.hasOwn(b, name)
      ? equal((a as JsonObject)[name] as JsonValue, (b as JsonObject)[name] as JsonValue, budget)
      : false
  )
}

/** `*` stands for any characters, none included; `\*` for itself; nothing else is special. */
function matches(pattern: string, text: string): boolean {
  const [first = '', ...rest] = pattern.split(/(?<!\\)\*/).map((part) => part.replaceAll('\\*', '*'))
  if (rest.length === 0) return text === first
  const last = rest.pop() as string
  if (!text.startsWith(first) || text.length < first.length + last.length || !text.endsWith(last))
    return false
  const end = text.length - last.length
  let at = first.length
  for (const part of rest) {
    const found = text.indexOf(part, at)
    if (found < 0 || found + part.length > end) return false
    at = found + part.length
  }
  return true
}
