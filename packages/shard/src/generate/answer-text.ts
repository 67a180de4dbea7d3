import type { TokenLogprobs } from '@kwaai/interface'
import type { Detokenizer } from './detokenizer.ts'
import { createShownTokens } from './shown-tokens.ts'
import { createStopStrings } from './stop-strings.ts'
import { createToolCallText, type CallSegment, type CallTags } from './tool-call-text.ts'

/** What of an answer may be told. */
export type AnswerPiece =
  | { type: 'text'; text: string; logprobs?: readonly TokenLogprobs[] }
  | { type: 'tool-call'; call: number; id?: string; name?: string; arguments: string }

/** What is watched for in the text of an answer. */
export interface AnswerTextInit {
  stop: readonly string[]
  /** The calls it may hold. Default: none, whatever it looks like. */
  calls?: CallTags | undefined
  /** Whether text is told with its tokens. */
  logprobs: boolean
}

/** What turns tokens into an answer. */
export interface AnswerTextComponents {
  detokenizer: Detokenizer
  /** Makes the id of a call. */
  callId: () => string
}

/** The text of one answer on its way from tokens to what may be told. */
export interface AnswerText {
  /** Calls begun so far. */
  readonly calls: number
  /**
   * Takes the next token. `logprobs` is needed where text is told with its tokens, its `bytes` being those that the
   * token adds to the text.
   *
   * @returns what may be told now, and whether a stop string ended the answer.
   */
  push(token: number, logprobs?: TokenLogprobs): { pieces: AnswerPiece[]; stopped: boolean }
  /** What the end lets out: an unfinished character, and what might have begun a stop string or a call. */
  end(): AnswerPiece[]
}

/**
 * Makes the way of one answer: characters, then calls told from text, then stop strings, which are looked for in the
 * text alone and not across a call.
 */
export function createAnswerText(init: AnswerTextInit, components: AnswerTextComponents): AnswerText {
  const { detokenizer, callId } = components
  const watch = init.calls === undefined ? undefined : createToolCallText(init.calls)
  const shown = init.logprobs ? createShownTokens() : undefined
  const stops = createStopStrings(init.stop)
  let calls = 0

  const textPiece = (text: string): AnswerPiece => ({
    type: 'text',
    ...(shown === undefined ? { text } : shown.show(text))
  })
  /** Everything before a call, before an end: nothing comes that could change what it is. */
  const settled = (text: string): AnswerPiece[] => {
    const first = textPiece(text)
    return shown === undefined ? [first] : [first, { type: 'text', ...shown.flush() }]
  }

  const tell = (segments: readonly CallSegment[]): { pieces: AnswerPiece[]; stopped: boolean } => {
    const pieces: AnswerPiece[] = []
    for (const segment of segments) {
      if (segment.kind === 'text') {
        const { text, stopped } = stops.push(segment.text)
        if (stopped) return { pieces: [...pieces, ...settled(text)], stopped }
        pieces.push(textPiece(text))
        continue
      }
      // What the stop strings held back, and what shares a token with what is hidden now: with a call that was only
      // begun, too, at the end of an answer.
      pieces.push(...settled(stops.flush()))
      if (segment.kind === 'begin') {
        const { name } = segment
        pieces.push({ type: 'tool-call', call: calls++, id: callId(), name, arguments: '' })
      } else if (segment.kind === 'arguments') {
        pieces.push({ type: 'tool-call', call: calls - 1, arguments: segment.text })
      }
      shown?.skip(segment.text)
    }
    return { pieces, stopped: false }
  }
  const segmentsOf = (text: string): CallSegment[] => watch?.push(text) ?? [{ kind: 'text', text }]

  return {
    get calls() {
      return calls
    },
    push(token, logprobs) {
      if (logprobs !== undefined) shown?.push(logprobs)
      const { pieces, stopped } = tell(segmentsOf(detokenizer.push(token)))
      return { pieces: joined(pieces), stopped }
    },
    end() {
      shown?.end()
      const { pieces, stopped } = tell([...segmentsOf(detokenizer.flush()), ...(watch?.end() ?? [])])
      return joined(stopped ? pieces : [...pieces, ...settled(stops.flush())])
    }
  }
}

/** Fewer pieces that tell the same; none that tells nothing. */
function joined(pieces: readonly AnswerPiece[]): AnswerPiece[] {
  const result: AnswerPiece[] = []
  for (const piece of pieces) {
    const last = result.at(-1)
    if (piece.type === 'text') {
      if (piece.text === '' && (piece.logprobs?.length ?? 0) === 0) continue
      if (last?.type === 'text') {
        last.text += piece.text
        if (piece.logprobs !== undefined) last.logprobs = [...(last.logprobs ?? []), ...piece.logprobs]
      } else result.push({ ...piece })
    } else if (last?.type === 'tool-call' && last.call === piece.call && piece.id === undefined) {
      last.arguments += piece.arguments
    } else result.push({ ...piece })
  }
  return result
}
