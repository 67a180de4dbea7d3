import type { FinishReason, GenerationEvent, Usage } from '@kwaai/interface'
import type { AnswerHead } from '../responses.ts'
import type { Refusal } from '../refusals.ts'
import { chatLogprobs } from '../token-logprobs.ts'
import type { ResponseEvent } from './events.ts'
import { itemId } from './ids.ts'
import type {
  FunctionCallItem,
  ItemStatus,
  LogprobObject,
  OutputItem,
  OutputMessageItem,
  OutputTextPart,
  ResponseObject,
  ResponseSettings,
  ResponseUsageObject
} from './objects.ts'

/** Makes a response of the events of a generation. */
export interface ResponseAssembler {
  /** What the client is told of an event. The first call tells too that the response began. */
  add(event: GenerationEvent): ResponseEvent[]
  /** The response after the last event. */
  finish(usage: Usage, completedAt: number): ResponseObject
  /** What the client is told where it failed: what was begun ends as incomplete. */
  fail(refusal: Refusal): ResponseEvent[]
}

interface OpenMessage {
  kind: 'message'
  index: number
  id: string
  texts: string[]
  logprobs: LogprobObject[]
}
interface OpenCall {
  kind: 'call'
  index: number
  id: string
  callId: string
  name: string
  texts: string[]
}

