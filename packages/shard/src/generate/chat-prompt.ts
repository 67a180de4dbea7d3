import { KwaaiError, type ChatRequest } from '@kwaai/interface'
import type { ChatTemplate } from './chat-template.ts'
import type { CheckedTools } from './check-tools.ts'
import { invalid } from './generation-request.ts'
import { describeTool, withToolsAsText } from './tool-prompt.ts'

/**
 * The tokens of a chat. Tools go to the template where it knows them and shows calls in a way we know; otherwise they
 * are told in words.
 */
export function encodeChat(
  template: ChatTemplate,
  { messages }: ChatRequest,
  tools: CheckedTools | undefined
): number[] {
  const { offered = [], single = false } = tools ?? {}
  try {
    return template.toolFormat === undefined
      ? template.encode(withToolsAsText(messages, offered, single))
      : template.encode(messages, { tools: offered.map(describeTool) })
  } catch (error) {
    if (KwaaiError.is(error, 'ERR_TEMPLATE_REFUSED')) throw invalid('messages', error.message, error)
    // Templates write schemas and calls out in their own way, and some of them expect less than there may be.
    if (KwaaiError.is(error, 'ERR_TEMPLATE_FAILED')) {
      if (offered.length > 0)
        throw invalid('tools', `the chat template cannot show them: ${error.message}`, error)
      if (messages.some(({ role, toolCalls = [] }) => role === 'tool' || toolCalls.length > 0)) {
        throw invalid('messages', `the chat template cannot show their tool calls: ${error.message}`, error)
      }
    }
    throw error
  }
}
