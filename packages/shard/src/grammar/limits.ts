import { shardError } from '../errors.ts'

/** Bounds of what a grammar may cost. */
export interface GrammarLimits {
  /** Bytes of a schema or a grammar as text. Default 65,536. */
  textBytes: number
  /** How deep a schema may nest. Default 64. */
  depth: number
  /** Rules a grammar may have, those made of its patterns and counts included. Default 10,000. */
  rules: number
  /** Ways in which the `anyOf`, `oneOf` and `allOf` of one place may be combined. Default 256. */
  alternatives: number
  /** Steps of the program a grammar becomes, 1,000,000 at most. Default 400,000. */
  steps: number
  /** Elementary steps of checks at compile time: values of an `enum`, states of a pattern. Default 1,000,000. */
  work: number
  /** The largest lower bound of a length or a count; higher upper bounds mean this one. Default and most 1,000,000. */
  repetitions: number
  /** Places of its grammar a text may be at at once. Default 2,000. */
  positions: number
  /** Places that are looked at while one mask is made. Default 500,000: ten times what large schemas take. */
  maskWork: number
  /** States a compiled grammar remembers; it makes them anew where they are gone. Default 4,096. */
  states: number
  /** Masks a compiled grammar remembers. Default 256. */
  masks: number
  /** Compiled grammars a compiler remembers, fewer where they have more than `steps` together. Default 16. */
  grammars: number
}

/** The bounds where none are given. */
export const defaultGrammarLimits: GrammarLimits = {
  textBytes: 65_536,
  depth: 64,
  rules: 10_000,
  alternatives: 256,
  steps: 400_000,
  work: 1_000_000,
  repetitions: 1_000_000,
  positions: 2_000,
  maskWork: 500_000,
  states: 4_096,
  masks: 256,
  grammars: 16
}

// Steps and counts are written into one number with what they belong to.
const most: Partial<GrammarLimits> = { steps: 1_000_000, repetitions: 1_000_000 }

/**
 * The limits of an engine.
 *
 * @throws A KwaaiError `ERR_SHARD_INVALID_INIT` for one that is no whole number, or out of range.
 */
export function grammarLimits(own: Partial<GrammarLimits> = {}): GrammarLimits {
  const limits = { ...defaultGrammarLimits, ...own }
  for (const [name, value] of Object.entries(limits)) {
    const max = most[name as keyof GrammarLimits] ?? Number.MAX_SAFE_INTEGER
    if (Number.isSafeInteger(value) && value >= 1 && value <= max) continue
    throw shardError('ERR_SHARD_INVALID_INIT', `limits.${name} has to be a whole number from 1 to ${max}`)
  }
  return limits
}
