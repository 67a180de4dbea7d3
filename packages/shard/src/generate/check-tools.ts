import type { ChatRequest, ToolDefinition } from '@kwaai/interface'
import { invalid, toolName } from './generation-request.ts'
import { isPlainObject, whyNoJson } from './plain-json.ts'

/** A function the model may call, with a schema of an object. */
export interface CheckedTool extends ToolDefinition {
  parameters: Readonly<Record<string, unknown>>
}

/** What of tools an answer may or has to use. */
export interface CheckedTools {
  /** All that the model is told of. */
  offered: readonly CheckedTool[]
  /** Those it may call. */
  callable: readonly CheckedTool[]
  /** It has to call at least one. */
  required: boolean
  /** It may call one at most. */
  single: boolean
}

/** OpenAI's API reference. */
const maxTools = 128
/** Characters of all tools together, and how deep their schemas go: far below what a template is let do. */
const limits = { maxCharacters: 262_144, maxDepth: 32 }

/** The schema of a function without arguments. */
const noArguments = { type: 'object', properties: {}, additionalProperties: false } as const

/**
 * Checks the tools of a request.
 *
 * @returns undefined where none may be called.
 * @throws A KwaaiError `ERR_MODEL_INVALID_REQUEST`; `details.param` is `tools`, `toolChoice` or `parallelToolCalls`.
 */
export function checkTools(
  request: Pick<ChatRequest, 'tools' | 'toolChoice' | 'parallelToolCalls'>
): CheckedTools | undefined {
  const { tools = [], toolChoice = 'auto', parallelToolCalls = true } = request
  if (typeof parallelToolCalls !== 'boolean') throw invalid('parallelToolCalls', 'it has to be true or false')
  if (!Array.isArray(tools)) throw invalid('tools', 'they are no list')
  if (tools.length > maxTools) throw invalid('tools', `there are more than ${maxTools}`)
  const why = whyNoJson(tools, limits)
  if (why !== undefined) throw invalid('tools', why)
  const offered = tools.map(checkTool)
  const names = new Set(offered.map(({ name }) => name))
  if (names.size !== offered.length) throw invalid('tools', 'two have the same name')

  const named = typeof toolChoice === 'object' && toolChoice !== null ? toolChoice.name : undefined
  if (named === undefined && toolChoice !== 'auto' && toolChoice !== 'none' && toolChoice !== 'required') {
    throw invalid('toolChoice', 'it has to be auto, none, required or the name of a tool')
  }
  if (named !== undefined && !names.has(named)) throw invalid('toolChoice', 'it names no tool of the request')
  if (toolChoice === 'required' && offered.length === 0) throw invalid('toolChoice', 'there are no tools')
  if (toolChoice === 'none' || offered.length === 0) return undefined
  return {
    offered,
    callable: named === undefined ? offered : offered.filter(({ name }) => name === named),
    required: toolChoice !== 'auto',
    single: named !== undefined || !parallelToolCalls
  }
}

function checkTool(tool: ToolDefinition): CheckedTool {
  if (!isPlainObject(tool)) throw invalid('tools', 'one is no record')
  const { name, description, strict, parameters } = tool
  if (typeof name !== 'string' || !toolName.test(name)) {
    throw invalid('tools', 'a name has to be 1 to 64 letters, digits, _ or -')
  }
  if (description !== undefined && typeof description !== 'string') {
    throw invalid('tools', `the description of ${name} is no text`)
  }
  if (strict !== undefined && typeof strict !== 'boolean') {
    throw invalid('tools', `strict of ${name} has to be true or false`)
  }
  if (parameters === undefined || parameters === null) return { ...tool, parameters: noArguments }
  if (!isPlainObject(parameters) || (parameters['type'] ?? 'object') !== 'object') {
    throw invalid('tools', `the parameters of ${name} are no JSON Schema of an object`)
  }
  return { ...tool, parameters: { type: 'object', ...parameters } }
}
