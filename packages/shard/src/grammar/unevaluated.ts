import type { SchemaDocument } from './schema-document.ts'
import type { Located } from './schema-keywords.ts'

const applying = [
  '$ref',
  '$dynamicRef',
  'allOf',
  'anyOf',
  'oneOf',
  'not',
  'if',
  'dependentSchemas',
  'contains'
]

/**
 * The schema of an `unevaluated…` keyword that speaks of the same values as its plain sister, because nothing else
 * in its schema evaluates any; otherwise it is refused.
 */
export function plainUnevaluated(
  document: SchemaDocument,
  leaf: Located,
  keyword: 'unevaluatedItems' | 'unevaluatedProperties',
  sister: 'items' | 'additionalProperties'
): Located[] {
  const words = document.keywords(leaf)
  if (words[keyword] === undefined) return []
  if (applying.some((other) => words[other] !== undefined)) {
    document.refuse(leaf, keyword, 'it is followed in a schema alone that refers to no others')
    return []
  }
  return words[sister] === undefined ? [document.at(leaf, keyword)] : []
}
