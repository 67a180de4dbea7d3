import { bundledContexts } from '../contexts/bundled.ts'
import type { JsonObject } from '../json.ts'
import {
  ContextProblem,
  emptyContext,
  remember,
  shown,
  spend,
  type ActiveContext,
  type ContextSource,
  type Term,
  type TermFault
} from './active-context.ts'
import { processContext } from './context-processing.ts'
import { checkReservedName } from './reserved-names.ts'
import { isObject } from './shape.ts'
import { isUrl } from './url.ts'
import { languageValueFault, valueObjectFault } from './value-object.ts'

/** Contexts by URL, besides the bundled ones. */
export type ExtraContexts = Readonly<Record<string, Readonly<Record<string, unknown>>>>

// Steps for one document: a name in it is one, a definition in its contexts three. Own choice: half a second at most,
// and enough for a document of a megabyte.
const maxWork = 100_000
const roomOfRoot = 2_000
const names = new Set(['https://schema.org/name', 'https://schema.org/description'])

const noExtra: ExtraContexts = {}
const roots = new WeakMap<ExtraContexts, ActiveContext>()

/** Where contexts made before are found. Begun anew when it is full, or whoever fills it would slow all others down. */
function rootOf(extra: ExtraContexts): ActiveContext {
  const known = roots.get(extra)
  if (known !== undefined && known.room.left > 0) return known
  const root = emptyContext({ left: roomOfRoot })
  roots.set(extra, root)
  return root
}

/**
 * Holds a document to its contexts: each is known, none redefines a protected term, and every name and type in the
 * document is declared by one. What is below the names in `skip` is not looked at. It takes no more steps than `work` has, and adds
 * those that it took; where they were not enough, one more than that at least.
 *
 * Contexts that were made are kept by the identity of `extra`: do not change it once it was given.
 */
export function checkTerms(
  document: JsonObject,
  extra: ExtraContexts = noExtra,
  skip: ReadonlySet<string> = new Set(),
  work: { most: number; taken: number } = { most: maxWork, taken: 0 }
): TermFault | undefined {
  const most = Math.min(work.most, maxWork)
  const source: ContextSource = {
    budget: { left: most },
    find: (url) =>
      bundledContexts.get(url) ?? (Object.hasOwn(extra, url) ? (extra[url] as JsonObject) : undefined)
  }
  try {
    checkObject({ source, skip, document }, document, rootOf(extra), undefined)
    return undefined
  } catch (error) {
    if (error instanceof ContextProblem) return error.fault
    // Scoped contexts that name each other can be deeper than the stack; nothing else here can throw.
    if (error instanceof RangeError)
      return { code: 'STRUCTURE_INVALID', message: 'The document and its contexts are nested too deep' }
    throw error
  } finally {
    work.taken += most - source.budget.left
  }
}

interface Walk {
  source: ContextSource
  skip: ReadonlySet<string>
  document: JsonObject
  /** The IRI that the document has as its id. */
  id?: string
}

/** What the members of one object share. */
interface Within {
  active: ActiveContext
  /** The context without those of the object's types, which its types are read by. */
  untyped: ActiveContext
  types: readonly string[]
  /** The keywords that were said. */
  seen: Set<string>
  /** It is not the document, and has its id. */
  again: boolean
}

/** An object of a document, below the property that `property` is the term of. */
function checkObject(walk: Walk, object: JsonObject, outer: ActiveContext, property: Term | undefined): void {
  spend(walk.source, 1)
  const keys = Object.keys(object)
  let active = outer
  if (active.previous !== undefined && !isValueOrReference(object, keys, active)) active = active.previous
  if (property !== undefined && 'context' in property) active = scoped(walk, active, property, true)
  const local = object['@context']
  if (local !== undefined) active = processContext(active, local, walk.source)
  const { active: typed, types } = applyTypes(walk, object, keys, active)
  if (keys.some((key) => keywordOf(key, typed) === '@value')) {
    const fault = valueObjectFault(object)
    if (fault !== undefined)
      throw new ContextProblem('STRUCTURE_INVALID', `The document has a value of which ${fault}`)
    return
  }
  const id = idIn(object, keys, typed)
  const isDocument = object === walk.document
  if (isDocument && id !== undefined) walk.id = id
  const again = !isDocument && id !== undefined && id === walk.id
  const within: Within = { active: typed, untyped: active, types, seen: new Set(), again }
  for (const key of keys) {
    if (key === '@context') continue
    spend(walk.source, 1)
    checkMember(walk, key, object[key], within)
  }
}

/** The IRI of an object. */
function idIn(object: JsonObject, keys: readonly string[], active: ActiveContext): string | undefined {
  const key = keys.find((name) => keywordOf(name, active) === '@id')
  const id = key === undefined ? undefined : object[key]
  return typeof id === 'string' ? expandCompact(id, active) : undefined
}

/** What an object of one value or one reference has; for it the context of the object above goes on. */
function isValueOrReference(object: JsonObject, keys: readonly string[], active: ActiveContext): boolean {
  return (
    (keys.length === 1 && keywordOf(keys[0] as string, active) === '@id') ||
    keys.some((key) => keywordOf(key, active) === '@value') ||
    object['@value'] !== undefined
  )
}

/** The keyword a name is or stands for. */
function keywordOf(key: string, active: ActiveContext): string | undefined {
  if (key.startsWith('@')) return key
  const iri = active.terms.get(key)?.iri
  return iri?.startsWith('@') === true ? iri : undefined
}

