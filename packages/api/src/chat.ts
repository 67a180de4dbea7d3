import type { FinishReason, GenerationEvent } from '@kwaai/interface'
import type { Answer } from './answer.ts'
import type { AnswerCollector, FrameWriter } from './respond.ts'
import {
  usageObject,
  type ChatCompletion,
  type ChatCompletionChunk,
  type TokenLogprobObject,
  type ToolCallObject
} from './responses.ts'
import { chatLogprobs } from './token-logprobs.ts'

interface Choice {
  text: string[]
  logprobs: TokenLogprobObject[]
  calls: { id: string; name: string; arguments: string[] }[]
  reason: FinishReason
}

/** Collects a chat's answer in one piece. */
export function createChatCollector(answer: Answer, options: { logprobs: boolean }): AnswerCollector {
  const choices: Choice[] = []
  for (let index = 0; index < answer.n; index++)
    choices.push({ text: [], logprobs: [], calls: [], reason: 'stop' })

  return {
    add(event) {
      if (event.type === 'start' || event.type === 'usage') return
      const choice = choices[event.index]
      if (choice === undefined) return
      if (event.type === 'finish') choice.reason = event.reason
      else if (event.type === 'text') {
        choice.text.push(event.text)
        if (options.logprobs) choice.logprobs.push(...chatLogprobs(event.logprobs ?? []))
      } else {
        const { id = '', name = '' } = event
        const call = (choice.calls[event.call] ??= { id, name, arguments: [] })
        call.arguments.push(event.arguments)
      }
    },
    value(): ChatCompletion {
      const usage = usageObject(answer.usage())
      return {
        ...answer.head,
        object: 'chat.completion',
        system_fingerprint: answer.fingerprint(),
        choices: choices.map((choice, index) => ({
          index,
          message: messageOf(choice),
          logprobs: options.logprobs ? { content: choice.logprobs, refusal: null } : null,
          finish_reason: choice.reason
        })),
        usage
      }
    }
  }
}

function messageOf({ text, calls }: Choice): ChatCompletion['choices'][0]['message'] {
  const content = text.join('')
  if (calls.length === 0) return { role: 'assistant', content, refusal: null, annotations: [] }
  const toolCalls = calls.map((call): ToolCallObject => ({
    id: call.id,
    type: 'function',
    function: { name: call.name, arguments: call.arguments.join('') }
  }))
  return {
    role: 'assistant',
    content: content === '' ? null : content,
    refusal: null,
    annotations: [],
    tool_calls: toolCalls
  }
}

type Delta = ChatCompletionChunk['choices'][0]['delta']

/**
 * The server-sent events of a chat: a chunk a choice with the role, one for each text and each piece of a call, one
 * a choice with the finish reason, the usage where asked for, `[DONE]`.
 */
export function createChatWriter(
  answer: Answer,
  options: { includeUsage: boolean; logprobs: boolean }
): FrameWriter {
  // What is the same in all chunks is written once.
  let before: string | undefined
  const after = options.includeUsage ? '],"usage":null}\n\n' : ']}\n\n'
  const known = new Map<number, number>()

  const prefix = (): string => {
    const { id, created, model } = answer.head
    const head = {
      id,
      object: 'chat.completion.chunk',
      created,
      model,
      system_fingerprint: answer.fingerprint()
    }
    return `data: ${JSON.stringify(head).slice(0, -1)},"choices":[`
  }
  const chunk = (
    index: number,
    delta: Delta,
    logprobs: readonly TokenLogprobObject[] | undefined,
    reason: FinishReason | null
  ): string => {
    const chances = logprobs === undefined ? 'null' : `{"content":${JSON.stringify(logprobs)},"refusal":null}`
    const end = reason === null ? 'null' : `"${reason}"`
    return `${before}{"index":${index},"delta":${JSON.stringify(delta)},"logprobs":${chances},"finish_reason":${end}}${after}`
  }
  const open = (): string => {
    before = prefix()
    let frames = ''
    for (let index = 0; index < answer.n; index++)
      frames += chunk(index, { role: 'assistant', content: '', refusal: null }, undefined, null)
    return frames
  }
  const show = (event: GenerationEvent): string => {
    switch (event.type) {
      case 'text': {
        const chances = options.logprobs ? chatLogprobs(event.logprobs ?? []) : undefined
        if (event.text === '' && (chances?.length ?? 0) === 0) return ''
        if (chances !== undefined) return chunk(event.index, { content: event.text }, chances, null)
        // Nearly all there is, so it takes the short way.
        return `${before}{"index":${event.index},"delta":{"content":${JSON.stringify(event.text)}},"logprobs":null,"finish_reason":null}${after}`
      }
      case 'tool-call': {
        const { index, call, arguments: text } = event
        const isNew = call >= (known.get(index) ?? 0)
        if (isNew) known.set(index, call + 1)
        const { id = '', name = '' } = event
        const piece = isNew
          ? { index: call, id, type: 'function' as const, function: { name, arguments: text } }
          : { index: call, function: { arguments: text } }
        return !isNew && text === '' ? '' : chunk(index, { tool_calls: [piece] }, undefined, null)
      }
      case 'finish':
        return chunk(event.index, {}, undefined, event.reason)
      default:
        return ''
    }
  }

  return {
    write: (event) => (before === undefined ? open() : '') + show(event),
    end() {
      const usage = answer.usage()
      const last = options.includeUsage ? `${before}],"usage":${JSON.stringify(usageObject(usage))}}\n\n` : ''
      return `${last}data: [DONE]\n\n`
    }
  }
}
