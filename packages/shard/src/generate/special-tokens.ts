/** What a token is for (`llama_token_type` in llama.cpp's llama.h). */
export type TokenKind = 'normal' | 'unknown' | 'control' | 'user-defined' | 'unused' | 'byte'

/**
 * Texts by which llama.cpp knows tokens whose ids the metadata leaves out: `llama_vocab::impl::load` in
 * src/llama-vocab.cpp. The three fill-in-the-middle roles end a generation there too.
 */
const endTexts: ReadonlySet<string> = new Set([
  '<|eot_id|>',
  '<|im_end|>',
  '<|end|>',
  '<|return|>',
  '<|call|>',
  '<|flush|>',
  '<|calls|>',
  '<end_of_turn>',
  '<|endoftext|>',
  '</s>',
  '<|eom_id|>',
  '<EOT>',
  '_<EOT>',
  '[EOT]',
  '[EOS]',
  '<|end_of_text|>',
  '<end_of_utterance>',
  '<eos>',
  '<turn|>',
  '<|tool_response>',
  '<｜end▁of▁sentence｜>',
  '[e~['
])

const roleTexts: Readonly<Record<string, readonly string[]>> = {
  fim_pad: ['<|fim_pad|>', '<fim-pad>', '<fim_pad>', '<PAD>', '[PAD]'],
  fim_rep: ['<|fim_repo|>', '<|repo_name|>', '<fim-repo>', '<REPO>', '<reponame>'],
  fim_sep: ['<|file_sep|>']
}

const infillTexts: readonly string[] = [
  ['<|fim_prefix|>', '<fim-prefix>', '<fim_prefix>', '<｜fim▁begin｜>', '<PRE>', '▁<PRE>'],
  ['<|fim_suffix|>', '<fim-suffix>', '<fim_suffix>', '<｜fim▁hole｜>', '<SUF>', '▁<SUF>'],
  ['<|fim_middle|>', '<fim-middle>', '<fim_middle>', '<｜fim▁end｜>', '<MID>', '▁<MID>'],
  ['<|code_prefix|>', '<|code_suffix|>', '<|code_middle|>', '<|prefix|>', '<|suffix|>', '<|middle|>']
].flat()

/** gpt-oss: markers of its channels, which llama.cpp always shows as text. */
const shownTexts: ReadonlySet<string> = new Set(['<|channel|>', '<|message|>', '<|start|>', '<|constrain|>'])

/**
 * Finds every token that ends a generation, and corrects the kinds of tokens whose texts tell what they are:
 * llama.cpp's rule (`llama_vocab_is_eog`), from the ids in the metadata and from well-known texts.
 */
export function specialTokens(
  tokens: readonly string[],
  kindsInFile: readonly TokenKind[],
  idOf: (role: string) => number | undefined
): { kinds: readonly TokenKind[]; endTokens: ReadonlySet<number> } {
  const kinds = [...kindsInFile]
  const ids = new Map(tokens.map((text, id) => [text, id]))
  const endTokens = new Set<number>()
  const mark = (id: number): void => {
    kinds[id] = 'control'
  }

  for (const text of infillTexts) {
    const id = ids.get(text)
    if (id !== undefined) mark(id)
  }
  for (const [role, texts] of Object.entries(roleTexts)) {
    const named = idOf(role)
    if (named !== undefined) endTokens.add(named)
    // llama.cpp takes the first it meets in a hash table; the lowest id is a choice that can be repeated.
    const found = texts.map((text) => ids.get(text)).filter((id) => id !== undefined)
    if (named !== undefined || found.length === 0) continue
    const first = Math.min(...found)
    endTokens.add(first)
    mark(first)
  }
  for (const text of endTexts) {
    const id = ids.get(text)
    if (id === undefined) continue
    endTokens.add(id)
    mark(id)
  }
  for (const text of shownTexts) {
    const id = ids.get(text)
    if (id !== undefined) kinds[id] = 'user-defined'
  }
  for (const role of ['eos', 'eot', 'eom']) {
    const id = idOf(role)
    if (id !== undefined) endTokens.add(id)
  }

  const ends = (text: string): boolean => endTokens.has(ids.get(text) ?? -1)
  const drop = (text: string, kind: TokenKind): void => {
    const id = ids.get(text)
    if (id === undefined) return
    endTokens.delete(id)
    kinds[id] = kind
  }
  // Models with an end of their own for a whole answer use <|end|> between its parts.
  const called = ends('<|call|>') || ends('<|calls|>')
  if (ends('<|end|>') && called && (ends('<|return|>') || ends('<|flush|>'))) drop('<|end|>', 'user-defined')
  if (ends('<|tool_response>') && ends('</s>')) drop('</s>', 'normal')
  return { kinds, endTokens }
}
