import * as z from 'zod'
import { refusalOfIssue, servedAs, untilFirst } from '../parsing.ts'
import { invalid, unsupported } from '../refusals.ts'
import { MAX_INPUT_ITEMS } from './constants.ts'
import { itemId } from './ids.ts'
import type { ConversationItem, OutputMessageItem } from './objects.ts'

/** An item that is not repeated but named: it stands in a stored response. */
export interface ItemReference {
  type: 'item_reference'
  id: string
  /** Where the request has it, for a refusal. */
  at: string
}

/** The items of a request. */
export interface ParsedInput {
  items: (ConversationItem | ItemReference)[]
  /** What nobody here knows or needs. */
  ignored: readonly string[]
}

// Shapes and lengths from OpenAI's published description (InputItem and what it names, 2.3.0).
const id = z.string().min(1).max(128)
const callId = z.string().min(1).max(64)
const content = z.union([z.string(), z.array(z.looseObject({ type: z.string() })).min(1)], {
  error: 'expected a string or an array of content parts'
})
type Content = z.infer<typeof content>

const message = z.object({
  type: z.literal('message').nullish(),
  role: z.enum(['user', 'assistant', 'system', 'developer']),
  content,
  id: id.nullish(),
  status: z.unknown().optional(),
  phase: z.unknown().optional()
})
const functionCall = z.object({
  type: z.literal('function_call'),
  call_id: callId,
  name: z.string().min(1).max(128),
  arguments: z.string(),
  id: id.nullish(),
  status: z.unknown().optional()
})
const functionCallOutput = z.object({
  type: z.literal('function_call_output'),
  call_id: callId,
  output: content,
  id: id.nullish(),
  status: z.unknown().optional()
})
const reference = z.object({ type: z.literal('item_reference').nullish(), id })

// What a part may carry without effect; our own answers contain the first two.
const partFields = new Set(['type', 'text', 'refusal', 'annotations', 'logprobs', 'prompt_cache_breakpoint'])

// What {@link parseInput} takes, as one schema for the description.
const textPart = z.object({ type: z.enum(['input_text', 'output_text', 'text']), text: z.string() })
const refusalPart = z.object({ type: z.literal('refusal'), refusal: z.string() })
const texts = z.union([z.string(), z.array(textPart).min(1)])
const servedItem = z.union([
  message.extend({ role: z.enum(['user', 'system', 'developer']), content: texts }),
  message.extend({
    role: z.literal('assistant'),
    content: z.union([z.string(), z.array(z.union([textPart, refusalPart])).min(1)])
  }),
  functionCall,
  functionCallOutput.extend({ output: texts }),
  z.looseObject({ type: z.literal('reasoning') }),
  reference.extend({ type: z.literal('item_reference') }),
  // What has a role and no type is a message.
  reference
    .extend({ type: z.null().optional() })
    .meta({ not: { required: ['role'], properties: { role: { type: 'string' } } } })
])

/** The field `input`; its items are checked by {@link parseInput}. */
export const inputField: z.ZodType<string | Record<string, unknown>[]> = servedAs(
  z.union([z.string(), z.array(z.looseObject({})).max(MAX_INPUT_ITEMS)], {
    error: `expected a string or an array of at most ${MAX_INPUT_ITEMS} items`
  }),
  z.union([z.string(), z.array(servedItem).max(MAX_INPUT_ITEMS)])
)

/**
 * Checks the items of a request. One without an id of its own has an empty one; see {@link withIds}.
 * @throws A `RequestRefused` with 400 that names the item.
 */
