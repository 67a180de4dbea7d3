import { triggerTable } from './triggers.ts'
import type { ByteRanges, Expression, Grammar } from './expression.ts'

/**
 * A step of a program. `next` and the others are indexes of steps; `bytes` is the only kind that reads. A frame on
 * the stack is where a rule returns to, or how often a loop was run.
 */
export type Step =
  | { readonly op: 'bytes'; readonly ranges: ByteRanges; next: number }
  | { readonly op: 'fork'; readonly next: number[] }
  | { readonly op: 'call'; entry: number; readonly next: number }
  | { readonly op: 'return' }
  | { readonly op: 'loop'; readonly body: number; end: number; readonly min: number; readonly max: number }
  | {
      readonly op: 'again'
      readonly loop: number
      readonly next: number
      readonly min: number
      readonly max: number
    }

/** A grammar as steps. */
export interface Program {
  readonly steps: readonly Step[]
  readonly entry: number
}

/** Why a grammar cannot be made into a program. */
export interface ProgramProblem {
  readonly problem: 'size' | 'left-recursion' | 'empty' | 'empty-loop'
  readonly rule?: string
}

// A counted loop over what may be empty is entered this often without reading anything.
const maxEmptyTurns = 32

/** The steps of a grammar, at most `maxSteps`; or why it has none. */
export function compileProgram(grammar: Grammar, maxSteps: number): Program | ProgramProblem {
  const productive = productiveRules(grammar)
  if (!productive.has(grammar.root)) return { problem: 'empty' }
  const nullable = nullableRules(grammar)
  const recursive = leftRecursion(grammar, nullable)
  if (recursive !== undefined) return { problem: 'left-recursion', rule: recursive }
  const steps: Step[] = []
  const entries = new Map<string, number>()
  const calls: { step: Extract<Step, { op: 'call' }>; name: string }[] = []
  let emptyLoop = false
  let full = false

  const add = (step: Step): number => {
    if (steps.length >= maxSteps) {
      full = true
      return 0
    }
    return steps.push(step) - 1
  }
  /** The steps of an expression, after which `next` follows; undefined where no text follows it. */
  const build = (expression: Expression, next: number): number | undefined => {
    if (full) return next
    switch (expression.kind) {
      case 'bytes':
        return expression.ranges.length === 0
          ? undefined
          : add({ op: 'bytes', ranges: expression.ranges, next })
      case 'sequence': {
        let at: number | undefined = next
        for (const item of expression.items.toReversed()) at = at === undefined ? undefined : build(item, at)
        return at
      }
      case 'choice': {
        const ways = expression.items.flatMap((item) => build(item, next) ?? [])
        return ways.length === 0 ? undefined : ways.length === 1 ? ways[0] : add({ op: 'fork', next: ways })
      }
      case 'rule': {
        if (!productive.has(expression.name)) return undefined
        const step = { op: 'call' as const, entry: 0, next }
        calls.push({ step, name: expression.name })
        return add(step)
      }
      case 'repeat':
        return buildRepeat(expression, next)
      case 'until':
        return buildUntil(expression, next)
    }
  }
  const buildRepeat = (
    { item, min, max }: Extract<Expression, { kind: 'repeat' }>,
    next: number
  ): number | undefined => {
    const fork = { op: 'fork' as const, next: [] as number[] }
    if (min === 0 && max === 1) {
      const body = build(item, next)
      return body === undefined ? next : add({ op: 'fork', next: [body, next] })
    }
    const empty = isNullable(item, nullable)
    if (max === Infinity && (min <= 1 || empty)) {
      const at = add(fork)
      const body = build(item, at)
      if (body === undefined) return min === 0 ? next : undefined
      fork.next.push(body, next)
      return min === 0 || empty ? at : body
    }
    if (empty && max > maxEmptyTurns) emptyLoop = true
    const low = empty ? 0 : min
    const loop = add({ op: 'loop', body: 0, end: low === 0 ? next : -1, min: low, max })
    const again = add({ op: 'again', loop, next, min: low, max })
    const body = build(item, again)
    if (body === undefined) return low === 0 ? next : undefined
    if (!full) steps[loop] = { op: 'loop', body, end: low === 0 ? next : -1, min: low, max }
    return loop
  }
  const buildUntil = ({ ways, end }: Extract<Expression, { kind: 'until' }>, next: number): number => {
    const table = triggerTable(ways.map(({ trigger }) => trigger))
    const entries = ways.map((way) => build(way.next, next))
    const heads = table.map(() => ({ op: 'fork' as const, next: [] as number[] }))
    const at = heads.map((head) => add(head))
    for (const [state, { moves }] of table.entries()) {
      const head = heads[state] as { next: number[] }
      for (const [place, ranges] of moves) {
        const target = place < 0 ? entries[-1 - place] : at[place]
        if (target !== undefined) head.next.push(add({ op: 'bytes', ranges, next: target }))
      }
      if (end) head.next.push(next)
    }
    return at[0] ?? next
  }

  for (const name of reachable(grammar, productive)) {
    const done = add({ op: 'return' })
    const entry = build(grammar.rules.get(name) as Expression, done)
    if (entry !== undefined) entries.set(name, entry)
    if (full) return { problem: 'size' }
    if (emptyLoop) return { problem: 'empty-loop', rule: name }
  }
  for (const { step, name } of calls) step.entry = entries.get(name) ?? 0
  return { steps, entry: entries.get(grammar.root) ?? 0 }
}

