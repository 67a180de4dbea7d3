import type { ChatMessage } from '@kwaai/interface'
import { whyNoJson } from './plain-json.ts'
import type { StandIns } from './stand-ins.ts'

/** Of a call's arguments, which a template is to show as a value. What goes further is shown as text. */
const limits = { maxCharacters: 262_144, maxDepth: 32 }

/**
 * The turns of a conversation in the shape chat templates expect (Hugging Face, Transformers: "Chat templates",
 * "Tool use"): calls with their arguments as values, results with the name of their function.
 */
export function templateMessages(
  messages: readonly ChatMessage[],
  standIns: StandIns
): Record<string, unknown>[] {
  const nameOf = new Map<string, string>()
  return messages.map(({ role, content, toolCallId, toolCalls = [] }) => {
    for (const { id, name } of toolCalls) nameOf.set(id, name)
    const name = toolCallId === undefined ? undefined : nameOf.get(toolCallId)
    return {
      // What the API calls developer, templates know as system.
      role: role === 'developer' ? 'system' : standIns.hide(role),
      content: standIns.hide(content),
      ...(toolCallId === undefined ? {} : { tool_call_id: standIns.hide(toolCallId) }),
      ...(name === undefined ? {} : { name: standIns.hide(name) }),
      ...(toolCalls.length === 0
        ? {}
        : {
            tool_calls: toolCalls.map((call) => ({
              id: standIns.hide(call.id),
              type: 'function',
              function: {
                name: standIns.hide(call.name),
                arguments: hideAll(argumentsOf(call.arguments), standIns)
              }
            }))
          })
    }
  })
}

function argumentsOf(text: string): unknown {
  try {
    const value: unknown = JSON.parse(text)
    return whyNoJson(value, limits) === undefined ? value : text
  } catch {
    return text
  }
}

/** The same value with no control token to be read in any of its texts. */
export function hideAll(value: unknown, standIns: StandIns): unknown {
  if (typeof value === 'string') return standIns.hide(value)
  if (Array.isArray(value)) return value.map((element) => hideAll(element, standIns))
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, element]) => element !== undefined)
      .map(([key, element]) => [standIns.hide(key), hideAll(element, standIns)])
  )
}
