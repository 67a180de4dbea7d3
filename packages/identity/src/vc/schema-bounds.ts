import { isObject } from './shape.ts'

// A schema comes from whoever issued the credential, and the validator has no bound of its own.
const maxCost = 20_000
const maxPatternLength = 256
const maxUnboundedRepeats = 3
const maxTextWithPatterns = 1_024

/**
 * Why a schema is not used, if there is a reason: references that leave the document or form a circle, more work than
 * is allowed, and patterns that can take a regular expression engine for ever.
 */
export function schemaBoundsFault(schema: unknown, instance: unknown): string | undefined {
  const costs = new Map<unknown, number>()
  let patterns = false
  let fault: string | undefined
  const cost = (node: unknown): number => {
    if (typeof node !== 'object' || node === null || fault !== undefined) return 1
    const known = costs.get(node)
    if (known !== undefined) {
      if (known < 0) fault = 'its references form a circle'
      return known
    }
    costs.set(node, -1)
    let sum = 1
    for (const [name, member] of Object.entries(node)) {
      if (name === '$dynamicRef' || name === '$recursiveRef') fault = `it has ${name}`
      if (name === '$ref' && typeof member === 'string') sum += cost(targetOf(schema, member))
      else if (name === 'pattern' && typeof member === 'string') {
        patterns = true
        fault ??= patternFault(member)
      } else if (name === 'patternProperties' && isObject(member)) {
        patterns = true
        for (const pattern of Object.keys(member)) fault ??= patternFault(pattern)
        sum += cost(member)
      } else sum += cost(member)
      if (name === '$ref' && typeof member === 'string' && targetOf(schema, member) === undefined)
        fault ??= 'it refers to another document'
      if (sum > maxCost) fault ??= 'it takes too much work'
    }
    costs.set(node, sum)
    return sum
  }
  cost(schema)
  if (fault === undefined && patterns && hasLongText(instance))
    fault = `it has patterns, and the credential a text of more than ${maxTextWithPatterns} characters`
  return fault
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

/** Only patterns whose time grows slowly with the text: no repeated groups that repeat or choose, few repetitions. */
function patternFault(pattern: string): string | undefined {
  if (pattern.length > maxPatternLength) return 'a pattern is too long'
  const bare = pattern.replace(/\\./g, 'x').replace(/\[(?:[^\]])*\]/g, 'x')
  if (/\(\?(?![:])/.test(bare) || /\\[1-9k]/.test(pattern)) return 'a pattern looks around or back'
  // Groups from the inside out: one that repeats or chooses must not be repeated itself.
  let rest = bare
  for (let i = 0; i < maxPatternLength && rest.includes('('); i++) {
    const next = rest.replace(
      /\((?:\?:)?([^()]*)\)([*+?]|\{[^}]*\})?/,
      (_all, inner: string, repeat: string | undefined) =>
        repeat !== undefined && repeat !== '?' && /[*+{|]/.test(inner)
          ? '\u0000'
          : `x${/[*+{|]/.test(inner) ? '+' : ''}`
    )
    if (next === rest || next.includes('\u0000')) return 'a pattern repeats what repeats'
    rest = next
  }
  const unbounded = bare.match(/[*+]|\{\d+,\}/g)?.length ?? 0
  const counts = [...bare.matchAll(/\{(\d+)(?:,(\d*))?\}/g)]
  if (unbounded > maxUnboundedRepeats || counts.length > maxUnboundedRepeats)
    return 'a pattern repeats too often'
  return counts.some(([, from, to]) => Number(to ?? from) > 1_000 || Number(from) > 1_000)
    ? 'a pattern repeats too often'
    : undefined
}

function hasLongText(value: unknown): boolean {
  if (typeof value === 'string') return value.length > maxTextWithPatterns
  if (typeof value !== 'object' || value === null) return false
  return Object.entries(value).some(
    ([name, member]) => name.length > maxTextWithPatterns || hasLongText(member)
  )
}
