/** One token and its probability, as OpenAI gives it. */
export interface LogprobObject {
  token: string
  logprob: number
  /** The exact bytes of the token, which may be a part of a character. */
  bytes: number[]
  top_logprobs: { token: string; logprob: number; bytes: number[] }[]
}

/** A piece of an answer's text. */
export interface OutputTextPart {
  type: 'output_text'
  text: string
  annotations: []
  logprobs: LogprobObject[]
}

/** Where an item stands. */
export type ItemStatus = 'in_progress' | 'completed' | 'incomplete'

/** What the model said. */
export interface OutputMessageItem {
  id: string
  type: 'message'
  status: ItemStatus
  role: 'assistant'
  content: (OutputTextPart | { type: 'refusal'; refusal: string })[]
}

/** A function the model calls. */
export interface FunctionCallItem {
  id: string
  type: 'function_call'
  status: ItemStatus
  call_id: string
  name: string
  /** JSON text. */
  arguments: string
}

/** What the model was told. */
export interface InputMessageItem {
  id: string
  type: 'message'
  status: ItemStatus
  role: 'user' | 'system' | 'developer'
  content: { type: 'input_text'; text: string }[]
}

/** What a called function gave. */
export interface FunctionCallOutputItem {
  id: string
  type: 'function_call_output'
  status: ItemStatus
  call_id: string
  output: string | { type: 'input_text'; text: string }[]
}

/** What a response is made of. */
export type OutputItem = OutputMessageItem | FunctionCallItem

/** What a conversation is made of. */
export type ConversationItem = OutputItem | InputMessageItem | FunctionCallOutputItem

/** True token counts in the form of `/v1/responses`. */
export interface ResponseUsageObject {
  input_tokens: number
  input_tokens_details: { cached_tokens: number; cache_write_tokens: number }
  output_tokens: number
  output_tokens_details: { reasoning_tokens: number }
  total_tokens: number
}

/** A function the model may call, as a response shows it. */
export interface FunctionToolObject {
  type: 'function'
  name: string
  description: string | null
  parameters: unknown
  strict: boolean
}

/** Whether tools are called. */
export type ToolChoiceObject =
  | 'none'
  | 'auto'
  | 'required'
  | { type: 'function'; name: string }
  | { type: 'allowed_tools'; mode: 'auto' | 'required'; tools: { type: 'function'; name: string }[] }

/** What the text has to follow. */
export type TextFormatObject =
  | { type: 'text' }
  | { type: 'json_object' }
  | { type: 'json_schema'; name: string; description?: string; schema: unknown; strict: boolean }

/** The parts of a response that its request decides. */
export interface ResponseSettings {
  background: false
  instructions: string | null
  max_output_tokens: number | null
  max_tool_calls: number | null
  metadata: Record<string, string>
  parallel_tool_calls: boolean
  previous_response_id: string | null
  prompt_cache_key: string | null
  reasoning: { effort: null; summary: null }
  safety_identifier: string | null
  service_tier: 'default'
  /** Whether it can be asked for again. */
  store: boolean
  temperature: number
  text: { format: TextFormatObject; verbosity: 'medium' }
  tool_choice: ToolChoiceObject
  tools: FunctionToolObject[]
  top_logprobs: number
  top_p: number
  truncation: 'disabled'
  /** Absent where the request named none. */
  user?: string
}

/** The answer of `POST /v1/responses`. */
export interface ResponseObject extends ResponseSettings {
  /** `resp_…` */
  id: string
  object: 'response'
  /** Seconds since 1970 UTC. */
  created_at: number
  completed_at: number | null
  status: 'in_progress' | 'completed' | 'incomplete' | 'failed'
  error: { code: 'server_error' | 'rate_limit_exceeded' | 'invalid_prompt'; message: string } | null
  incomplete_details: { reason: 'max_output_tokens' | 'content_filter' } | null
  model: string
  output: OutputItem[]
  /** Absent until the model told its counts: the published description knows no null here. */
  usage?: ResponseUsageObject
}

/** The items a response was made from, newest first unless asked otherwise. */
export interface ResponseItemList {
  object: 'list'
  data: ConversationItem[]
  first_id: string
  last_id: string
  has_more: boolean
}
