import type { JsonSchema } from './served-schema.ts'

/** What holds between the fields of a request, as far as JSON Schema can say it. */

const given = (name: string, schema: JsonSchema = { not: { type: 'null' } }): JsonSchema => ({
  required: [name],
  properties: { [name]: schema }
})

// With the words `if` and `then` it would be an object that can be awaited.
const implies = (condition: JsonSchema, conclusion: JsonSchema): JsonSchema => ({
  anyOf: [{ not: condition }, conclusion]
})

/** `stream_options` is for streams. */
export const streamOptionsRule: JsonSchema = implies(
  given('stream_options'),
  given('stream', { const: true })
)

/** `top_logprobs` needs `logprobs`. */
export const topLogprobsRule: JsonSchema = implies(
  given('top_logprobs', { type: 'integer', minimum: 1 }),
  given('logprobs', { const: true })
)

/** `tool_choice` can ask for a call only where there are tools. */
export const toolChoiceRule: JsonSchema = implies(
  given('tool_choice', { not: { enum: ['none', 'auto', null] } }),
  given('tools', { type: 'array', minItems: 1 })
)

/** A response answers something: its input, or what a kept one ended with. */
export const inputRule: JsonSchema = implies(
  given('input', { type: 'array', maxItems: 0 }),
  given('previous_response_id')
)

/** `echo` repeats a prompt that is text, without probabilities. */
export const echoRule: JsonSchema = implies(given('echo', { const: true }), {
  properties: {
    logprobs: { type: 'null' },
    prompt: { anyOf: [{ type: 'string' }, { type: 'array', items: { type: 'string' } }] }
  }
})
