import type {
  ChatMessage,
  ChatRequest,
  CompletionRequest,
  GenerationOptions,
  RouteConstraintName,
  RouteConstraints
} from '@kwaai/interface'
import { shardError } from '../errors.ts'

/** What text generation reads of a request, checked. */
export interface CheckedOptions extends GenerationOptions {
  stop: readonly string[]
}

const maxStops = 4
const maxStopCharacters = 1_024
const maxBiases = 1_024
const maxCallerCharacters = 256
const roles: ReadonlySet<string> = new Set(['system', 'developer', 'user', 'assistant'])

/** Each number's range, both ends included. The first four are OpenAI's API reference. */
const ranges: Readonly<Record<string, readonly [number, number]>> = {
  temperature: [0, 2],
  topP: [0, 1],
  frequencyPenalty: [-2, 2],
  presencePenalty: [-2, 2],
  minP: [0, 1],
  repetitionPenalty: [0.01, 100]
}
const integers: Readonly<Record<string, readonly [number, number]>> = {
  maxTokens: [0, Number.MAX_SAFE_INTEGER],
  topK: [0, Number.MAX_SAFE_INTEGER],
  seed: [Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER]
}

/**
 * Checks what both kinds of requests have.
 *
 * @throws A KwaaiError `ERR_MODEL_UNSUPPORTED` for an option this model does not do,
 * `ERR_MODEL_INVALID_REQUEST` for a value out of range; `details.param` names it.
 */
export function checkOptions(
  request: GenerationOptions & Partial<Pick<ChatRequest, 'tools'>>,
  { vocabularySize, routes }: { vocabularySize: number; routes: boolean }
): CheckedOptions {
  if (request.logprobs !== undefined) throw unsupported('logprobs')
  if (request.constraint !== undefined) throw unsupported('constraint')
  if (request.route !== undefined) {
    if (!routes) throw unsupported('route')
    checkRoute(request.route)
  }
  if (request.tools !== undefined && request.tools.length > 0) throw unsupported('tools')
  if (request.n !== undefined && request.n !== 1) {
    if (Number.isSafeInteger(request.n) && request.n > 1) throw unsupported('n')
    throw invalid('n', 'it is no number of answers')
  }
  const values = new Map<string, unknown>(Object.entries(request))
  for (const [param, [low, high]] of [...Object.entries(ranges), ...Object.entries(integers)]) {
    const value = values.get(param)
    if (value === undefined) continue
    const whole = !Object.hasOwn(integers, param) || Number.isSafeInteger(value)
    if (typeof value !== 'number' || !whole || !(value >= low && value <= high)) {
      throw invalid(param, `it has to be ${whole ? 'a number' : 'an integer'} from ${low} to ${high}`)
    }
  }
  checkBias(request.logitBias, vocabularySize)
  const { caller } = request
  if (caller !== undefined && (typeof caller !== 'string' || caller.length > maxCallerCharacters)) {
    throw invalid('caller', `it has to be a text of at most ${maxCallerCharacters} characters`)
  }
  return { ...request, stop: checkStops(request.stop) }
}

function checkBias(bias: GenerationOptions['logitBias'], vocabularySize: number): void {
  const entries = Object.entries(bias ?? {})
  if (entries.length > maxBiases) throw invalid('logitBias', `it names more than ${maxBiases} tokens`)
  for (const [token, value] of entries) {
    if (!/^\d+$/.test(token) || Number(token) >= vocabularySize) {
      throw invalid('logitBias', `the model has no token ${token.slice(0, 32)}`)
    }
    if (typeof value !== 'number' || !(value >= -100 && value <= 100)) {
      throw invalid('logitBias', 'its values have to be numbers from -100 to 100')
    }
  }
}

const isText = (value: unknown): boolean =>
  typeof value === 'string' && value !== '' && value.length <= maxRouteCharacters
const isAmount = (value: unknown): boolean => typeof value === 'number' && value >= 0
const areTexts = (value: unknown): boolean =>
  Array.isArray(value) && value.length <= maxRoutePeers && value.every(isText)
