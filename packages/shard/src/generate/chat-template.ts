import { KwaaiError, type ChatMessage, type Clock } from '@kwaai/interface'
import { systemClock } from '@kwaai/interface/memory'
import { shardError } from '../errors.ts'
import { metadataString, type GgufFile } from '../gguf/index.ts'
import { parseTemplate, type TemplateNode } from './jinja.ts'
import { createStandIns, type StandIns } from './stand-ins.ts'
import { createTemplateScope, LimitedInterpreter } from './template-interpreter.ts'
import { defaultTemplateLimits, overLimit, type TemplateLimits } from './template-limits.ts'
import { hideAll, templateMessages } from './template-messages.ts'
import { createTokenizer, type Tokenizer } from './tokenizer.ts'
import { toolFormatOf, type ToolFormat } from './tool-format.ts'

/** What a rendering shows besides the messages. */
export interface ChatTemplateTools {
  /** Functions in the shape of OpenAI's API. Only templates that know tools show them. */
  tools?: readonly unknown[]
}

/** Turns a conversation into the tokens a model expects. */
export interface ChatTemplate {
  /**
   * The tokens of a conversation, ready for the model's answer. Text of messages never becomes a control token.
   *
   * @throws A KwaaiError `ERR_TEMPLATE_REFUSED` when the template refuses the messages,
   * `ERR_TEMPLATE_LIMIT_EXCEEDED` when it does too much, `ERR_TEMPLATE_FAILED` when it makes no sense.
   */
  encode(messages: readonly ChatMessage[], more?: ChatTemplateTools): number[]
  /** The conversation as the template writes it, control tokens of the template and text alike. */
  render(messages: readonly ChatMessage[], more?: ChatTemplateTools): string
  /** How the template shows calls of functions. Unset where it knows none, or its way is not known. */
  readonly toolFormat?: ToolFormat | undefined
}

/** How a template is held. */
export interface ChatTemplateOptions {
  limits?: Partial<TemplateLimits>
}

/** What a template is made with. */
export interface ChatTemplateComponents {
  tokenizer: Tokenizer
  /** For the time limit, and templates that tell the date. */
  clock?: Clock
}

/**
 * The chat template of a GGUF file, from its own metadata.
 *
 * @throws A KwaaiError `ERR_TEMPLATE_MISSING` when it has none, `ERR_TEMPLATE_INVALID` when it cannot be
 * parsed, and what {@link createTokenizer} throws when no tokenizer is given.
 */
export function createChatTemplate(
  file: GgufFile,
  components: Partial<ChatTemplateComponents> = {},
  options: ChatTemplateOptions = {}
): ChatTemplate {
  const source = metadataString(file, 'tokenizer.chat_template')
  if (source === undefined) {
    throw shardError('ERR_TEMPLATE_MISSING', 'Cannot chat: the model file has no tokenizer.chat_template')
  }
  const { tokenizer = createTokenizer(file), clock } = components
  return parseChatTemplate(source, { tokenizer, ...(clock === undefined ? {} : { clock }) }, options)
}

/** A chat template from its Jinja source. @throws A KwaaiError `ERR_TEMPLATE_INVALID` when it cannot be parsed. */
export function parseChatTemplate(
  source: string,
  components: ChatTemplateComponents,
  options: ChatTemplateOptions = {}
): ChatTemplate {
  const { tokenizer, clock = systemClock } = components
  const limits: TemplateLimits = { ...defaultTemplateLimits, ...options.limits }
  if (source.length > limits.maxTemplateCharacters) overLimit('maxTemplateCharacters', limits)
  if (longestSpace(source) > limits.maxTemplateSpaces) overLimit('maxTemplateSpaces', limits)
  const program = parseSource(source)
  const names = prepare(program)
  const nameOf = (id: number | undefined): string =>
    id === undefined ? '' : new TextDecoder().decode(tokenizer.bytes(id))

  const run = (
    messages: readonly ChatMessage[],
    { tools }: ChatTemplateTools,
    standIns: StandIns
  ): string => {
    const variables = {
      messages: templateMessages(messages, standIns),
      ...(tools === undefined || tools.length === 0 ? {} : { tools: hideAll(tools, standIns) }),
      add_generation_prompt: true,
      bos_token: nameOf(tokenizer.bosToken),
      eos_token: nameOf(tokenizer.eosToken)
    }
    try {
      const environment = createTemplateScope(limits, clock, variables)
      const value = new LimitedInterpreter(environment, limits, clock).run(program)
      return value.type === 'StringValue' ? String(value.value) : ''
    } catch (cause) {
      if (KwaaiError.is(cause)) throw cause
      const why = messageOf(cause)
      // What the engine itself cannot hold: its stack, or a text.
      if (/call stack|recursion/i.test(why)) overLimit('maxDepth', limits)
      if (/string length|array length/i.test(why)) overLimit('maxCharacters', limits)
      throw shardError('ERR_TEMPLATE_FAILED', `Cannot render the chat template: ${why}`, { cause })
    }
  }

  return {
    toolFormat: toolFormatOf(source, names),
    encode(messages, more = {}) {
      const standIns = createStandIns(tokenizer.controlTexts)
      const tokens = tokenizer.encodeWithControl(run(messages, more, standIns), standIns.restore)
      const { firstToken } = tokenizer
      // Most templates write the first token themselves; it must not stand there twice.
      return firstToken === undefined || tokens[0] === firstToken ? tokens : [firstToken, ...tokens]
    },
    render(messages, more = {}) {
      const standIns = createStandIns(tokenizer.controlTexts)
      return standIns.restore(run(messages, more, standIns))
    }
  }
}

/** The length of the longest run of white space. */
function longestSpace(source: string): number {
  let longest = 0
  for (const [run] of source.matchAll(/\s+/g)) longest = Math.max(longest, run.length)
  return longest
}

function parseSource(source: string): TemplateNode {
  try {
    return parseTemplate(source)
  } catch (cause) {
    throw unparsed(messageOf(cause), cause)
  }
}

/**
 * Walks the template's tree: a private-use character the template writes itself must come out of `restore` as
 * it went in, and filters whose arguments cannot be seen one by one could not be held to limits.
 *
 * @returns the names it reads.
 */
function prepare(program: TemplateNode): ReadonlySet<string> {
  const { hide } = createStandIns([])
  const names = new Set<string>()
  const waiting: unknown[] = [program]
  while (waiting.length > 0) {
    const node = waiting.pop()
    if (typeof node !== 'object' || node === null) continue
    if (node instanceof Map) {
      for (const entry of node) waiting.push(...entry)
      continue
    }
    const type = 'type' in node ? node.type : undefined
    if (type === 'StringLiteral' && 'value' in node) node.value = hide(String(node.value))
    if (type === 'Identifier' && 'value' in node) names.add(String(node.value))
    const filter: unknown = 'filter' in node ? node.filter : undefined
    const args = typeof filter === 'object' && filter !== null && 'args' in filter ? filter.args : undefined
    if (Array.isArray(args)) {
      if (type === 'FilterStatement') throw unparsed('filter blocks with arguments are not supported')
      const spreads = args.some((arg: { type?: unknown }) => String(arg.type).includes('Spread'))
      if (spreads) throw unparsed('unpacked arguments of filters are not supported')
    }
    for (const child of Object.values(node)) waiting.push(child)
  }
  return names
}

function unparsed(why: string, cause?: unknown): Error {
  return shardError('ERR_TEMPLATE_INVALID', `Cannot use the chat template: ${why}`, { cause })
}

function messageOf(cause: unknown): string {
  return (cause instanceof Error ? cause.message : String(cause)).slice(0, 500)
}
