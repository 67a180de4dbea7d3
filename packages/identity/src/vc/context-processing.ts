import type { JsonObject } from '../json.ts'
import {
  ContextProblem,
  emptyContext,
  remember,
  shown,
  spend,
  type ActiveContext,
  type ContextSource
} from './active-context.ts'
import { isObject } from './shape.ts'
import { defineTerm, expandIri, type Draft } from './term-definition.ts'

// A context may name contexts: no published one does so more than once.
const maxNesting = 4
const maxContextsInList = 64
// Contexts kept for one document that has inline contexts; they go with it.
const roomOfInline = 200

/** How a context is taken. */
export interface ProcessOptions {
  /** A property-scoped context may redefine protected terms. */
  override?: boolean
  /** False for type-scoped contexts: they hold for one object and not below it. */
  propagate?: boolean
  /** It stands in the definition of a term, not in the document. */
  scoped?: boolean
  nesting?: number
}

/**
 * The names known after a context (JSON-LD 1.1 API, section 4.1, without fetching anything).
 *
 * @throws A ContextProblem: a context that is not known, malformed, or redefines a protected term.
 */
export function processContext(
  active: ActiveContext,
  local: unknown,
  source: ContextSource,
  options: ProcessOptions = {}
): ActiveContext {
  const key = cacheKey(local, options)
  const made = key === undefined ? undefined : active.derived.get(key)
  if (made !== undefined) return made
  const result = process(active, local, source, options)
  return key === undefined ? result : remember(active, key, result)
}

/** Contexts that are named by URL are the same each time. */
function cacheKey(
  local: unknown,
  { override = false, propagate = true }: ProcessOptions
): string | undefined {
  const mode = `${override ? 'o' : ''}${propagate ? 'p' : ''} `
  if (local === null) return `${mode}null`
  if (typeof local === 'string') return mode + local
  if (Array.isArray(local) && local.every((item) => typeof item === 'string')) return mode + local.join(' ')
  return undefined
}

function process(
  active: ActiveContext,
  local: unknown,
  source: ContextSource,
  { override = false, propagate = true, scoped = false, nesting = 0 }: ProcessOptions
): ActiveContext {
  if (nesting > maxNesting) throw new ContextProblem('STRUCTURE_INVALID', 'The contexts are nested too deep')
  const list = Array.isArray(local) ? (local as readonly unknown[]) : [local]
  if (list.length > maxContextsInList)
    throw new ContextProblem('STRUCTURE_INVALID', `An @context has more than ${maxContextsInList} items`)
  const said = !Array.isArray(local) && isObject(local) ? local['@propagate'] : undefined
  if (said !== undefined && typeof said !== 'boolean')
    throw new ContextProblem(
      'STRUCTURE_INVALID',
      'The value of @propagate in an @context is not true or false'
    )
  const kept = said ?? propagate
  let result = active
  if (!kept && active.previous === undefined) result = { ...active, previous: active, derived: new Map() }
  for (const item of list) {
    if (item === null) {
      if (!override && result.hasProtected)
        throw new ContextProblem('STRUCTURE_INVALID', 'An @context of null would drop protected terms')
      result = emptyContext(result.room, kept ? undefined : active)
    } else if (typeof item === 'string') {
      const document = source.find(item)
      if (document === undefined)
        throw new ContextProblem('CONTEXT_UNKNOWN', `The context ${shown(item)} is not known`)
      const inner = document['@context']
      if (inner === undefined)
        throw new ContextProblem('CONTEXT_UNKNOWN', `The document ${shown(item)} is no context`)
      result = process(result, inner, source, { override, scoped, nesting: nesting + 1 })
    } else if (isObject(item) && item['@context'] !== undefined) {
      // A whole context document in the place of a context.
      result = process(result, item['@context'], source, { override, scoped, nesting: nesting + 1 })
    } else if (isObject(item)) {
      const inline = nesting === 0 && !scoped
      result = processObject(result, item, source, override, inline ? { left: roomOfInline } : result.room)
    } else {
      throw new ContextProblem('STRUCTURE_INVALID', `An @context has ${shown(item)}: neither URL nor object`)
    }
  }
  return result
}

function processObject(
  active: ActiveContext,
  local: JsonObject,
  source: ContextSource,
  override: boolean,
  room: { left: number }
): ActiveContext {
  spend(source, active.terms.size + 1)
  const draft: Draft = {
    terms: new Map(active.terms),
    vocab: active.vocab,
    local,
    defined: new Map(),
    override,
    protectedByDefault: false,
    source
  }
  for (const [name, value] of Object.entries(local)) {
    if (!name.startsWith('@')) continue
    switch (name) {
      case '@version':
        if (value !== 1.1)
          throw new ContextProblem('STRUCTURE_INVALID', 'The @version of an @context is not 1.1')
        break
      case '@vocab':
        draft.vocab = readVocab(value, draft)
        break
      case '@protected':
        if (typeof value !== 'boolean')
          throw new ContextProblem('STRUCTURE_INVALID', 'The value of @protected is not true or false')
        draft.protectedByDefault = value
        break
      case '@base':
      case '@language':
      case '@direction':
      case '@propagate':
      case '@type':
        break
      default:
        throw new ContextProblem(
          'STRUCTURE_INVALID',
          `An @context has ${shown(name)}, which is not supported`
        )
    }
  }
  for (const name of Object.keys(local)) {
    if (name.startsWith('@')) continue
    spend(source, 1)
    defineTerm(draft, name)
  }
  let hasProtected = active.hasProtected
  if (!hasProtected) for (const term of draft.terms.values()) hasProtected ||= term.protected
  return {
    terms: draft.terms,
    hasProtected,
    derived: new Map(),
    room,
    ...(draft.vocab === undefined ? {} : { vocab: draft.vocab }),
    ...(active.previous === undefined ? {} : { previous: active.previous })
  }
}

function readVocab(value: unknown, draft: Draft): string | undefined {
  if (value === null) return undefined
  const iri = typeof value === 'string' && value !== '' ? expandIri(draft, value) : null
  if (iri === null || iri.startsWith('@'))
    throw new ContextProblem('STRUCTURE_INVALID', `The @vocab ${shown(value)} of an @context is no IRI`)
  return iri
}
