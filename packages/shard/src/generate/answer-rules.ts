import type { TextConstraint } from '@kwaai/interface'
import type { CheckedTools } from './check-tools.ts'
import type { GrammarRule } from './grammar.ts'
import type { CallTags } from './tool-call-text.ts'
import type { ToolFormat } from './tool-format.ts'

/** What an answer has to follow, and the calls it may hold. */
export interface AnswerRules {
  rule?: GrammarRule | undefined
  calls?: CallTags | undefined
}

/** What follows from the tools and the constraint of a request, for a model that writes calls in this format. */
export function answerRules(
  constraint: TextConstraint | undefined,
  tools: CheckedTools | undefined,
  format: ToolFormat
): AnswerRules {
  if (tools === undefined) return { rule: constraint }
  const { callable, required } = tools
  const leading = !required && constraint !== undefined
  const { end, triggers } = format
  const tags = callable.map(({ name, parameters, strict = false }) => ({
    name,
    begin: format.begin(name),
    schema: parameters,
    strict,
    end
  }))
  return {
    rule: {
      type: 'tags',
      tags: tags.map(({ begin, schema, strict }) => ({ begin, schema, strict, end })),
      triggers,
      required,
      single: tools.single || !format.several,
      ...(leading ? { text: constraint } : {})
    },
    calls: { tags, triggers, required, leading }
  }
}
