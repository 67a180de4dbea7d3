/**
 * The parts of @huggingface/jinja in use, with types: its own declarations name their imports without
 * extensions, which Node's resolution does not follow.
 */
import * as jinja from '@huggingface/jinja'

/** A value of a template. */
export type TemplateValue =
  | { type: 'StringValue'; value: string }
  | { type: 'IntegerValue' | 'FloatValue'; value: number }
  | { type: 'ArrayValue' | 'TupleValue'; value: TemplateValue[] }
  | { type: 'ObjectValue' | 'NamespaceValue' | 'KeywordArgumentsValue'; value: Map<string, TemplateValue> }
  | { type: 'FunctionValue'; value: (args: TemplateValue[], scope: TemplateScope) => TemplateValue }
  | { type: 'BooleanValue' | 'NullValue' | 'UndefinedValue'; value: boolean | null | undefined }

/** A node of a template's syntax tree. */
export interface TemplateNode {
  readonly type: string
}

/** The variables a template sees. */
export interface TemplateScope {
  set(name: string, value: unknown): TemplateValue
}

interface TemplateInterpreter {
  run(program: TemplateNode): TemplateValue
  evaluate(node: TemplateNode | undefined, scope: TemplateScope): TemplateValue
}

/** Evaluates syntax trees; every node passes its `evaluate`. */
export const Interpreter: new (scope: TemplateScope) => TemplateInterpreter = jinja.Interpreter

/** Makes a scope without variables. */
export const Environment: new () => TemplateScope = jinja.Environment

/** @throws a SyntaxError for what is no template. */
export function parseTemplate(source: string): TemplateNode {
  return jinja.parse(jinja.tokenize(source, { lstrip_blocks: true, trim_blocks: true }))
}