/** Assembles one response: a message for its text, an item for each call, in the order they began. */
export function createResponseAssembler(
  head: AnswerHead,
  settings: Readonly<ResponseSettings>
): ResponseAssembler {
  const output: OutputItem[] = []
  const calls = new Map<number, OpenCall>()
  let message: OpenMessage | undefined
  let begun = false
  let reason: FinishReason | undefined

  const response = (changes: Partial<ResponseObject> = {}): ResponseObject => ({
    id: head.id,
    object: 'response',
    created_at: head.created,
    completed_at: null,
    status: 'in_progress',
    error: null,
    incomplete_details: null,
    model: head.model,
    output: [...output],
    ...settings,
    ...changes
  })

  const begin = (): ResponseEvent[] => {
    if (begun) return []
    begun = true
    return [
      { type: 'response.created', response: response() },
      { type: 'response.in_progress', response: response() }
    ]
  }

  const openMessage = (): { message: OpenMessage; events: ResponseEvent[] } => {
    if (message !== undefined) return { message, events: [] }
    const index = output.length
    const id = itemId(head.id, 'output', 'message', index)
    message = { kind: 'message', index, id, texts: [], logprobs: [] }
    const item: OutputMessageItem = {
      id,
      type: 'message',
      status: 'in_progress',
      role: 'assistant',
      content: []
    }
    output.push(item)
    const place = { item_id: id, output_index: index, content_index: 0 }
    return {
      message,
      events: [
        { type: 'response.output_item.added', output_index: index, item },
        { type: 'response.content_part.added', ...place, part: part('', []) }
      ]
    }
  }

  const closeMessage = (status: ItemStatus): ResponseEvent[] => {
    if (message === undefined) return []
    const { id, index, texts, logprobs } = message
    message = undefined
    const text = texts.join('')
    const whole = part(text, logprobs)
    const item: OutputMessageItem = { id, type: 'message', status, role: 'assistant', content: [whole] }
    output[index] = item
    const place = { item_id: id, output_index: index, content_index: 0 }
    return [
      { type: 'response.output_text.done', ...place, text, logprobs },
      { type: 'response.content_part.done', ...place, part: whole },
      { type: 'response.output_item.done', output_index: index, item }
    ]
  }

  const closeCall = (call: OpenCall, status: ItemStatus): ResponseEvent[] => {
    const whole = call.texts.join('')
    const item: FunctionCallItem = {
      id: call.id,
      type: 'function_call',
      status,
      call_id: call.callId,
      name: call.name,
      arguments: whole
    }
    output[call.index] = item
    const { id, index, name } = call
    return [
      {
        type: 'response.function_call_arguments.done',
        item_id: id,
        output_index: index,
        name,
        arguments: whole
      },
      { type: 'response.output_item.done', output_index: index, item }
    ]
  }

  /** Ends whatever is open; what began last has the status, all before it were whole. */
  const closeAll = (status: ItemStatus): ResponseEvent[] => {
    const last = output.length - 1
    const events = [...calls.values()].flatMap((call) =>
      closeCall(call, call.index === last ? status : 'completed')
    )
    calls.clear()
    return [...events, ...closeMessage(status)]
  }

  const addText = (event: GenerationEvent & { type: 'text' }): ResponseEvent[] => {
    const logprobs = chatLogprobs(event.logprobs ?? [])
    if (event.text === '' && logprobs.length === 0) return []
    const { message: to, events } = openMessage()
    to.texts.push(event.text)
    for (const entry of logprobs) to.logprobs.push(entry)
    return [
      ...events,
      {
        type: 'response.output_text.delta',
        item_id: to.id,
        output_index: to.index,
        content_index: 0,
        delta: event.text,
        logprobs
      }
    ]
  }

  const addCall = (event: GenerationEvent & { type: 'tool-call' }): ResponseEvent[] => {
    const events: ResponseEvent[] = []
    let call = calls.get(event.call)
    if (call === undefined) {
      events.push(...closeMessage('completed'))
      const index = output.length
      const id = itemId(head.id, 'output', 'function_call', index)
      // The answer's keeper has made sure that the first piece has both.
      const [callId, name] = [event.id ?? id, event.name ?? '']
      call = { kind: 'call', index, id, callId, name, texts: [] }
      calls.set(event.call, call)
      const item: FunctionCallItem = {
        id,
        type: 'function_call',
        status: 'in_progress',
        call_id: callId,
        name,
        arguments: ''
      }
      output.push(item)
      events.push({ type: 'response.output_item.added', output_index: index, item })
    }
    if (event.arguments === '') return events
    call.texts.push(event.arguments)
    events.push({
      type: 'response.function_call_arguments.delta',
      item_id: call.id,
      output_index: call.index,
      delta: event.arguments
    })
    return events
  }

  const addFinish = (why: FinishReason): ResponseEvent[] => {
    reason = why
    // An answer that says nothing is still an answer.
    const events = output.length === 0 ? openMessage().events : []
    return [...events, ...closeAll(why === 'length' || why === 'content_filter' ? 'incomplete' : 'completed')]
  }

  return {
    add(event) {
      const events = begin()
      if (event.type === 'text') events.push(...addText(event))
      else if (event.type === 'tool-call') events.push(...addCall(event))
      else if (event.type === 'finish') events.push(...addFinish(event.reason))
      return events
    },
    finish(usage, completedAt) {
      const cut = reason === 'length' ? 'max_output_tokens' : reason === 'content_filter' ? reason : undefined
      return response({
        usage: usageObject(usage),
        ...(cut === undefined
          ? { status: 'completed', completed_at: completedAt }
          : { status: 'incomplete', incomplete_details: { reason: cut } })
      })
    },
    fail(refusal) {
      const events = [...begin(), ...closeAll('incomplete')]
      const { message: text, code } = refusal
      const error = { code: errorCode(refusal.status), message: text }
      return [
        ...events,
        { type: 'response.failed', response: response({ status: 'failed', error, store: false }) },
        { type: 'error', code, message: text, param: refusal.param ?? null }
      ]
    }
  }
}

function part(text: string, logprobs: LogprobObject[]): OutputTextPart {
  return { type: 'output_text', text, annotations: [], logprobs }
}

function errorCode(status: number): NonNullable<ResponseObject['error']>['code'] {
  if (status === 429) return 'rate_limit_exceeded'
  return status < 500 ? 'invalid_prompt' : 'server_error'
}

function usageObject(usage: Usage): ResponseUsageObject {
  return {
    input_tokens: usage.promptTokens,
    input_tokens_details: { cached_tokens: usage.cachedTokens, cache_write_tokens: 0 },
    output_tokens: usage.completionTokens,
    output_tokens_details: { reasoning_tokens: 0 },
    total_tokens: usage.promptTokens + usage.completionTokens
  }
}
