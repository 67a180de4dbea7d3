import type { JsonObject } from '../json.ts'

/** What a name in a document stands for (JSON-LD 1.1, section 4.1, term definitions). */
export interface Term {
  /** The IRI or keyword; null where a context says that the name means nothing. */
  iri: string | null
  /** `@id`, `@vocab`, `@json`, `@none` or the IRI of a data type. */
  type?: string
  container: readonly string[]
  /** A context for what stands below (property-scoped) or for the object of this type (type-scoped). */
  context?: unknown
  /** A name may be the first half of a compact IRI. */
  prefix: boolean
  reverse: boolean
  protected: boolean
  /** All that was said of it, to tell a repetition from a redefinition. */
  said(): string
  /** What the contexts made with its own are remembered by, where it is a property and where it is a type. */
  keys: { property: object; type: object }
}

/** The names that are known at one place of a document. Never changed once it is made. */
export interface ActiveContext {
  readonly terms: ReadonlyMap<string, Term>
  /** What is put before names that have no term. */
  readonly vocab?: string
  /** What holds below again, where this one is for one object only. */
  readonly previous?: ActiveContext
  readonly hasProtected: boolean
  /** Contexts made from this one before, by where they came from. */
  readonly derived: Map<unknown, ActiveContext>
  /** How many more may be kept, of all that come from one root. */
  readonly room: { left: number }
}

/** Nothing is known yet. */
export function emptyContext(room: { left: number }, previous?: ActiveContext): ActiveContext {
  return {
    terms: new Map(),
    hasProtected: false,
    derived: new Map(),
    room,
    ...(previous === undefined ? {} : { previous })
  }
}

/** Where contexts are looked up, and how much work may still be done for one document. */
export interface ContextSource {
  find(url: string): JsonObject | undefined
  /** Counts down; at 0 the document is refused. */
  budget: { left: number }
}

/** What is wrong with a document or its contexts. */
export interface TermFault {
  code: 'STRUCTURE_INVALID' | 'CONTEXT_UNKNOWN' | 'TERM_UNDECLARED'
  message: string
}

/** Carries a fault out of the depth of a document; caught at the door of the term check. */
export class ContextProblem extends Error {
  readonly fault: TermFault
  constructor(code: TermFault['code'], message: string) {
    super(message)
    this.fault = { code, message }
  }
}

/** Pays for work. */
export function spend(source: ContextSource, steps: number): void {
  source.budget.left -= steps
  if (source.budget.left < 0)
    throw new ContextProblem('STRUCTURE_INVALID', 'The document and its contexts are too large to be checked')
}

/** A text from outside, cut for a message. */
export function shown(value: unknown): string {
  const text = typeof value === 'string' ? value : (JSON.stringify(value) ?? typeof value)
  return JSON.stringify(text.length > 80 ? `${text.slice(0, 80)}…` : text)
}

/** Keeps a context that may be needed again, while there is room. */
export function remember(active: ActiveContext, key: unknown, made: ActiveContext): ActiveContext {
  if (active.room.left > 0) {
    active.room.left--
    active.derived.set(key, made)
  }
  return made
}
