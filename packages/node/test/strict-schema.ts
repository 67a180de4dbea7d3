import type { Random } from '@kwaai/interface'
import { createSeededRandom } from '@kwaai/testing'
import { Ajv2020 } from 'ajv/dist/2020.js'
import type OpenAI from 'openai'

type Schema = Record<string, unknown>

/** What became of generations under schemas of their own. */
export interface StrictTally {
  finished: number
  /** Cut off at the limit of tokens. */
  cut: number
  /** Finished and not what the schema asks for, in words. */
  invalid: string[]
}

const names = [
  'name',
  'größe',
  '名前',
  'price_€',
  'is ok',
  'a.b',
  'Δ',
  'emoji🌍',
  'x',
  'tags',
  'kind',
  'note"s'
]
const words = ['red', 'grün', '青', 'blå', '🌍', 'a "quoted" word', 'tab\tbed', 'ümläut', 'yes', 'no', '']

/** A schema of an object as OpenAI's strict mode has them: every string and every array has an end. */
export function randomSchema(random: Random): Schema {
  const below = (count: number): number => Math.floor(random.next() * count)
  const pick = <T>(from: readonly T[]): T => from[below(from.length)] as T
  const some = <T>(from: readonly T[], count: number): T[] => {
    const left = [...from]
    return Array.from({ length: count }, () => left.splice(below(left.length), 1)[0] as T)
  }
  const leaf = (): Schema =>
    pick<() => Schema>([
      () => ({ type: 'string', maxLength: 24 }),
      () => ({ type: 'string', minLength: 1 + below(4), maxLength: 8 + below(17) }),
      () => ({ type: 'string', enum: some(words, 1 + below(4)) }),
      () => {
        const minimum = below(200) - 100
        return { type: 'integer', minimum, maximum: minimum + below(1_000) }
      },
      () => {
        const minimum = below(200) - 100
        return { type: 'number', minimum, maximum: minimum + 1 + below(1_000) }
      },
      () => ({ type: 'boolean' }),
      () => ({ anyOf: [{ type: 'string', maxLength: 24 }, { type: 'null' }] })
    ])()
  const value = (depth: number): Schema => {
    const kind = random.next()
    if (depth > 0 && kind < 0.2) return object(depth - 1)
    if (depth > 0 && kind < 0.4) {
      const minItems = below(3)
      return { type: 'array', items: value(depth - 1), minItems, maxItems: minItems + below(4 - minItems) }
    }
    return leaf()
  }
  const object = (depth: number): Schema => {
    const own = some(names, 1 + below(4))
    return {
      type: 'object',
      properties: Object.fromEntries(own.map((name) => [name, value(depth)])),
      required: own,
      additionalProperties: false
    }
  }
  return object(2)
}

/** Generates `count` objects, eight at a time, each under a schema of its own, as wildly as the API allows. */
export async function generateStrictly(
  client: OpenAI,
  model: string,
  count: number,
  seed: string
): Promise<StrictTally> {
  const random = createSeededRandom(seed)
  const tasks = Array.from({ length: count }, (_, index) => ({ schema: randomSchema(random), index }))
  const tally: StrictTally = { finished: 0, cut: 0, invalid: [] }
  const ajv = new Ajv2020({ strict: false, allErrors: true })
  const worker = async (): Promise<void> => {
    for (let task = tasks.shift(); task !== undefined; task = tasks.shift()) {
      const { schema, index } = task
      const { choices } = await client.chat.completions.create({
        model,
        messages: [{ role: 'user', content: 'Give me an example.' }],
        temperature: 1.5,
        seed: index,
        max_tokens: 400,
        response_format: { type: 'json_schema', json_schema: { name: 'example', strict: true, schema } }
      })
      const text = choices[0]?.message.content ?? ''
      if (choices[0]?.finish_reason === 'length') {
        tally.cut++
        continue
      }
      tally.finished++
      const problem = problemOf(ajv, schema, text)
      if (problem !== undefined) tally.invalid.push(`${problem}: ${text} under ${JSON.stringify(schema)}`)
    }
  }
  await Promise.all(Array.from({ length: 8 }, worker))
  return tally
}

function problemOf(ajv: Ajv2020, schema: Schema, text: string): string | undefined {
  try {
    return ajv.validate(schema, JSON.parse(text)) ? undefined : ajv.errorsText()
  } catch (error) {
    return String(error)
  }
}
