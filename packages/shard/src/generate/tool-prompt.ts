import type { ChatMessage } from '@kwaai/interface'
import type { CheckedTool } from './check-tools.ts'
import { hermesFormat } from './tool-format.ts'

/**
 * A tool as Hugging Face's chat templates and OpenAI's API have it. Description and properties are there in any case:
 * templates count on them.
 */
export function describeTool({ name, description = '', parameters }: CheckedTool): {
  type: 'function'
  function: { name: string; description: string; parameters: unknown }
} {
  const properties = parameters['properties'] ?? {}
  return { type: 'function', function: { name, description, parameters: { ...parameters, properties } } }
}

function instructions(tools: readonly CheckedTool[], single: boolean): string {
  return [
    'You can call functions to answer. Each line between <tools> and </tools> describes one, its parameters as JSON Schema:',
    '<tools>',
    ...tools.map((tool) => JSON.stringify(describeTool(tool))),
    '</tools>',
    'To call a function, write its name and its arguments as JSON between these tags:',
    `${hermesFormat.begin('name')}{"argument": "value"}${hermesFormat.end}`,
    ...(single ? [] : ['For several calls, write several such blocks one after the other.'])
  ].join('\n')
}

/**
 * A conversation with tools for a template that knows none: a system turn lists the tools and asks for calls in
 * {@link hermesFormat}; calls of assistant turns stand in it, and results of functions in user turns, between
 * `<tool_response>` and `</tool_response>`. A user turn after results joins theirs, for some templates want turns to
 * alternate.
 */
export function withToolsAsText(
  messages: readonly ChatMessage[],
  tools: readonly CheckedTool[],
  single: boolean
): ChatMessage[] {
  const turns: ChatMessage[] = []
  let results = false
  for (const message of messages) {
    const { role, content, toolCalls = [] } = message
    const last = turns.at(-1)
    if (role === 'tool' || (role === 'user' && results)) {
      const text = role === 'tool' ? `<tool_response>\n${content}\n</tool_response>` : content
      if (last !== undefined && results) last.content += `\n${text}`
      else turns.push({ role: 'user', content: text })
      results = role === 'tool'
      continue
    }
    results = false
    const calls = toolCalls.map((call) => hermesFormat.begin(call.name) + call.arguments + hermesFormat.end)
    const texts = content === '' && calls.length > 0 ? calls : [content, ...calls]
    turns.push({ role, content: texts.join('\n') })
  }
  if (tools.length === 0) return turns
  const text = instructions(tools, single)
  const [first] = turns
  if (first?.role === 'system' || first?.role === 'developer') {
    return [{ ...first, content: `${first.content}\n\n${text}` }, ...turns.slice(1)]
  }
  return [{ role: 'system', content: text }, ...turns]
}
