import type {
  FunctionCallItem,
  LogprobObject,
  OutputItem,
  OutputTextPart,
  ResponseObject
} from './objects.ts'

/** One event of a streamed response, before it has its number. */
export type ResponseEvent =
  | {
      type:
        | 'response.created'
        | 'response.in_progress'
        | 'response.completed'
        | 'response.incomplete'
        | 'response.failed'
      response: ResponseObject
    }
  | {
      type: 'response.output_item.added' | 'response.output_item.done'
      output_index: number
      item: OutputItem
    }
  | {
      type: 'response.content_part.added' | 'response.content_part.done'
      item_id: string
      output_index: number
      content_index: number
      part: OutputTextPart
    }
  | {
      type: 'response.output_text.delta'
      item_id: string
      output_index: number
      content_index: number
      delta: string
      logprobs: LogprobObject[]
    }
  | {
      type: 'response.output_text.done'
      item_id: string
      output_index: number
      content_index: number
      text: string
      logprobs: LogprobObject[]
    }
  | {
      type: 'response.function_call_arguments.delta'
      item_id: string
      output_index: number
      delta: string
    }
  | {
      type: 'response.function_call_arguments.done'
      item_id: string
      output_index: number
      name: FunctionCallItem['name']
      arguments: string
    }
  | { type: 'error'; code: string | null; message: string; param: string | null }

/** One event of a streamed response. */
export type ResponseStreamEvent = ResponseEvent & { sequence_number: number }

/** Makes server-sent events of a row of events, numbered from 0. */
export function createFrameWriter(): (event: ResponseEvent) => string {
  let next = 0
  return (event) => {
    const numbered: ResponseStreamEvent = { ...event, sequence_number: next++ }
    return `event: ${event.type}\ndata: ${JSON.stringify(numbered)}\n\n`
  }
}
