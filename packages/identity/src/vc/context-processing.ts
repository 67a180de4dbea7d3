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

// Contexts in contexts, by URL or in the definitions of terms: no published one has more than five.
const maxNesting = 16
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
  /** The URLs whose contexts are being looked into. */
  path?: readonly string[]
  /** A definition is only held to be processable: it may name the context that it stands in. */
  trial?: boolean
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
  const byUrl = (item: unknown): boolean => typeof item === 'string'
  if (local === null || byUrl(local) || (Array.isArray(local) && local.every(byUrl)))
    return `${override ? 'o' : ''}${propagate ? 'p' : ''}${JSON.stringify(local)}`
  return undefined
}

function process(
  active: ActiveContext,
  local: unknown,
  source: ContextSource,
  options: ProcessOptions
): ActiveContext {
  const {
    override = false,
    propagate = true,
    scoped = false,
    nesting = 0,
    path = [],
    trial = false
  } = options
  const inner = { override, scoped, nesting: nesting + 1, trial }
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
      if (trial && path.includes(item)) continue
      const document = source.find(item)
      if (document === undefined)
        throw new ContextProblem('CONTEXT_UNKNOWN', `The context ${shown(item)} is not known`)
      const content = document['@context']
      if (content === undefined)
        throw new ContextProblem('CONTEXT_UNKNOWN', `The document ${shown(item)} is no context`)
      result = process(result, content, source, { ...inner, path: [...path, item] })
    } else if (isObject(item) && item['@context'] !== undefined) {
      // A whole context document in the place of a context.
      result = process(result, item['@context'], source, { ...inner, path })
    } else if (isObject(item)) {
      const room = nesting === 0 && !scoped ? { left: roomOfInline } : result.room
      result = processObject(result, item, source, { ...inner, path, room })
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
  options: ProcessOptions & { room: { left: number } }
): ActiveContext {
  const { override = false, room } = options
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
    // Three times the work of a name in a document.
    spend(source, 3)
    defineTerm(draft, name)
    const context = draft.terms.get(name)?.context
    if (context === undefined) continue
    // Every context in a definition has to be processable, whether it is used or not.
    const { terms, vocab } = draft
    const so = { ...emptyContext({ left: 0 }), terms, ...(vocab === undefined ? {} : { vocab }) }
    process(so, context, source, { ...options, override: true, scoped: true, trial: true })
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
