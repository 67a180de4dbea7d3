import type { ChatMessage } from '@kwaai/interface'
import { invalid } from '../refusals.ts'
import type { ConversationItem, FunctionCallOutputItem } from './objects.ts'

/**
 * The turns of a chat that a row of items stands for. What an assistant said and the calls that follow are one
 * turn; parts of a text are joined by a line feed, as `/v1/chat/completions` does.
 *
 * @throws A `RequestRefused` with 400 where a call has no output or an output no call.
 */
export function toChatMessages(
  instructions: string | undefined,
  items: readonly ConversationItem[]
): ChatMessage[] {
  const messages: ChatMessage[] = []
  if (instructions !== undefined) messages.push({ role: 'system', content: instructions })
  /** Calls nobody has answered yet. */
  const open = new Set<string>()
  /** Whether the last turn is the assistant's and may still get calls. */
  let speaking = false

  for (const item of items) {
    if (item.type === 'function_call') {
      const call = { id: item.call_id, name: item.name, arguments: item.arguments }
      const last = speaking ? messages.pop() : undefined
      messages.push({
        role: 'assistant',
        content: last?.content ?? '',
        toolCalls: [...(last?.toolCalls ?? []), call]
      })
      open.add(item.call_id)
      speaking = true
    } else if (item.type === 'function_call_output') {
      if (!open.delete(item.call_id))
        throw invalid(`No tool call found for function call output with call_id ${item.call_id}.`, 'input')
      messages.push({ role: 'tool', content: outputText(item), toolCallId: item.call_id })
      speaking = false
    } else {
      answered(open)
      speaking = item.role === 'assistant'
      messages.push({ role: item.role, content: messageText(item.content) })
    }
  }
  answered(open)
  return messages
}

function answered(open: ReadonlySet<string>): void {
  const [first] = open
  if (first !== undefined) throw invalid(`No tool output found for function call ${first}.`, 'input')
}

function messageText(content: readonly ({ text: string } | { refusal: string })[]): string {
  return content.map((part) => ('text' in part ? part.text : part.refusal)).join('\n')
}

function outputText({ output }: FunctionCallOutputItem): string {
  return typeof output === 'string' ? output : messageText(output)
}
