import { KwaaiError, type Logger } from '@kwaai/interface'
import { STATUS_CLIENT_CLOSED_REQUEST } from './constants.ts'

/** The error object of the OpenAI API. */
export interface ErrorObject {
  error: { message: string; type: string; param: string | null; code: string | null }
}

/** What a refused request is told. */
export interface Refusal {
  status: number
  message: string
  type?: 'invalid_request_error' | 'server_error' | 'rate_limit_error'
  param?: string | undefined
  code: string
  headers?: Readonly<Record<string, string>>
}

/** An error that knows its HTTP answer. */
export class RequestRefused extends KwaaiError<'ERR_API_REQUEST_REFUSED'> {
  readonly refusal: Refusal

  constructor(refusal: Refusal, cause?: unknown) {
    super('ERR_API_REQUEST_REFUSED', refusal.message, cause === undefined ? {} : { cause })
    this.refusal = refusal
  }
}

/** A 400 about one parameter. */
export function invalid(message: string, param?: string, code = 'invalid_value'): RequestRefused {
  return new RequestRefused({ status: 400, message, param, code })
}

/** A 400 that names what is not supported. */
export function unsupported(param: string, why = ''): RequestRefused {
  return invalid(`This server does not support '${param}'${why}`, param, 'unsupported_parameter')
}

/** A 404: the same whether a model is not there or the caller's key does not cover it. */
export function modelNotFound(id: string): RequestRefused {
  return new RequestRefused({
    status: 404,
    param: 'model',
    code: 'model_not_found',
    message: `The model '${id.slice(0, 100)}' does not exist here; GET /v1/models lists those that do`
  })
}

/** The two headers that say when to come again: RFC 9110 seconds, and the milliseconds OpenAI's clients prefer. */
export function retryHeaders(ms: number): Record<string, string> {
  const whole = Math.max(1, Math.ceil(ms))
  return { 'retry-after': String(Math.ceil(whole / 1000)), 'retry-after-ms': String(whole) }
}

/** A 503: nobody can serve the model now. */
export function unavailable(message: string, retryAfterMs: number): Refusal {
  return {
    status: 503,
    type: 'server_error',
    code: 'model_unavailable',
    message,
    headers: retryHeaders(retryAfterMs)
  }
}

/** A 429: it could be served, but for all the others. */
const queueFull = { status: 429, type: 'rate_limit_error', code: 'too_many_generations' } as const

/** What a request calls the things that a model's error is about. */
export interface RequestWords {
  /** The field that holds the text: `messages`, `prompt`, `input`. */
  text: string
  /** The field that an option of the model came from, undefined where it has the option's name. */
  param(option: string, details: Readonly<Record<string, unknown>>): string | undefined
}

const chatWords: RequestWords = { text: 'messages', param: () => undefined }

/** The HTTP answer an error stands for. What is not known to be harmless is not told. */
export function refusalOf(
  error: unknown,
  defaultRetryAfterMs: number,
  words: RequestWords = chatWords
): Refusal {
  if (error instanceof RequestRefused) return error.refusal
  if (KwaaiError.is(error)) {
    const details = error.details
    switch (error.code) {
      case 'ERR_MODEL_UNAVAILABLE': {
        const ms = details['retryAfterMs']
        const known = typeof ms === 'number' && Number.isFinite(ms) && ms >= 0
        // The model's own words say what is missing, such as which blocks nobody serves.
        const refusal = unavailable(error.message.slice(0, 500), known ? ms : defaultRetryAfterMs)
        return details['queueFull'] === true ? { ...refusal, ...queueFull } : refusal
      }
      case 'ERR_MODEL_CONTEXT_EXCEEDED':
        return {
          status: 400,
          param: words.text,
          code: 'context_length_exceeded',
          message:
            `The maximum context length is ${count(details['contextLength'])} tokens, ` +
            `but ${subject(words.text, details['index'])} ${count(details['promptTokens'])} tokens long; shorten ` +
            (words.text === 'messages' ? 'them' : 'it')
        }
      case 'ERR_MODEL_UNSUPPORTED': {
        const param = parameter(details, words)
        return {
          status: 400,
          param,
          code: 'unsupported_parameter',
          message: lacking(param, details)
        }
      }
      case 'ERR_MODEL_INVALID_REQUEST':
        return {
          status: 400,
          param: parameter(details, words),
          code: 'invalid_value',
          message: error.message.slice(0, 500)
        }
    }
  }
  return {
    status: 500,
    type: 'server_error',
    code: 'internal_error',
    message: 'The server failed to answer; its log has the reason under this request id'
  }
}

/** What an abandoned request is told, though nobody listens. */
export const clientGone: Refusal = {
  status: STATUS_CLIENT_CLOSED_REQUEST,
  code: 'request_cancelled',
  message: 'The client ended the request'
}

/** What a request is told whose target or Host makes no address. */
export const invalidAddress: Refusal = {
  status: 400,
  code: 'invalid_request',
  message: 'The request target or Host is invalid'
}

/** A refusal as the OpenAI error object. */
export function errorObject(refusal: Refusal): ErrorObject {
  return {
    error: {
      message: refusal.message,
      type: refusal.type ?? 'invalid_request_error',
      param: refusal.param ?? null,
      code: refusal.code
    }
  }
}

/** Logs a failure under its request. Never the request's text. */
export function logFailure(logger: Logger | undefined, requestId: string, error: unknown): void {
  logger?.log('error', 'api.failure', {
    requestId,
    code: KwaaiError.is(error) ? error.code : undefined,
    error: textOf(error)
  })
}

/** An error in a line of a log. */
export function textOf(error: unknown): string {
  return error instanceof Error ? `${error.name}: ${error.message}`.slice(0, 500) : typeof error
}

function count(value: unknown): string {
  return typeof value === 'number' ? String(value) : 'an unknown number of'
}

function subject(text: string, index: unknown): string {
  if (text === 'messages') return 'the messages are'
  return typeof index === 'number' ? `${text}[${index}] is` : `the ${text} is`
}

function lacking(param: string | undefined, { keyword, path }: Readonly<Record<string, unknown>>): string {
  if (param === undefined) return 'The model does not support this request'
  if (typeof keyword !== 'string') return `The model does not support '${param}'`
  const where = typeof path === 'string' && path !== '' ? `${path.slice(0, 200)} of ` : ''
  return (
    `The model cannot hold an answer to '${keyword.slice(0, 100)}' at ${where}'${param}'; ` +
    `leave the keyword out, or set 'strict' to false`
  )
}

/** Models name options as the contract does (`topK`), the HTTP API as OpenAI does (`top_k`). */
function parameter(details: Readonly<Record<string, unknown>>, words: RequestWords): string | undefined {
  const option = details['param']
  if (typeof option !== 'string') return undefined
  return (
    words.param(option, details) ??
    option.slice(0, 100).replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)
  )
}
