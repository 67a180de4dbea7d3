/** Random schemas and random ways through their masks: whatever comes to an end is valid. */
import { createSeededRandom } from '@kwaai/testing'
import { Ajv2020 } from 'ajv/dist/2020.js'
import type { GrammarVocabulary } from '../src/generate/grammar.ts'
import { compilerFor, schemaRule, walk } from './grammar-kit.ts'
import { randomSchema } from './grammar-schemas.ts'

/** What became of the ways. */
export interface Tally {
  finished: number
  unfinished: number
  /** Schemas that nothing can follow, such as a whole number between 0.2 and 0.8. */
  unsatisfiable: number
  /** Texts that are not as their schema asks, with both. */
  wrong: string[]
}

/** Takes `runs` ways through each of `schemas` schemas. */
export async function walkSchemas(
  vocabulary: GrammarVocabulary,
  name: string,
  { schemas, runs, maxTokens }: { schemas: number; runs: number; maxTokens: number }
): Promise<Tally> {
  const tally: Tally = { finished: 0, unfinished: 0, unsatisfiable: 0, wrong: [] }
  using compiler = await compilerFor(vocabulary)
  const ajv = new Ajv2020({ strict: false, validateFormats: false })
  for (let seed = 0; seed < schemas; seed++) {
    const random = createSeededRandom(`${name} ${seed}`)
    const schema = randomSchema(random)
    const validate = ajv.compile(schema)
    const grammar = await compiler.compile(schemaRule(schema)).catch((error: Error) => error)
    if (grammar instanceof Error) {
      if (!grammar.message.startsWith('Nothing can follow')) throw grammar
      tally.unsatisfiable++
      continue
    }
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

function isValid(validate: (value: unknown) => boolean, text: string): boolean {
  try {
    return validate(JSON.parse(text))
  } catch {
    return false
  }
}