/** Rules that some text follows: the least fixed point. */
function productiveRules({ rules }: Grammar): Set<string> {
  const found = new Set<string>()
  const holds = (expression: Expression): boolean => {
    switch (expression.kind) {
      case 'bytes':
        return expression.ranges.length > 0
      case 'sequence':
        return expression.items.every(holds)
      case 'choice':
        return expression.items.some(holds)
      case 'repeat':
        return expression.min === 0 || holds(expression.item)
      case 'rule':
        return found.has(expression.name)
      case 'until':
        return expression.end || expression.ways.some(({ next }) => holds(next))
    }
  }
  fixedPoint(rules, found, holds)
  return found
}

/** Rules that the empty text follows. */
function nullableRules({ rules }: Grammar): Set<string> {
  const found = new Set<string>()
  fixedPoint(rules, found, (expression) => isNullable(expression, found))
  return found
}

function isNullable(expression: Expression, rules: ReadonlySet<string>): boolean {
  switch (expression.kind) {
    case 'bytes':
      return false
    case 'sequence':
      return expression.items.every((item) => isNullable(item, rules))
    case 'choice':
      return expression.items.some((item) => isNullable(item, rules))
    case 'repeat':
      return expression.min === 0 || isNullable(expression.item, rules)
    case 'rule':
      return rules.has(expression.name)
    case 'until':
      return expression.end
  }
}

function fixedPoint(
  rules: ReadonlyMap<string, Expression>,
  found: Set<string>,
  holds: (expression: Expression) => boolean
): void {
  // Whoever waits for a rule is looked at again when that rule is found, so each is seen once a reference.
  const waiting = new Map<string, Set<string>>()
  for (const [name, expression] of rules) {
    for (const target of references(expression)) {
      const users = waiting.get(target)
      if (users === undefined) waiting.set(target, new Set([name]))
      else users.add(name)
    }
  }
  const queue = [...rules.keys()]
  for (let name = queue.pop(); name !== undefined; name = queue.pop()) {
    const expression = rules.get(name)
    if (expression === undefined || found.has(name) || !holds(expression)) continue
    found.add(name)
    queue.push(...(waiting.get(name) ?? []))
  }
}

function references(expression: Expression): string[] {
  switch (expression.kind) {
    case 'rule':
      return [expression.name]
    case 'sequence':
    case 'choice':
      return expression.items.flatMap(references)
    case 'repeat':
      return references(expression.item)
    case 'until':
      return expression.ways.flatMap(({ next }) => references(next))
    default:
      return []
  }
}

function reachable({ root, rules }: Grammar, productive: ReadonlySet<string>): string[] {
  const seen = new Set([root])
  const queue = [root]
  for (const name of queue) {
    const expression = rules.get(name)
    if (expression === undefined) continue
    for (const target of references(expression)) {
      if (!productive.has(target) || seen.has(target)) continue
      seen.add(target)
      queue.push(target)
    }
  }
  return queue
}

/** A rule that can begin with itself, if there is one: it would be entered for ever. */
function leftRecursion({ rules }: Grammar, nullable: ReadonlySet<string>): string | undefined {
  const firsts = (expression: Expression): string[] => {
    switch (expression.kind) {
      case 'rule':
        return [expression.name]
      case 'choice':
        return expression.items.flatMap(firsts)
      case 'repeat':
        return firsts(expression.item)
      case 'sequence': {
        const out: string[] = []
        for (const item of expression.items) {
          out.push(...firsts(item))
          if (!isNullable(item, nullable)) break
        }
        return out
      }
      default:
        return []
    }
  }
  const state = new Map<string, 'open' | 'done'>()
  for (const start of rules.keys()) {
    const path: { name: string; rest: string[] }[] = []
    const enter = (name: string): void => {
      const expression = rules.get(name)
      state.set(name, 'open')
      path.push({ name, rest: expression === undefined ? [] : firsts(expression) })
    }
    if (!state.has(start)) enter(start)
    for (let top = path.at(-1); top !== undefined; top = path.at(-1)) {
      const next = top.rest.pop()
      if (next === undefined) {
        state.set(top.name, 'done')
        path.pop()
      } else if (state.get(next) === 'open') return next
      else if (!state.has(next)) enter(next)
    }
  }
  return undefined
}