export function parseInput(input: string | readonly Record<string, unknown>[]): ParsedInput {
  const ignored = new Set<string>()
  const taken = new Set<string>()
  const given = typeof input === 'string' ? [{ role: 'user', content: input }] : input

  const idOf = (own: string | null | undefined): string => {
    // An id given twice could not be paged by.
    if (own == null || !/^[\w-]+$/.test(own) || taken.has(own)) return ''
    taken.add(own)
    return own
  }

  const items = given.map((item, index): ConversationItem | ItemReference | undefined => {
    const at = `input[${index}]`
    const check = <T>(schema: z.ZodObject<z.ZodRawShape> & z.ZodType<T>): T => {
      const result = schema.safeParse(item, untilFirst)
      if (!result.success) {
        const [issue] = result.error.issues
        throw refusalOfIssue(issue && { ...issue, path: ['input', index, ...issue.path] }, { input: given })
      }
      for (const name of Object.keys(item))
        if (!Object.hasOwn(schema.shape, name)) ignored.add(`input[].${name}`)
      return result.data
    }
    const textsOf = (value: Content, where: string, types: readonly string[]): string[] =>
      typeof value === 'string' ? [value] : value.map((part, n) => textOf(part, `${where}[${n}]`, types))
    const textOf = (part: Record<string, unknown>, where: string, types: readonly string[]): string => {
      const { type } = part
      if (typeof type !== 'string' || !types.includes(type))
        throw unsupported(`${where}.type`, `: '${String(type).slice(0, 50)}' is not text`)
      for (const name of Object.keys(part))
        if (!partFields.has(name)) ignored.add(`input[].content[].${name}`)
      const text = type === 'refusal' ? part['refusal'] : part['text']
      if (typeof text === 'string') return text
      throw invalid(`'${where}.text' has to be a string`, `${where}.text`, 'invalid_type')
    }

    const type = item['type'] ?? (typeof item['role'] === 'string' ? 'message' : undefined)
    if (type !== undefined && typeof type !== 'string')
      throw invalid(`'${at}.type' has to be a string`, `${at}.type`, 'invalid_type')
    switch (type) {
      case 'message': {
        const { role, content: said, id: own } = check(message)
        const base = { id: idOf(own), type: 'message', status: 'completed' } as const
        const where = `${at}.content`
        if (role === 'assistant') return { ...base, role, content: spoken(said, where, textOf) }
        const texts = textsOf(said, where, ['input_text', 'output_text', 'text'])
        return { ...base, role, content: texts.map((text) => ({ type: 'input_text', text })) }
      }
      case 'function_call': {
        const call = check(functionCall)
        return {
          id: idOf(call.id),
          type: 'function_call',
          status: 'completed',
          call_id: call.call_id,
          name: call.name,
          arguments: call.arguments
        }
      }
      case 'function_call_output': {
        const { call_id, output, id: own } = check(functionCallOutput)
        const texts = textsOf(output, `${at}.output`, ['input_text', 'output_text', 'text'])
        return {
          id: idOf(own),
          type: 'function_call_output',
          status: 'completed',
          call_id,
          output: typeof output === 'string' ? output : texts.map((text) => ({ type: 'input_text', text }))
        }
      }
      case 'reasoning':
        // What another model thought is nothing a model here could read.
        ignored.add(`input[].reasoning`)
        return undefined
      case undefined:
      case 'item_reference':
        return { type: 'item_reference', id: check(reference).id, at: `${at}.id` }
      default:
        throw unsupported(`${at}.type`, `: items of type '${type.slice(0, 50)}' have no meaning here`)
    }
  })
  return { items: items.filter((item) => item !== undefined), ignored: [...ignored] }
}

type TextOf = (part: Record<string, unknown>, where: string, types: readonly string[]) => string

/** What an assistant said, in the form of an output. */
function spoken(said: Content, where: string, textOf: TextOf): OutputMessageItem['content'] {
  const parts = typeof said === 'string' ? [{ type: 'output_text', text: said }] : said
  return parts.map((part, n) => {
    const text = textOf(part, `${where}[${n}]`, ['output_text', 'refusal', 'input_text', 'text'])
    if (part.type === 'refusal') return { type: 'refusal', refusal: text }
    return { type: 'output_text', text, annotations: [], logprobs: [] }
  })
}

/** The items with an id each, made of the id of their response. */
export function withIds(items: readonly ConversationItem[], response: string): ConversationItem[] {
  return items.map((item, index) =>
    item.id === '' ? { ...item, id: itemId(response, 'input', item.type, index) } : item
  )
}
