/** Random schemas and random ways through their masks: whatever comes to an end is valid. */
import { createSeededRandom } from '@kwaai/testing'
import { Ajv2020 } from 'ajv/dist/2020.js'
import { KwaaiError, type Random } from '@kwaai/interface'
import type { GrammarVocabulary } from '../src/generate/grammar.ts'
import { compilerFor, schemaRule, walk } from './grammar-kit.ts'

/** What became of the ways. */
export interface Tally {
  finished: number
  unfinished: number
  /** Schemas that are refused: by a keyword, or since nothing can follow them. */
  refused: number
  /** Texts that are not as their schema asks, with both. */
  wrong: string[]
}

/** Takes `runs` ways through each of `schemas` schemas; those that the validator takes for none do not count. */
export async function walkSchemas(
  vocabulary: GrammarVocabulary,
  make: (random: Random) => Record<string, unknown>,
  { schemas, runs, maxTokens }: { schemas: number; runs: number; maxTokens: number }
): Promise<Tally> {
  const tally: Tally = { finished: 0, unfinished: 0, refused: 0, wrong: [] }
  using compiler = await compilerFor(vocabulary)
  const ajv = new Ajv2020({ strict: false, validateFormats: false, logger: false })
  for (let seed = 0; seed < schemas; seed++) {
    const random = createSeededRandom(`${make.name} ${seed}`)
    const schema = make(random)
    const grammar = await compiler.compile(schemaRule(schema)).catch((error: Error) => error)
    if (grammar instanceof Error) {
      if (!KwaaiError.is(grammar)) throw grammar
      tally.refused++
      continue
    }
    const validate = compiled(ajv, schema)
    if (validate === undefined) continue
    for (let run = 0; run < runs; run++) {
      const { finished, text } = walk(grammar.start(), vocabulary, random, maxTokens)
      if (!finished) tally.unfinished++
      else if (isValid(validate, text)) tally.finished++
      else tally.wrong.push(`${JSON.stringify(schema)}: ${text}`)
    }
    grammar.dispose()
  }
  return tally
}

function compiled(ajv: Ajv2020, schema: object): ((value: unknown) => boolean) | undefined {
  try {
    return ajv.compile(schema)
  } catch {
    return undefined
  }
}

function isValid(validate: (value: unknown) => boolean, text: string): boolean {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return false
  }
  try {
    return validate(value)
  } catch (error) {
    // The validator itself fails on some: it loses count of what is evaluated under oneOf.
    if (error instanceof TypeError && error.message.startsWith('Cannot set properties')) return true
    throw error
  }
}
