import type { ChatMessage } from '@kwaai/interface'
import * as z from 'zod'
import { servedAs } from './parsing.ts'
import { invalid, unsupported } from './refusals.ts'

type Part =
  | { type: 'text'; text: string }
  | { type: 'refusal'; refusal: string }
  | { type: 'image_url' | 'input_audio' | 'file' }
type Content = string | Part[]

/** One message as it comes in, known fields only. */
export type IncomingMessage =
  | { role: 'system' | 'developer' | 'user'; content: Content }
  | {
      role: 'assistant'
      content?: Content | null | undefined
      refusal?: string | null | undefined
      tool_calls?: { id: string; function: { name: string; arguments: string } }[] | null | undefined
      function_call?: unknown
      audio?: unknown
      annotations?: unknown
    }
  | { role: 'tool'; content: Content; tool_call_id: string }

const part: z.ZodType<Part> = z.discriminatedUnion('type', [
  z.object({ type: z.literal('text'), text: z.string() }),
  z.object({ type: z.literal('refusal'), refusal: z.string() }),
  servedAs(z.object({ type: z.enum(['image_url', 'input_audio', 'file']) }), false)
])
const content: z.ZodType<Content> = z.union([z.string(), z.array(part).min(1)], {
  error: 'expected a string or an array of content parts'
})

const saysSomething = [
  { required: ['content'], properties: { content: { not: { type: 'null' } } } },
  { required: ['refusal'], properties: { refusal: { type: 'string' } } },
  { required: ['tool_calls'], properties: { tool_calls: { type: 'array', minItems: 1 } } }
]

/** Checks one message. */
export const incomingMessage: z.ZodType<IncomingMessage> = z.discriminatedUnion('role', [
  z.object({ role: z.enum(['system', 'developer', 'user']), content }),
  z
    .object({
      role: z.literal('assistant'),
      content: content.nullish(),
      refusal: z.string().nullish(),
      tool_calls: z
        .array(
          z.object({
            id: z.string().min(1),
            type: z.literal('function'),
            function: z.object({ name: z.string().min(1), arguments: z.string() })
          })
        )
        .nullish(),
      function_call: servedAs(z.unknown(), { type: 'null' }).optional(),
      audio: servedAs(z.unknown(), { type: 'null' }).optional(),
      // What our own answers contain is no news when it comes back.
      annotations: z.unknown().optional()
    })
    // One of them has to say something.
    .meta({ anyOf: saysSomething }),
  z.object({ role: z.literal('tool'), content, tool_call_id: z.string().min(1) })
])

/** The messages for the model. @throws A `RequestRefused` for what the model could not be shown. */
export function toChatMessages(messages: readonly IncomingMessage[]): ChatMessage[] {
  const calls = new Set<string>()
  return messages.map((message, index): ChatMessage => {
    const at = `messages[${index}]`
    switch (message.role) {
      case 'assistant': {
        if (message.function_call != null)
          throw unsupported(`${at}.function_call`, ': it gave way to tool_calls')
        if (message.audio != null) throw unsupported(`${at}.audio`)
        const toolCalls = (message.tool_calls ?? []).map((call) => {
          calls.add(call.id)
          return { id: call.id, name: call.function.name, arguments: call.function.arguments }
        })
        const said = message.content ?? message.refusal
        if (said == null && toolCalls.length === 0)
          throw invalid(
            `'${at}.content' has to be given where there are no tool_calls`,
            `${at}.content`,
            'missing_required_parameter'
          )
        const turn: ChatMessage = { role: 'assistant', content: said == null ? '' : plainText(said, at) }
        if (toolCalls.length > 0) turn.toolCalls = toolCalls
        return turn
      }
      case 'tool':
        if (!calls.has(message.tool_call_id))
          throw invalid(
            `'${at}.tool_call_id' answers no tool call of an earlier assistant message`,
            `${at}.tool_call_id`
          )
        return { role: 'tool', content: plainText(message.content, at), toolCallId: message.tool_call_id }
      default:
        return { role: message.role, content: plainText(message.content, at) }
    }
  })
}

/** Parts are joined by a line feed, as llama.cpp and vLLM do. */
function plainText(content: Content, at: string): string {
  if (typeof content === 'string') return content
  return content
    .map((part, index) => {
      if (part.type === 'text') return part.text
      if (part.type === 'refusal') return part.refusal
      throw unsupported(`${at}.content[${index}].type`, `: '${part.type}' is not text`)
    })
    .join('\n')
}
