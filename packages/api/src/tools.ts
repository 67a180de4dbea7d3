import type { ChatRequest, ToolChoice, ToolDefinition } from '@kwaai/interface'
import * as z from 'zod'
import { MAX_TOOLS } from './constants.ts'
import { servedAs } from './parsing.ts'
import { invalid, unsupported } from './refusals.ts'

/** Names of functions and formats, as OpenAI's description (2.3.0) has them. */
export const functionName: z.ZodType<string> = z
  .string()
  .regex(/^[a-zA-Z0-9_-]{1,64}$/, { error: 'expected 1 to 64 letters, digits, _ and -' })

interface CustomTool {
  type: 'custom'
}
interface NamedFunction {
  type: 'function'
  function: { name: string }
}

/** A tool as it comes in. */
export type IncomingTool =
  | CustomTool
  | {
      type: 'function'
      function: {
        name: string
        description?: string | null | undefined
        parameters?: Record<string, unknown> | null | undefined
        strict?: boolean | null | undefined
      }
    }

/** The field `tool_choice`. */
export type IncomingToolChoice =
  | 'none'
  | 'auto'
  | 'required'
  | CustomTool
  | NamedFunction
  | {
      type: 'allowed_tools'
      allowed_tools: { mode: 'auto' | 'required'; tools: (CustomTool | NamedFunction)[] }
    }

const functionTool = z.object({
  type: z.literal('function'),
  function: z.object({
    name: functionName,
    description: z.string().nullish(),
    parameters: z.record(z.string(), z.unknown()).nullish(),
    strict: z.boolean().nullish()
  })
})
const named = z.object({ type: z.literal('function'), function: z.object({ name: functionName }) })
const custom = servedAs(z.object({ type: z.literal('custom') }), false)
const customWhy = ': custom tools have no arguments that could be checked; make it a function'

/** Checks the field `tools`. */
export const toolsField: z.ZodType<IncomingTool[]> = z
  .array(z.discriminatedUnion('type', [functionTool, custom]))
  .max(MAX_TOOLS)

/** Checks the field `tool_choice`. */
export const toolChoiceField: z.ZodType<IncomingToolChoice> = z.union(
  [
    z.enum(['none', 'auto', 'required']),
    z.discriminatedUnion('type', [
      named,
      custom,
      z.object({
        type: z.literal('allowed_tools'),
        allowed_tools: z.object({
          mode: z.enum(['auto', 'required']),
          tools: z
            .array(z.discriminatedUnion('type', [named, custom]))
            .min(1)
            .max(MAX_TOOLS)
        })
      })
    ])
  ],
  { error: 'expected none, auto, required, a function by name, or allowed tools' }
)

/** What a request says of tools. */
export interface ToolFields {
  tools?: IncomingTool[] | undefined
  tool_choice?: IncomingToolChoice | undefined
  parallel_tool_calls?: boolean | undefined
}

/** Tools as the model takes them. */
export type ToolOptions = Pick<ChatRequest, 'tools' | 'toolChoice' | 'parallelToolCalls'>

/** The tools for the model. @throws A `RequestRefused` with 400. */
export function toToolOptions(fields: ToolFields): ToolOptions {
  const tools = toDefinitions(fields.tools ?? [])
  const choice = fields.tool_choice
  if (tools.length === 0) {
    if (choice !== undefined && choice !== 'none' && choice !== 'auto')
      throw invalid(`'tool_choice' asks for a call, but there are no 'tools'`, 'tool_choice')
    return {}
  }
  const options: ToolOptions = { tools, ...toChoice(choice, tools) }
  if (fields.parallel_tool_calls === false) options.parallelToolCalls = false
  return options
}

function toDefinitions(tools: IncomingTool[]): ToolDefinition[] {
  if (tools.length === 0) return []
  const names = new Set<string>()
  return tools.map((tool, index) => {
    if (tool.type === 'custom') throw unsupported(`tools[${index}].type`, customWhy)
    const { name, description, parameters, strict } = tool.function
    if (names.has(name))
      throw invalid(`There is more than one function '${name}'`, `tools[${index}].function.name`)
    names.add(name)
    return {
      name,
      ...(description != null && { description }),
      ...(parameters != null && { parameters }),
      ...(strict != null && { strict })
    }
  })
}

function toChoice(
  choice: ToolFields['tool_choice'],
  tools: readonly ToolDefinition[]
): { tools?: readonly ToolDefinition[]; toolChoice?: ToolChoice } {
  const known = (name: string, at: string): string => {
    if (tools.some((tool) => tool.name === name)) return name
    throw invalid(`'${at}' names the function '${name}', which is not among the tools`, at)
  }
  if (choice === undefined) return {}
  if (typeof choice === 'string') return { toolChoice: choice }
  if (choice.type === 'custom') throw unsupported('tool_choice.type', customWhy)
  if (choice.type === 'function')
    return { toolChoice: { name: known(choice.function.name, 'tool_choice.function.name') } }
  const { mode, tools: allowed } = choice.allowed_tools
  const names = new Set(
    allowed.map((tool, index) => {
      const at = `tool_choice.allowed_tools.tools[${index}]`
      if (tool.type === 'custom') throw unsupported(`${at}.type`, customWhy)
      return known(tool.function.name, `${at}.function.name`)
    })
  )
  // The model is shown no others, so it can call no others.
  return { tools: tools.filter(({ name }) => names.has(name)), toolChoice: mode }
}

/**
 * The tool that a model's error is about: the one it names, the only one, or the first strict one that has the
 * keyword in its place.
 */
export function toolAtFault(
  tools: readonly ToolDefinition[],
  { tool, keyword, path }: Readonly<Record<string, unknown>>
): ToolDefinition | undefined {
  if (typeof tool === 'number') return tools[tool]
  if (typeof tool === 'string') return tools.find(({ name }) => name === tool)
  if (tools.length === 1) return tools[0]
  if (typeof keyword !== 'string' || typeof path !== 'string') return undefined
  return tools.find(({ parameters, strict }) => {
    const schema = strict === true ? pointedAt(parameters, path) : undefined
    return typeof schema === 'object' && schema !== null && Object.hasOwn(schema, keyword)
  })
}

/** What a JSON Pointer (RFC 6901) leads to. */
function pointedAt(root: unknown, pointer: string): unknown {
  let value = root
  for (const step of pointer.split('/').slice(1)) {
    const key = step.replaceAll('~1', '/').replaceAll('~0', '~')
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) return undefined
    value = Reflect.get(value, key)
  }
  return value
}