const maxRouteCharacters = 256
const maxRoutePeers = 1_024
const tiers: ReadonlySet<unknown> = new Set(['unknown', 'known', 'verified', 'trusted'])
const constraints: Readonly<Record<RouteConstraintName, (value: unknown) => boolean>> = {
  minTier: (value) => tiers.has(value),
  minScore: (value) => isAmount(value) && Number(value) <= 1,
  maxLatencyMs: isAmount,
  maxRttMs: isAmount,
  region: (value) => isText(value) || areTexts(value),
  maxPrice: isAmount,
  numericsClass: isText,
  allowPeers: areTexts,
  denyPeers: areTexts
}

/** A constraint that cannot be read, or that nobody knows, must not be taken for one that is met. */
function checkRoute(route: RouteConstraints): void {
  if (typeof route !== 'object' || route === null) throw invalid('route', 'it is no record')
  for (const [name, value] of Object.entries(route)) {
    if (value === undefined) continue
    const known = (key: unknown): boolean => typeof key === 'string' && Object.hasOwn(constraints, key)
    const fits =
      name === 'relax'
        ? Array.isArray(value) && value.every((key) => known(key) && key !== 'denyPeers')
        : known(name) && constraints[name as RouteConstraintName](value)
    if (!fits) throw invalid('route', `${name.slice(0, 32)} makes no sense`)
  }
}

function checkStops(stop: readonly string[] = []): readonly string[] {
  if (stop.length > maxStops) throw invalid('stop', `there are more than ${maxStops} stop strings`)
  for (const text of stop) {
    if (typeof text !== 'string' || text === '') throw invalid('stop', 'a stop string is empty')
    if (text.length > maxStopCharacters)
      throw invalid('stop', `one is longer than ${maxStopCharacters} characters`)
    // Half a surrogate pair would cut a character.
    if (/\p{Surrogate}/u.test(text)) throw invalid('stop', 'one holds half a character')
  }
  return stop
}

/**
 * Checks the turns of a conversation.
 *
 * @throws A KwaaiError `ERR_MODEL_UNSUPPORTED` or `ERR_MODEL_INVALID_REQUEST`; `details.param` is `messages`.
 */
export function checkMessages(messages: readonly ChatMessage[], maxCharacters: number): void {
  if (!Array.isArray(messages) || messages.length === 0) throw invalid('messages', 'there is none')
  let characters = 0
  for (const { role, content, toolCalls } of messages) {
    if (role === 'tool') throw unsupported('messages', 'turns of the role tool')
    // Rendered without them, the turn would say something else than its author meant.
    if (toolCalls !== undefined && toolCalls.length > 0)
      throw unsupported('tool_calls', 'turns with tool calls')
    if (!roles.has(role)) throw invalid('messages', 'a turn has an unknown role')
    if (typeof content !== 'string') throw invalid('messages', 'a turn has no text')
    characters += content.length + perMessage
  }
  if (characters > maxCharacters)
    throw invalid('messages', `they are longer than ${maxCharacters} characters`)
}

/** What a turn costs besides its text, so that empty ones are bounded too. */
const perMessage = 32

/** @throws A KwaaiError `ERR_MODEL_INVALID_REQUEST`; `details.param` is `prompt`. */
export function checkPrompt(
  { prompt }: CompletionRequest,
  { maxCharacters, vocabularySize }: { maxCharacters: number; vocabularySize: number }
): void {
  if (Array.isArray(prompt)) {
    const known = (token: unknown): boolean =>
      typeof token === 'number' && Number.isInteger(token) && token >= 0 && token < vocabularySize
    // A token is at least a byte of the context; more could never fit.
    if (prompt.length > maxCharacters) throw invalid('prompt', `it has more than ${maxCharacters} tokens`)
    if (!prompt.every(known)) throw invalid('prompt', `it has tokens that are not of this model`)
    return
  }
  if (typeof prompt !== 'string') throw invalid('prompt', 'it is no text')
  if (prompt.length > maxCharacters) throw invalid('prompt', `it is longer than ${maxCharacters} characters`)
}

/** An error for an option the model does not do. */
export function unsupported(param: string, what: string = `the option ${param}`): Error {
  return shardError('ERR_MODEL_UNSUPPORTED', `Cannot generate: this model does not support ${what}`, {
    details: { param }
  })
}

/** An error for a value that makes no sense. */
export function invalid(param: string, why: string, cause?: unknown): Error {
  return shardError('ERR_MODEL_INVALID_REQUEST', `Cannot generate: ${param} is invalid, ${why}`, {
    details: { param },
    ...(cause === undefined ? {} : { cause })
  })
}
