/** How much a value handed in as JSON may hold. */
export interface JsonLimits {
  /** Characters of its text, about. */
  maxCharacters: number
  /** Values inside each other. */
  maxDepth: number
}

/** What a value or a key costs besides its own characters: quotes, colon, comma. */
const perValue = 4

/**
 * Says why a value is no JSON within limits; undefined where it is. What JSON has no word for (functions, NaN,
 * objects of a class, a value inside itself) is none.
 */
export function whyNoJson(value: unknown, limits: JsonLimits): string | undefined {
  let left = limits.maxCharacters
  const walk = (part: unknown, depth: number): string | undefined => {
    if (depth > limits.maxDepth) return `it is more than ${limits.maxDepth} values deep`
    left -= perValue + (typeof part === 'string' ? part.length : 0)
    if (left < 0) return `it is longer than ${limits.maxCharacters} characters`
    if (part === null || typeof part === 'string' || typeof part === 'boolean') return undefined
    if (typeof part === 'number') return Number.isFinite(part) ? undefined : 'it holds a number that is none'
    if (Array.isArray(part)) {
      for (const element of part) {
        const why = walk(element, depth + 1)
        if (why !== undefined) return why
      }
      return undefined
    }
    if (!isPlainObject(part)) return 'it holds what is no JSON'
    for (const [key, element] of Object.entries(part)) {
      left -= key.length
      // As JSON.stringify has it: what is undefined is not there.
      const why = element === undefined ? undefined : walk(element, depth + 1)
      if (why !== undefined) return why
    }
    return undefined
  }
  return walk(value, 1)
}

/** True for what `{}` makes. */
export function isPlainObject(value: unknown): value is Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === null || Object.getPrototypeOf(prototype) === null
}