/** The context after those of the object's types, in the order of their names. */
function applyTypes(
  walk: Walk,
  object: JsonObject,
  keys: readonly string[],
  active: ActiveContext
): { active: ActiveContext; types: readonly string[] } {
  let result = active
  const all: string[] = []
  for (const key of keys) {
    if (keywordOf(key, active) !== '@type') continue
    const value: unknown = object[key]
    const types: readonly unknown[] = Array.isArray(value) ? value : [value]
    for (const type of types) {
      if (typeof type !== 'string')
        throw new ContextProblem('STRUCTURE_INVALID', `The type ${shown(type)} is no text`)
      all.push(type)
    }
  }
  for (const type of all.length > 1 ? all.toSorted() : all) {
    const term = active.terms.get(type)
    if (term !== undefined && 'context' in term) result = scoped(walk, result, term, false)
  }
  return { active: result, types: all }
}

function scoped(walk: Walk, active: ActiveContext, term: Term, ofProperty: boolean): ActiveContext {
  const key = ofProperty ? term.keys.property : term.keys.type
  const made = active.derived.get(key)
  if (made !== undefined) return made
  const options = ofProperty ? { override: true, scoped: true } : { propagate: false, scoped: true }
  return remember(active, key, processContext(active, term.context, walk.source, options))
}

function checkMember(walk: Walk, key: string, value: unknown, within: Within): void {
  const { active, seen, again } = within
  const keyword = keywordOf(key, active)
  if (keyword !== undefined) {
    if (seen.has(keyword))
      throw new ContextProblem('STRUCTURE_INVALID', `An object says ${shown(keyword)} under two names`)
    seen.add(keyword)
    checkKeyword(walk, keyword, key, value, within)
    return
  }
  const term = active.terms.get(key)
  const iri = term === undefined ? expandName(key, active) : term.iri
  if (iri === null) throw new ContextProblem('TERM_UNDECLARED', `No context declares the name ${shown(key)}`)
  checkReservedName(key, iri, again)
  if (names.has(iri)) {
    const fault = languageValueFault(value)
    if (fault !== undefined)
      throw new ContextProblem('STRUCTURE_INVALID', `The value of ${shown(key)} ${fault}`)
    return
  }
  if (term?.type === '@json' || walk.skip.has(key)) return
  checkValue(walk, value, active, term)
}

function checkKeyword(
  walk: Walk,
  keyword: string,
  key: string,
  value: unknown,
  { active, untyped, types }: Within
): void {
  switch (keyword) {
    case '@id':
      if (!isUrl(value))
        throw new ContextProblem('STRUCTURE_INVALID', `The ${key} ${shown(value)} is not one URL`)
      return
    case '@type':
      for (const type of types) {
        const iri = expandName(type, untyped)
        if (iri === null || !isUrl(iri))
          throw new ContextProblem('TERM_UNDECLARED', `No context declares the type ${shown(type)}`)
      }
      return
    case '@list':
    case '@set':
      checkValue(walk, value, active, undefined)
      return
    default:
      throw new ContextProblem('TERM_UNDECLARED', `The name ${shown(key)} is not supported here`)
  }
}

/** The IRI of a name or type: of a term, a compact IRI, an IRI, or a name of the vocabulary. */
function expandName(name: string, active: ActiveContext): string | null {
  const term = active.terms.get(name)
  if (term !== undefined) return term.iri
  if (name.indexOf(':') > 0) {
    const iri = expandCompact(name, active)
    return isUrl(iri) ? iri : null
  }
  return active.vocab === undefined || name === '' ? null : active.vocab + name
}

/** The IRI that a compact one stands for; any other text as it is. */
function expandCompact(text: string, active: ActiveContext): string {
  const colon = text.indexOf(':')
  const rest = text.slice(colon + 1)
  // With these it is no compact IRI, whatever the prefix is said to be (JSON-LD 1.1 API, section 5.2.2, step 6.2).
  if (colon < 1 || rest.startsWith('//') || text.startsWith('_:')) return text
  const prefix = active.terms.get(text.slice(0, colon))
  return prefix?.prefix === true && prefix.iri !== null ? prefix.iri + rest : text
}

function checkValue(walk: Walk, value: unknown, active: ActiveContext, term: Term | undefined): void {
  if (Array.isArray(value)) {
    for (const item of value as readonly unknown[]) checkValue(walk, item, active, term)
    return
  }
  if (!isObject(value)) return
  const container = term?.container
  if (container === undefined || container.length === 0) {
    checkObject(walk, value, active, term)
  } else if (container.includes('@language')) {
    for (const text of Object.values(value)) {
      const fault = languageValueFault(text ?? '')
      if (fault !== undefined)
        throw new ContextProblem('STRUCTURE_INVALID', `A value of a language map ${fault}`)
    }
  } else if (container.includes('@index') || container.includes('@id') || container.includes('@type')) {
    spend(walk.source, 1)
    for (const [name, item] of Object.entries(value)) {
      if (!container.includes('@index') && name !== '@none' && expandName(name, active) === null)
        throw new ContextProblem('TERM_UNDECLARED', `No context declares ${shown(name)}`)
      checkValue(walk, item, active, withoutMap(term as Term))
    }
  } else {
    checkObject(walk, value, active, term)
  }
}

function withoutMap(term: Term): Term {
  return { ...term, container: [] }
}
