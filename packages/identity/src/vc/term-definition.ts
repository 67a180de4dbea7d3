import { canonicalizeJson, type JsonObject } from '../json.ts'
import { ContextProblem, shown, type ContextSource, type Term } from './active-context.ts'
import { isUrl } from './url.ts'

/** A context while its terms are being defined. */
export interface Draft {
  terms: Map<string, Term>
  vocab: string | undefined
  local: JsonObject
  /** False while a term is being defined, so that circles show. */
  defined: Map<string, boolean>
  override: boolean
  protectedByDefault: boolean
  source: ContextSource
}

const keywords = new Set([
  '@base',
  '@container',
  '@context',
  '@direction',
  '@graph',
  '@id',
  '@import',
  '@included',
  '@index',
  '@json',
  '@language',
  '@list',
  '@nest',
  '@none',
  '@prefix',
  '@propagate',
  '@protected',
  '@reverse',
  '@set',
  '@type',
  '@value',
  '@version',
  '@vocab'
])
const partsOfDefinition = new Set([
  '@id',
  '@reverse',
  '@container',
  '@context',
  '@direction',
  '@index',
  '@language',
  '@nest',
  '@prefix',
  '@protected',
  '@type'
])
const containers = new Set(['@graph', '@id', '@index', '@language', '@list', '@set', '@type'])

/**
 * Defines a term of the local context (JSON-LD 1.1 API, section 4.2).
 *
 * @throws A ContextProblem when the definition is malformed or redefines a protected term.
 */
export function defineTerm(draft: Draft, name: string, override: boolean = draft.override): void {
  const state = draft.defined.get(name)
  if (state === true) return
  if (state === false) refuse(name, 'is defined by itself')
  if (name === '') refuse(name, 'has no name')
  draft.defined.set(name, false)
  const previous = draft.terms.get(name)
  const given: unknown = draft.local[name]
  const term = makeTerm(draft, name, given)
  if (previous?.protected === true && !override) {
    if (previous.said() !== term.said())
      throw new ContextProblem(
        'STRUCTURE_INVALID',
        `The @context redefines the protected term ${shown(name)}`
      )
  } else {
    draft.terms.set(name, term)
  }
  draft.defined.set(name, true)
}

function makeTerm(draft: Draft, name: string, given: unknown): Term {
  const simple = typeof given === 'string' || given === null
  if (!simple && (typeof given !== 'object' || Array.isArray(given)))
    refuse(name, 'is neither a text nor an object')
  const definition = (simple ? { '@id': given } : given) as JsonObject
  for (const part of Object.keys(definition))
    if (!partsOfDefinition.has(part)) refuse(name, `has ${shown(part)}`)
  const reverse = definition['@reverse']
  const id = definition['@id']
  let iri: string | null
  if (reverse !== undefined) {
    if (typeof reverse !== 'string' || id !== undefined) refuse(name, 'has a malformed @reverse')
    iri = expandIri(draft, reverse)
  } else if (id === null) {
    iri = null
  } else if (id !== undefined && id !== name) {
    if (typeof id !== 'string') refuse(name, 'has an @id that is no text')
    iri = expandIri(draft, id)
    if (iri === null) refuse(name, `stands for ${shown(id)}, which is no IRI`)
  } else {
    iri = expandIri(draft, name, true)
    if (iri === null) refuse(name, 'has no IRI and there is no @vocab')
  }
  if (iri !== null && !keywords.has(iri) && !isUrl(iri))
    refuse(name, `stands for ${shown(iri)}, which is no IRI`)
  if (iri === '@context') refuse(name, 'stands for @context')
  const isProtected = definition['@protected'] ?? draft.protectedByDefault
  if (typeof isProtected !== 'boolean') refuse(name, 'has an @protected that is not true or false')
  const prefix = definition['@prefix'] ?? (simple && iri !== null && /[:/?#[\]@]$/.test(iri))
  if (typeof prefix !== 'boolean') refuse(name, 'has an @prefix that is not true or false')
  const type = readType(draft, name, definition['@type'])
  const container = readContainer(name, definition['@container'])
  return {
    iri,
    ...(type === undefined ? {} : { type }),
    container,
    ...('@context' in definition ? { context: definition['@context'] } : {}),
    prefix,
    reverse: reverse !== undefined,
    protected: isProtected,
    said: () => saidOf(definition, iri, type),
    keys: { property: {}, type: {} }
  }
}

/** In one form: what it stands for and not how that was written, and nothing of protection. */
function saidOf(definition: JsonObject, iri: string | null, type: string | undefined): string {
  const { '@protected': _protected, '@id': _id, '@type': _type, ...others } = definition
  return canonicalizeJson({ ...others, iri, type: type ?? null })
}

function readType(draft: Draft, name: string, type: unknown): string | undefined {
  if (type === undefined) return undefined
  if (typeof type !== 'string') refuse(name, 'has an @type that is no text')
  if (['@id', '@vocab', '@json', '@none'].includes(type)) return type
  const iri = expandIri(draft, type)
  if (iri === null || !isUrl(iri)) refuse(name, `has the @type ${shown(type)}, which is no IRI`)
  return iri
}

function readContainer(name: string, container: unknown): readonly string[] {
  if (container === undefined || container === null) return []
  const list: readonly unknown[] = Array.isArray(container) ? container : [container]
  if (list.length > 3 || !list.every((item) => typeof item === 'string' && containers.has(item)))
    refuse(name, `has the @container ${shown(container)}`)
  return list as readonly string[]
}

/**
 * What a name in a context stands for: a keyword, a term, a compact IRI, an IRI, or a name of the vocabulary; null
 * where it stands for nothing.
 */
export function expandIri(draft: Draft, name: string, isTerm = false): string | null {
  if (name.startsWith('@')) return keywords.has(name) ? name : null
  if (!isTerm) {
    if (Object.hasOwn(draft.local, name) && draft.defined.get(name) !== true)
      // By the algorithm a term that is only needed on the way overrides nothing.
      defineTerm(draft, name, false)
    const term = draft.terms.get(name)
    if (term !== undefined) return term.iri
  }
  const colon = name.indexOf(':', 1)
  if (colon > 0) {
    const prefix = name.slice(0, colon)
    const rest = name.slice(colon + 1)
    if (prefix === '_' || rest.startsWith('//')) return name
    if (Object.hasOwn(draft.local, prefix) && prefix !== name && draft.defined.get(prefix) !== true)
      defineTerm(draft, prefix, false)
    const term = draft.terms.get(prefix)
    return term?.prefix === true && term.iri !== null ? term.iri + rest : name
  }
  return draft.vocab === undefined ? null : draft.vocab + name
}

function refuse(name: string, why: string): never {
  throw new ContextProblem('STRUCTURE_INVALID', `The term ${shown(name)} of an @context ${why}`)
}
