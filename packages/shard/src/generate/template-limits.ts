import { shardError } from '../errors.ts'
import type { TemplateValue } from './jinja.ts'

/** How much a chat template may do. */
export interface TemplateLimits {
  /** Longest template, in characters. Default 131,072. */
  maxTemplateCharacters: number
  /**
   * Longest run of white space in the template. Default 256: the template library's parser takes the square of
   * this time.
   */
  maxTemplateSpaces: number
  /** Nodes evaluated in one rendering. Default 500,000. */
  maxSteps: number
  /** Nodes evaluated inside each other. Default 400. */
  maxDepth: number
  /**
   * Longest text, the rendering included, in characters; of a list the texts of all its elements, each of
   * them counted 32 longer than it is. Default 2,097,152.
   */
  maxCharacters: number
  /** Characters of all texts made on the way. Default 67,108,864. */
  maxTotalCharacters: number
  /** Time of one rendering in milliseconds. Default 2,000. */
  maxMs: number
}

/** Limits with room for every template in use: the longest are 20,000 characters, and render in milliseconds. */
export const defaultTemplateLimits: Readonly<TemplateLimits> = {
  maxTemplateCharacters: 131_072,
  maxTemplateSpaces: 256,
  maxSteps: 500_000,
  maxDepth: 400,
  maxCharacters: 2_097_152,
  maxTotalCharacters: 67_108_864,
  maxMs: 2_000
}

/** @throws always, a KwaaiError `ERR_TEMPLATE_LIMIT_EXCEEDED`. */
export function overLimit(limit: keyof TemplateLimits, limits: TemplateLimits): never {
  throw shardError(
    'ERR_TEMPLATE_LIMIT_EXCEEDED',
    `Cannot render the chat template: it goes past its limit of ${limits[limit]} (${limit})`,
    { details: { limit } }
  )
}

/** What an element of a list counts besides its text. */
export const elementWeight = 32
const maxContainerDepth = 64

interface Measure {
  weight: number
  depth: number
}

/**
 * Measures values as if they were written out: a list that holds one list twice counts it twice. What holds a
 * namespace is measured anew each time, because namespaces change.
 */
export function createScale(limits: TemplateLimits): (value: TemplateValue) => number {
  const known = new WeakMap<object, Measure>()

  const measure = (value: TemplateValue, nesting: number): Measure & { changes: boolean } => {
    if (nesting > maxContainerDepth) overLimit('maxDepth', limits)
    if (value.type === 'StringValue') return { weight: value.value.length, depth: 0, changes: false }
    const content = value.value
    if (!Array.isArray(content) && !(content instanceof Map)) return { weight: 0, depth: 0, changes: false }
    const before = known.get(value)
    if (before !== undefined) {
      if (nesting + before.depth > maxContainerDepth) overLimit('maxDepth', limits)
      return { ...before, changes: false }
    }
    const total = { weight: 0, depth: 0, changes: value.type === 'NamespaceValue' }
    const add = (element: TemplateValue, extra: number): void => {
      const inner = measure(element, nesting + 1)
      total.weight += inner.weight + extra
      total.depth = Math.max(total.depth, inner.depth + 1)
      total.changes ||= inner.changes
      if (total.weight > limits.maxCharacters) overLimit('maxCharacters', limits)
    }
    if (Array.isArray(content)) for (const element of content) add(element, elementWeight)
    else for (const [key, element] of content) add(element, elementWeight + key.length)
    if (!total.changes) known.set(value, { weight: total.weight, depth: total.depth })
    return total
  }

  return (value) => {
    const { weight } = measure(value, 0)
    if (weight > limits.maxCharacters) overLimit('maxCharacters', limits)
    return weight
  }
}
