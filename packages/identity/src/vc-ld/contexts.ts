import { bundledContexts } from '../contexts/bundled.ts'
import { ERR_IDENTITY_NOT_CANONICAL, identityError } from '../errors.ts'

/** Contexts that a caller knows besides the bundled ones, by URL: the JSON-LD context documents. */
export type KnownContexts = Readonly<Record<string, Readonly<Record<string, unknown>>>>

/** What a JSON-LD processor takes from a document loader. */
export interface LoadedDocument {
  contextUrl: null
  documentUrl: string
  document: unknown
  /** `static` lets the processor keep the context between documents. */
  tag?: 'static'
}

function refuse(why: string): never {
  throw identityError(ERR_IDENTITY_NOT_CANONICAL, `Cannot canonicalise the document: ${why}`)
}

/** Serves the contexts that are known. It never fetches: what is not known is an error. */
export function createContextLoader(contexts: KnownContexts = {}): (url: string) => Promise<LoadedDocument> {
  return async (url) => {
    const bundled = bundledContexts.get(url)
    if (bundled !== undefined) return { contextUrl: null, documentUrl: url, document: bundled, tag: 'static' }
    // A processor may write into what it is given. No tag: another caller may know another document under this URL.
    if (Object.hasOwn(contexts, url)) {
      return { contextUrl: null, documentUrl: url, document: structuredClone(contexts[url]) }
    }
    return refuse(`the context ${shown(url)} is not known, and none is fetched`)
  }
}

/** What a document may hold before a JSON-LD processor sees it. */
export interface LinkedDataLimits {
  /** Most objects and array items. */
  maxNodes: number
  /** Most characters of names and strings together. */
  maxCharacters: number
}

/** Own choice: credentials have some dozen nodes and a few kilobytes. */
export const defaultLimits: LinkedDataLimits = { maxNodes: 4096, maxCharacters: 2 ** 18 }

/**
 * Holds a document to the limits, and every context that it names by URL, at any depth, to those known. The
 * processor would find out too, but not before it has worked, and it takes a text that is the JSON of a context it
 * has seen for that context.
 *
 * @throws A KwaaiError `ERR_IDENTITY_NOT_CANONICAL`.
 */
export function checkLinkedData(document: unknown, contexts: KnownContexts, limits: LinkedDataLimits): void {
  let nodes = 0
  let characters = 0
  const known = (url: string): boolean => bundledContexts.has(url) || Object.hasOwn(contexts, url)
  const count = (text: string): void => {
    characters += text.length
    if (characters > limits.maxCharacters) refuse(`it has more than ${limits.maxCharacters} characters`)
  }
  const visit = (value: unknown, isContext: boolean, depth: number): void => {
    if (depth > 64) refuse('it is nested deeper than 64')
    if (typeof value === 'string') {
      count(value)
      if (isContext && !known(value)) refuse(`the context ${shown(value)} is not known, and none is fetched`)
      return
    }
    if (typeof value !== 'object' || value === null) return
    if (++nodes > limits.maxNodes) refuse(`it has more than ${limits.maxNodes} objects and lists`)
    if (Array.isArray(value)) {
      nodes += value.length
      for (const item of value) visit(item, isContext, depth + 1)
      return
    }
    for (const [name, member] of Object.entries(value)) {
      count(name)
      visit(member, name === '@context' || name === '@import', depth + 1)
    }
  }
  visit(document, false, 0)
}

function shown(text: string): string {
  return JSON.stringify(text.length > 120 ? `${text.slice(0, 120)}…` : text)
}
