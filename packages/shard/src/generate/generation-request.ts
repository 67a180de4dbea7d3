import type {
  ChatMessage,
  CompletionRequest,
  GenerationOptions,
  RouteConstraintName,
  RouteConstraints,
  TextConstraint
} from '@kwaai/interface'
import { shardError } from '../errors.ts'
import { whyNoJson } from './plain-json.ts'

/** What text generation reads of a request, checked. */
export interface CheckedOptions extends GenerationOptions {
  stop: readonly string[]
}

const maxStops = 4
const maxStopCharacters = 1_024
const maxBiases = 1_024
const maxCallerCharacters = 256
const maxTop = 20
const maxGrammarCharacters = 262_144
const schemaLimits = { maxCharacters: 262_144, maxDepth: 64 }
const roles: ReadonlySet<string> = new Set(['system', 'developer', 'user', 'assistant', 'tool'])

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

/** What a model can do, as far as requests have to be held against it. */
export interface RequestAbilities {
  vocabularySize: number
  /** It chooses who computes. */
  routes: boolean
  /** It can hold a text to a grammar. */
  grammar: boolean
  /** Answers to one request at most. */
  maxAnswers: number
}

/**
 * Checks what both kinds of requests have.
 *
 * @throws A KwaaiError `ERR_MODEL_UNSUPPORTED` for an option this model does not do,
 * `ERR_MODEL_INVALID_REQUEST` for a value out of range; `details.param` names it.
 */
export function checkOptions(request: GenerationOptions, abilities: RequestAbilities): CheckedOptions {
  const { vocabularySize, routes, grammar, maxAnswers } = abilities
  const { logprobs, constraint, route, n = 1, seed } = request
  if (logprobs !== undefined) checkLogprobs(logprobs)
  if (constraint !== undefined) {
    checkConstraint(constraint)
    if (!grammar) throw unsupported('constraint')
  }
  if (route !== undefined) {
    if (!routes) throw unsupported('route')
    checkRoute(route)
  }
  if (!Number.isSafeInteger(n) || n < 1) throw invalid('n', 'it is no number of answers')
  if (n > maxAnswers) throw unsupported('n', `more than ${maxAnswers} answers to one request`)
  const values = new Map<string, unknown>(Object.entries(request))
  for (const [param, [low, high]] of [...Object.entries(ranges), ...Object.entries(integers)]) {
    const value = values.get(param)
    if (value === undefined) continue
    const whole = !Object.hasOwn(integers, param) || Number.isSafeInteger(value)
    if (typeof value !== 'number' || !whole || !(value >= low && value <= high)) {
      throw invalid(param, `it has to be ${whole ? 'a number' : 'an integer'} from ${low} to ${high}`)
    }
  }
  if (seed !== undefined && seed > Number.MAX_SAFE_INTEGER - (n - 1)) {
    throw invalid('seed', 'the seeds of the later answers would be no integers')
  }
  checkBias(request.logitBias, vocabularySize)
  const { caller } = request
  if (caller !== undefined && (typeof caller !== 'string' || caller.length > maxCallerCharacters)) {
    throw invalid('caller', `it has to be a text of at most ${maxCallerCharacters} characters`)
  }
  return { ...request, stop: checkStops(request.stop) }
}

function checkLogprobs(logprobs: NonNullable<GenerationOptions['logprobs']>): void {
  const top = typeof logprobs === 'object' && logprobs !== null ? logprobs.top : undefined
  if (!Number.isInteger(top) || !(Number(top) >= 0 && Number(top) <= maxTop)) {
    throw invalid('logprobs', `top has to be an integer from 0 to ${maxTop}`)
  }
}

function checkConstraint(constraint: TextConstraint): void {
  const type: unknown = typeof constraint === 'object' && constraint !== null ? constraint.type : undefined
  if (type === 'json') return
  if (type === 'json-schema') {
    const { schema, strict } = constraint as Extract<TextConstraint, { type: 'json-schema' }>
    const why = whyNoJson(schema, schemaLimits)
    if (why !== undefined) throw invalid('constraint', `its schema makes no sense, ${why}`)
    if (strict !== undefined && typeof strict !== 'boolean') {
      throw invalid('constraint', 'strict has to be true or false')
    }
    return
  }
  if (type !== 'grammar') throw invalid('constraint', 'it has to be json, json-schema or grammar')
  const { text } = constraint as Extract<TextConstraint, { type: 'grammar' }>
  if (typeof text !== 'string' || text === '') throw invalid('constraint', 'its grammar is no text')
  if (text.length > maxGrammarCharacters) {
    throw invalid('constraint', `its grammar is longer than ${maxGrammarCharacters} characters`)
  }
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

/**
 * A constraint that cannot be read, or that nobody knows, must not be taken for one that is met.
 *
 * @throws A KwaaiError `ERR_MODEL_INVALID_REQUEST`; `details.param` is `route`.
 */
export function checkRoute(route: RouteConstraints): void {
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
 * Checks the turns of a conversation. A turn of the role `tool` has to answer a call of an earlier turn.
 *
 * @throws A KwaaiError `ERR_MODEL_INVALID_REQUEST`; `details.param` is `messages`.
 */
export function checkMessages(messages: readonly ChatMessage[], maxCharacters: number): void {
  if (!Array.isArray(messages) || messages.length === 0) throw invalid('messages', 'there is none')
  let characters = 0
  const called = new Set<string>()
  for (const { role, content, toolCalls, toolCallId } of messages as readonly ChatMessage[]) {
    if (!roles.has(role)) throw invalid('messages', 'a turn has an unknown role')
    if (typeof content !== 'string') throw invalid('messages', 'a turn has no text')
    characters += content.length + perMessage
    if (toolCalls !== undefined && toolCalls.length > 0) {
      if (role !== 'assistant') throw invalid('messages', `a turn of the role ${role} has tool calls`)
      if (toolCalls.length > maxCalls)
        throw invalid('messages', `a turn has more than ${maxCalls} tool calls`)
    }
    for (const { id, name, arguments: text } of toolCalls ?? []) {
      if (!isId(id)) throw invalid('messages', 'a tool call has no id')
      if (typeof name !== 'string' || !toolName.test(name)) {
        throw invalid('messages', 'a tool call has no name of 1 to 64 letters, digits, _ or -')
      }
      if (typeof text !== 'string') throw invalid('messages', 'the arguments of a tool call are no text')
      called.add(id)
      characters += id.length + name.length + text.length + perMessage
    }
    if (role === 'tool') {
      if (!isId(toolCallId))
        throw invalid('messages', 'a turn of the role tool does not say which call it answers')
      if (!called.has(toolCallId)) {
        throw invalid(
          'messages',
          `a turn of the role tool answers ${toolCallId}, a call no earlier turn made`
        )
      }
    }
  }
  if (characters > maxCharacters)
    throw invalid('messages', `they are longer than ${maxCharacters} characters`)
}

/** Names of functions: OpenAI's API reference. */
export const toolName: RegExp = /^[a-zA-Z0-9_-]{1,64}$/
/** Calls of one turn: as many as there may be tools. */
const maxCalls = 128
const maxIdCharacters = 256
const isId = (id: unknown): id is string =>
  typeof id === 'string' && id !== '' && id.length <= maxIdCharacters

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
