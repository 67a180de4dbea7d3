/** How calls of functions stand in the text of a model. */
export interface ToolFormat {
  readonly name: 'hermes' | 'llama-3'
  /** What stands before the arguments. Names hold nothing that JSON would have to escape. */
  begin(name: string): string
  /** What stands after them. */
  readonly end: string
  /** Each begin begins with one of these; where one appears in a text, a call follows. */
  readonly triggers: readonly string[]
  /** Whether an answer may hold several calls. */
  readonly several: boolean
}

/**
 * Hermes 2 Pro's format, which Qwen 2.5 and many others share:
 * `<tool_call>\n{"name": "f", "arguments": {…}}\n</tool_call>` (NousResearch, Hermes-Function-Calling).
 */
export const hermesFormat: ToolFormat = {
  name: 'hermes',
  begin: (name) => `<tool_call>\n{"name": "${name}", "arguments": `,
  end: '}\n</tool_call>',
  triggers: ['<tool_call>'],
  several: true
}

/**
 * Llama 3.1's format for functions of one's own: `{"name": "f", "parameters": {…}}` is the whole answer, one call in
 * each (Meta, Llama 3.1 model card, "JSON based tool calling").
 */
export const llamaFormat: ToolFormat = {
  name: 'llama-3',
  begin: (name) => `{"name": "${name}", "parameters": `,
  end: '}',
  triggers: ['{"name": "'],
  several: false
}

/**
 * The format in which a chat template shows calls; undefined where it knows no tools, or shows them in a way that is
 * not known here.
 *
 * @param source The template.
 * @param names The variables it reads.
 */
export function toolFormatOf(source: string, names: ReadonlySet<string>): ToolFormat | undefined {
  if (!names.has('tools') || !source.includes('tool_calls')) return undefined
  // Some write XML inside the tag instead of JSON.
  if (source.includes('<tool_call>') && !source.includes('<function=')) {
    return source.includes('arguments') ? hermesFormat : undefined
  }
  const llama = source.includes('ipython') && source.includes('"parameters": ')
  return llama ? llamaFormat : undefined
}
