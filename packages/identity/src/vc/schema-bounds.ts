import { isObject } from './shape.ts'

// A schema comes from whoever issued the credential, and the validator has no bound of its own. Own choices: each of the
// two keeps a validation below about a second.
/** Parts of the schema times parts of the credential. */
const maxWork = 2_000_000
/** Ways in which patterns can be laid over the texts of the credential. */
const maxPatternWork = 100_000_000
const maxPatternLength = 256
const maxTextWithPatterns = 1_024
const maxItemsToCompare = 1_000

/** What is asked of each part of the credential: how many parts of a schema, and which patterns. */
interface Cost {
  parts: number
  /** Each pattern laid over each text, in steps. */
  steps: number
}

// Trying a pattern at a place takes so much less than holding a part to a part: both bounds stand for the same time.
const patternStepsOfOne = maxPatternWork / maxWork

/**
 * How much work it is to hold something to a schema, in parts of the schema times parts of the other; and why the schema
 * is not used, if there is a reason: references that leave the document or form a circle, ids that would change where
 * references lead, and more work than is allowed, such as patterns that can take a regular expression engine for ever.
 */
export function schemaBounds(schema: unknown, instance: unknown): { work: number; fault?: string } {
  const size = measure(instance)
  const costs = new Map<unknown, Cost | undefined>()
  let fault: string | undefined
  const patternSteps = (pattern: string): number => {
    const ways = patternWays(pattern)
    if (typeof ways === 'string') fault ??= ways
    else if (size.longest > maxTextWithPatterns)
      fault ??= `it has patterns, and the credential a text of more than ${maxTextWithPatterns} characters`
    else return [...size.texts].reduce((sum, [length, count]) => sum + count * ways(length), 0)
    return 0
  }
  const cost = (node: unknown): Cost => {
    if (typeof node !== 'object' || node === null || fault !== undefined) return { parts: 1, steps: 0 }
    const known = costs.get(node)
    if (known !== undefined) return known
    if (costs.has(node)) fault = 'its references form a circle'
    costs.set(node, undefined)
    const sum = { parts: 1, steps: 0 }
    const add = ({ parts, steps }: Cost): void => {
      sum.parts += parts
      sum.steps += steps
    }
    for (const [name, member] of Object.entries(node)) {
      if (name === '$dynamicRef' || name === '$recursiveRef') fault ??= `it has ${name}`
      else if ((name === '$id' || name === 'id') && node !== schema && typeof member === 'string')
        fault ??= `it has an ${name} further down`
      else if (name === 'uniqueItems' && member === true && size.items > maxItemsToCompare)
        fault ??= `it compares items, and the credential has a list of more than ${maxItemsToCompare}`
      else if (name === '$ref' && typeof member === 'string') {
        const target = targetOf(schema, member)
        if (target === undefined) fault ??= 'it refers to another document'
        add(cost(target))
      } else if (name === 'pattern' && typeof member === 'string') sum.steps += patternSteps(member)
      else if (name === 'patternProperties' && isObject(member)) {
        for (const pattern of Object.keys(member)) sum.steps += patternSteps(pattern)
        add(cost(member))
      } else add(cost(member))
      if (sum.parts * size.parts > maxWork || sum.steps > maxPatternWork) fault ??= 'it takes too much work'
    }
    costs.set(node, sum)
    return sum
  }
  const { parts, steps } = cost(schema)
  const work = Math.ceil(parts * size.parts + steps / patternStepsOfOne)
  return fault === undefined ? { work } : { work: Math.min(work, maxWork), fault }
}

interface Size {
  parts: number
  /** How many texts and names there are of each length. */
  texts: Map<number, number>
  longest: number
  /** Of the longest list. */
  items: number
}

function measure(instance: unknown): Size {
  const size: Size = { parts: 0, texts: new Map(), longest: 0, items: 0 }
  const text = ({ length }: string): void => {
    size.texts.set(length, (size.texts.get(length) ?? 0) + 1)
    size.longest = Math.max(size.longest, length)
  }
  const visit = (value: unknown): void => {
    size.parts++
    if (typeof value === 'string') text(value)
    else if (Array.isArray(value)) {
      size.items = Math.max(size.items, value.length)
      for (const item of value as readonly unknown[]) visit(item)
    } else if (isObject(value)) {
      for (const [name, member] of Object.entries(value)) {
        text(name)
        visit(member)
      }
    }
  }
  visit(instance)
  return size
}

/** What a reference inside of the document names; `undefined` for all others. */
function targetOf(root: unknown, reference: string): unknown {
  if (reference === '#') return root
  if (!reference.startsWith('#/')) return undefined
  let node: unknown = root
  for (const part of reference.slice(2).split('/')) {
    const name = decodePart(part)
    if (typeof node !== 'object' || node === null || name === undefined || !Object.hasOwn(node, name))
      return undefined
    node = (node as Record<string, unknown>)[name]
  }
  return node
}

function decodePart(part: string): string | undefined {
  try {
    return decodeURIComponent(part).replaceAll('~1', '/').replaceAll('~0', '~')
  } catch {
    return undefined
  }
}

/**
 * In how many ways a pattern can be laid over a text of a length, begun at any character, or why it is not looked at:
 * groups that repeat may not hold what repeats or chooses.
 */
function patternWays(pattern: string): string | ((length: number) => number) {
  if (pattern.length > maxPatternLength) return 'a pattern is too long'
  const bare = pattern.replace(/\\./g, 'x').replace(/\[(?:[^\]])*\]/g, 'x')
  if (/\(\?(?![:])/.test(bare) || /\\[1-9k]/.test(pattern)) return 'a pattern looks around or back'
  // Groups from the inside out: one that repeats or chooses must not be repeated itself.
  let rest = bare
  let branches = 1
  for (let i = 0; i < maxPatternLength && rest.includes('('); i++) {
    const next = rest.replace(
      /\((?:\?:)?([^()]*)\)([*+?]|\{[^}]*\})?/,
      (_all, inner: string, repeat: string | undefined) => {
        branches *= inner.split('|').length
        const varies = /[*+?{|]/.test(inner)
        return varies && repeat !== undefined && repeat !== '?' ? '\u0000' : `x${varies ? '+' : ''}`
      }
    )
    if (next === rest || next.includes('\u0000')) return 'a pattern repeats what repeats'
    rest = next
  }
  const counts = [...bare.matchAll(/\{(\d+)(?:(,)(\d*))?\}/g)]
  if (counts.some(([, from, , to]) => Number(from) > 1_000 || Number(to ?? 0) > 1_000))
    return 'a pattern repeats too often'
  // Each of these takes any part of the text; an optional part has two ways on, a choice as many as it has branches.
  const ranged = counts.filter(([, from, comma, to]) => comma !== undefined && from !== to).length
  const takers = (bare.match(/[*+]/g)?.length ?? 0) + ranged
  const optional = bare.replace(/\(\?:/g, '(').match(/\?/g)?.length ?? 0
  const forks = 2 ** optional * branches * rest.split('|').length
  return (length) => {
    let ways = forks * (counts.length > 0 ? length : 1)
    for (let i = 1; i <= takers + 1; i++) ways *= (length + i) / i
    return ways
  }
}
