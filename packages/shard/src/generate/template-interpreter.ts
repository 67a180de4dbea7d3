import type { Clock } from '@kwaai/interface'
import { shardError } from '../errors.ts'
import {
  Environment,
  Interpreter,
  type TemplateNode,
  type TemplateScope,
  type TemplateValue
} from './jinja.ts'
import { strftime } from './strftime.ts'
import { createScale, elementWeight, overLimit, type TemplateLimits } from './template-limits.ts'

/** One node under evaluation, and for the watched kinds the values of the nodes inside it so far. */
interface Frame {
  readonly node: TemplateNode
  readonly parent: Frame | undefined
  readonly values: TemplateValue[]
}

/** Nodes of which the values inside have to be known. */
const watched: ReadonlySet<string> = new Set(['MemberExpression', 'FilterExpression'])

const defining: ReadonlySet<string> = new Set(['Macro', 'CallStatement'])
const sizes = new WeakMap<TemplateNode, number>()

/** Widest indentation of `tojson`, and the longest pair of separators: each of two counts 32 and its length. */
const maxIndent = 8
const maxSeparators = 80

/** Nodes whose value is not made but found; what they hand back costs nothing. */
const found: ReadonlySet<string> = new Set(['Identifier', 'MemberExpression', 'StringLiteral'])

/**
 * The template library's interpreter, held to limits. Every node it evaluates passes `evaluate`, so that is
 * where steps, depth and time are counted and values measured. The few operations that can make much out of
 * little in one step are checked before they run.
 */
export class LimitedInterpreter extends Interpreter {
  readonly #limits: TemplateLimits
  readonly #clock: Clock
  readonly #started: number
  readonly #weigh: (value: TemplateValue) => number
  #steps = 0
  #depth = 0
  #characters = 0
  #top: Frame | undefined
  readonly #guarded = new WeakSet<TemplateValue>()

  constructor(environment: TemplateScope, limits: TemplateLimits, clock: Clock) {
    super(environment)
    this.#limits = limits
    this.#clock = clock
    this.#started = clock.monotonic()
    this.#weigh = createScale(limits)
  }

