import { createSeededRandom } from '@kwaai/testing'
import { expect, test } from 'vitest'
import { createAutomaton } from '../src/grammar/automaton.ts'
import { rule, type Expression, type Grammar } from '../src/grammar/expression.ts'
import { parseGbnf } from '../src/grammar/gbnf.ts'
import { anyJson } from '../src/grammar/json-text.ts'
import { defaultGrammarLimits as limits } from '../src/grammar/limits.ts'
import { compileProgram } from '../src/grammar/program.ts'
import { openSchema } from '../src/grammar/schema-document.ts'
import { schemaGrammar } from '../src/grammar/schema-grammar.ts'
import { createTokenTree, tokenMask } from '../src/grammar/token-tree.ts'
import { smallVocabulary } from './grammar-kit.ts'
import { xgrammarCompiler } from './xgrammar-oracle.ts'

const grammarOf = (schema: unknown): Grammar => {
  const { root, rules } = schemaGrammar(
    openSchema(schema, { strict: true, param: 'constraint', limits }),
    's'
  )
  return { root: 'whole', rules: new Map<string, Expression>([...anyJson(), ...rules, ['whole', root]]) }
}

const grammars: [string, Grammar][] = [
  ['json', { root: 'whole', rules: new Map([...anyJson(), ['whole', rule('json-object')]]) }],
  [
    'an object',
    grammarOf({
      type: 'object',
      properties: {
        name: { type: 'string', minLength: 1, maxLength: 6 },
        age: { type: 'integer', minimum: -12, exclusiveMaximum: 130 },
        tags: { type: 'array', items: { enum: ['é', 'null', 'true', null] }, minItems: 1, maxItems: 3 }
      },
      required: ['age']
    })
  ],
  ['a number', grammarOf({ type: 'number', minimum: -1.5, maximum: 20.25 })],
  ['a pattern', grammarOf({ type: 'string', pattern: '^(ab?|[^a-z日]{2,3})+$', maxLength: 9 })],
  [
    'other properties',
    grammarOf({ type: 'object', properties: { name: {} }, additionalProperties: { type: 'null' } })
  ],
  [
    'GBNF',
    parseGbnf('root ::= (x | "é" root? "]"){1,3}\nx ::= [a-c日]+ | "(" x ")" | "true"* "0"', limits, '')
  ]
]

test.each(grammars)('the masks of %s are those of xgrammar', async (name, grammar) => {
  const vocabulary = smallVocabulary()
  const { size, endTokens } = vocabulary
  const oracle = await xgrammarCompiler(vocabulary)
  const tree = createTokenTree(vocabulary)
  const program = compileProgram(grammar, limits.steps)
  if ('problem' in program) throw new Error(program.problem)
  const automaton = createAutomaton(program, limits)
  const tokens = (mask: Int32Array): number[] =>
    Array.from({ length: size }, (_, token) => token).filter(
      (token) => !endTokens.has(token) && ((mask[token >> 5] as number) >>> (token & 31)) & 1
    )
  for (let seed = 0; seed < 6; seed++) {
    const random = createSeededRandom(`${name} ${seed}`)
    const matcher = await oracle.start(grammar)
    let state = automaton.start
    for (let count = 0; count < 40; count++) {
      const theirs = await matcher.getNextTokenBitmask()
      const ours = tokens(tokenMask(tree, automaton, state))
      expect(ours).toEqual(tokens(theirs))
      for (const end of endTokens)
        expect(((theirs[end >> 5] as number) >>> (end & 31)) & 1).toBe(Number(state.accepting))
      if (ours.length === 0) break
      const token = ours[Math.floor(random.next() * ours.length)] as number
      expect(matcher.acceptToken(token)).toBe(true)
      for (const byte of vocabulary.bytes(token)) {
        state = automaton.step(state, automaton.classOf[byte] as number) ?? automaton.start
      }
    }
    matcher.dispose()
  }
})
