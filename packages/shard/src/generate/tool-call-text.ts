import { shardError } from '../errors.ts'
import { createJsonEnd, type JsonEnd } from './json-end.ts'

/** The calls a text may hold. */
export interface CallTags {
  tags: readonly { name: string; begin: string; end: string }[]
  /** Each begin of a tag begins with one of these. */
  triggers: readonly string[]
  /** The text is nothing but calls. */
  required: boolean
  /** It is either calls or holds none: what does not begin with one is text to its end, whatever stands in it. */
  leading: boolean
}

/** A stretch of a text with calls; all of them, joined, are the text. */
export type CallSegment =
  | { kind: 'text' | 'hidden' | 'arguments'; text: string }
  | { kind: 'begin'; text: string; name: string }

/** Tells calls from the text around them. */
export interface ToolCallText {
  /**
   * Takes the next text; hands back what is told apart by now. Characters that could begin a call are held back.
   *
   * @throws A KwaaiError `ERR_GENERATE_FAILED` for what a grammar of these calls does not let in.
   */
  push(text: string): CallSegment[]
  /** No more text comes. What was held back, and turned out to begin no call, is text. */
  end(): CallSegment[]
}

/** Watches a text for calls. The result does not depend on how it is cut into pieces. */
export function createToolCallText({ tags, triggers, required, leading }: CallTags): ToolCallText {
  let state: 'text' | 'begin' | 'arguments' | 'end' | 'plain' = 'text'
  let called = false
  let held = ''
  let json: JsonEnd = createJsonEnd()
  let end = ''

  /** One step of the way: a segment that is complete, or undefined where more text is needed. */
  const step = (): CallSegment | undefined => {
    if (state === 'plain') return cut('text', held.length)
    if (state === 'text') {
      if (leading && !called && !triggers.some((trigger) => meet(held, trigger))) return plain()
      const at = firstOf(held, triggers)
      if (at === 0) {
        state = 'begin'
        return step()
      }
      return cut('text', at ?? held.length - openTail(held, triggers))
    }
    if (state === 'begin') {
      const tag = tags.find(({ begin }) => held.startsWith(begin))
      if (tag !== undefined) {
        state = 'arguments'
        called = true
        json = createJsonEnd()
        end = tag.end
        held = held.slice(tag.begin.length)
        return { kind: 'begin', text: tag.begin, name: tag.name }
      }
      if (tags.some(({ begin }) => begin.startsWith(held))) return undefined
      if (leading && !called) return plain()
      throw unexpected()
    }
    if (state === 'arguments') {
      const { length, ended } = json.push(held)
      if (ended) state = 'end'
      return cut('arguments', length) ?? (ended ? step() : undefined)
    }
    if (!held.startsWith(end)) {
      if (!end.startsWith(held)) throw unexpected()
      return undefined
    }
    state = 'text'
    return cut('hidden', end.length)
  }

  const plain = (): CallSegment | undefined => {
    state = 'plain'
    return step()
  }
  const cut = (kind: 'text' | 'hidden' | 'arguments', length: number): CallSegment | undefined => {
    if (length === 0) return undefined
    const text = held.slice(0, length)
    held = held.slice(length)
    return { kind, text }
  }

  return {
    push(text) {
      held += text
      const segments: CallSegment[] = []
      for (let next = step(); next !== undefined; next = held === '' ? undefined : step()) segments.push(next)
      return segments
    },
    end() {
      const shown = state === 'text' && !required
      const rest = cut(shown ? 'text' : 'hidden', held.length)
      return rest === undefined ? [] : [rest]
    }
  }
}

/** True where one text is the beginning of the other. */
function meet(a: string, b: string): boolean {
  return a.startsWith(b) || b.startsWith(a)
}

/** Where the first of some patterns begins in a text. */
function firstOf(text: string, patterns: readonly string[]): number | undefined {
  const places = patterns.map((pattern) => text.indexOf(pattern)).filter((at) => at !== -1)
  return places.length === 0 ? undefined : Math.min(...places)
}

/** The length of the longest end of a text with which a pattern begins. */
function openTail(text: string, patterns: readonly string[]): number {
  let longest = 0
  for (const pattern of patterns) {
    for (let length = Math.min(pattern.length - 1, text.length); length > longest; length--) {
      if (text.endsWith(pattern.slice(0, length))) longest = length
    }
  }
  return longest
}

function unexpected(): Error {
  return shardError('ERR_GENERATE_FAILED', 'Cannot go on: what the model wrote is no call of a function')
}