  override evaluate(node: TemplateNode | undefined, environment: TemplateScope): TemplateValue {
    if (node === undefined) return super.evaluate(node, environment)
    const limits = this.#limits
    // The library walks through all of a macro each time it comes past its definition.
    this.#steps += defining.has(node.type) ? sizeOf(node) : 1
    if (this.#steps > limits.maxSteps) overLimit('maxSteps', limits)
    if (++this.#depth > limits.maxDepth) overLimit('maxDepth', limits)
    if (this.#clock.monotonic() - this.#started > limits.maxMs) overLimit('maxMs', limits)

    const parent = this.#top
    const frame: Frame = { node, parent, values: [] }
    this.#top = frame
    let value: TemplateValue
    try {
      value = super.evaluate(node, environment)
    } finally {
      this.#top = parent
      this.#depth--
    }
    // Filters such as `first` hand back nothing at all where a list is empty.
    value ??= super.evaluate(undefined, environment)

    const weight = this.#weigh(value)
    if (!found.has(node.type)) this.#characters += weight
    if (this.#characters > limits.maxTotalCharacters) overLimit('maxTotalCharacters', limits)
    if (node.type === 'MemberExpression') this.#guardMethod(frame, value)
    if (parent !== undefined) {
      // A loop prepares all its rounds in one go.
      if (parent.node.type === 'For' && Array.isArray(value.value)) this.#steps += value.value.length
      if (watched.has(parent.node.type)) {
        parent.values.push(value)
        this.#guardFilter(parent)
      }
    }
    return value
  }

  /** `text.replace(…)`, by whatever name the method goes: the text is the first value inside the node. */
  #guardMethod({ values }: Frame, method: TemplateValue): void {
    const object = values[0]
    if (method.type !== 'FunctionValue' || object?.type !== 'StringValue' || this.#guarded.has(method)) return
    const call = method.value
    this.#guarded.add(method)
    method.value = (args, scope) => {
      this.#guardReplace(textOf(object), textOf(args[0]), textOf(args[1]))
      return call(args, scope)
    }
  }

  /** Filters with arguments: each argument is checked when it is known, before the filter runs. */
  #guardFilter({ node, values }: Frame): void {
    const [operand, ...args] = values
    const last = args.at(-1)
    if (operand === undefined || last === undefined) return
    const name = filterName(node)
    const number = last.type === 'IntegerValue' ? Math.abs(last.value) : 0
    if (name === 'join') {
      const parts = Array.isArray(operand.value) ? operand.value.length : this.#weigh(operand)
      this.#guardSize(parts * this.#weigh(last))
    } else if (name === 'indent') {
      this.#guardSize((countOf(textOf(operand), '\n') + 1) * number)
    } else if (name === 'tojson') {
      // Lists are at most 64 deep and 65,536 long, so that this is all that can make the text long.
      if (number > maxIndent || (Array.isArray(last.value) && this.#weigh(last) > maxSeparators)) {
        overLimit('maxCharacters', this.#limits)
      }
    } else if (name === 'replace' && args.length > 1) {
      this.#guardReplace(textOf(operand), textOf(args[0]), textOf(args[1]))
    }
  }

  #guardReplace(text: string, from: string, to: string): void {
    const places = from === '' ? text.length + 1 : countOf(text, from)
    this.#guardSize(places * to.length)
  }

  #guardSize(characters: number): void {
    if (characters > this.#limits.maxCharacters) overLimit('maxCharacters', this.#limits)
  }
}

/** How many values a node's tree holds. */
function sizeOf(node: TemplateNode): number {
  const known = sizes.get(node)
  if (known !== undefined) return known
  let size = 0
  const waiting: unknown[] = [node]
  while (waiting.length > 0) {
    const next = waiting.pop()
    size++
    if (typeof next !== 'object' || next === null) continue
    if (next instanceof Map) for (const entry of next) for (const part of entry) waiting.push(part)
    else for (const child of Object.values(next)) waiting.push(child)
  }
  sizes.set(node, size)
  return size
}

function textOf(value: TemplateValue | undefined): string {
  return value?.type === 'StringValue' ? String(value.value) : ''
}

function countOf(text: string, part: string): number {
  let count = 0
  for (let at = text.indexOf(part); at !== -1; at = text.indexOf(part, at + part.length)) count++
  return count
}

/** The name of the filter a node applies with arguments. */
function filterName(node: TemplateNode): string | undefined {
  if (node.type !== 'FilterExpression') return undefined
  const filter: unknown = 'filter' in node ? node.filter : undefined
  const callee =
    typeof filter === 'object' && filter !== null && 'callee' in filter ? filter.callee : undefined
  const name = typeof callee === 'object' && callee !== null && 'value' in callee ? callee.value : undefined
  return typeof name === 'string' ? name : undefined
}

/** The names every template may use: those Hugging Face's and llama.cpp's renderers offer. */
export function createTemplateScope(
  limits: TemplateLimits,
  clock: Clock,
  variables: Readonly<Record<string, unknown>>
): TemplateScope {
  const environment = new Environment()
  for (const [names, value] of [
    [['true', 'True'], true],
    [['false', 'False'], false],
    [['none', 'None'], null]
  ] as const) {
    for (const name of names) environment.set(name, value)
  }
  environment.set('raise_exception', (message: unknown) => {
    throw shardError(
      'ERR_TEMPLATE_REFUSED',
      `The chat template refuses the messages: ${String(message).slice(0, 500)}`
    )
  })
  environment.set('range', (...bounds: unknown[]) => range(bounds, limits))
  environment.set('strftime_now', (format: unknown) => strftime(new Date(clock.now()), String(format)))
  for (const [name, value] of Object.entries(variables)) environment.set(name, value)
  return environment
}

/** Python's `range`, of as many numbers as a list may hold. */
function range(bounds: readonly unknown[], limits: TemplateLimits): number[] {
  const numbers = bounds.filter((bound) => typeof bound === 'number')
  const [start, stop, step] = numbers.length < 2 ? [0, numbers[0] ?? 0, 1] : [...numbers, 1]
  if (!step) throw new Error('range() needs a step other than 0')
  const count = Math.max(0, Math.ceil(((stop as number) - (start as number)) / step))
  if (!(count * elementWeight <= limits.maxCharacters)) overLimit('maxCharacters', limits)
  return Array.from({ length: count }, (_, i) => (start as number) + i * step)
}
